"""The autoscaler: looks at the utilization at equal intervals, and starts or stops machines where it leaves a band.

The rule is that of simple scaling with cool-downs (Amazon EC2 Auto Scaling): above ``upper`` it starts ``step_out`` of
the machines that are there, below ``lower`` it stops ``step_in`` of them, one at least. After each change it waits for
a cool-down before it starts more, and for a longer one before it stops any. The utilization is a moving average
with weight ``alertness`` for what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.self_tuning_cluster.cluster import Cluster

COOLED_DOWN = "nothing is changed within a cool-down"
EVERY = 2.0  # seconds between two looks


class Scaler:
    """See the module."""

    def __init__(self, cluster: Cluster, params: Mapping[str, Any]) -> None:
        self.cluster = cluster
        self.params = params
        self.utilization: Any = 0.5 * (params["upper"] + params["lower"])  # until it knows better
        self.sizes: list[tuple[float, int, int, Any]] = []  # time, ready, starting, utilization, at each look
        self._changed: Any = 0.0

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await trio.sleep(EVERY)
            self.look()

    def look(self) -> None:
        """At the utilization, and act."""
        cluster, params = self.cluster, self.params
        busy = len(cluster.ready) - len(cluster.idle)
        now = busy / max(len(cluster.ready), 1)
        self.utilization = self.utilization + params["alertness"] * (now - self.utilization)
        since = trio.current_time() - self._changed
        if self.utilization > params["upper"] and since >= params["out_cooldown"]:
            self.change(params["step_out"], since, "out_cooldown")
        elif self.utilization < params["lower"] and since >= params["in_cooldown"]:
            self.change(-params["step_in"], since, "in_cooldown")
        self.sizes.append((trio.current_time(), len(cluster.ready), len(cluster.starting), self.utilization))

    def change(self, share: Any, since: Any, cooldown: str) -> None:
        """Start or stop a share of the machines."""
        self.check_cooldown(since, cooldown)
        count = max(round(abs(share) * self.cluster.size), 1)
        (self.cluster.start if share > 0.0 else self.cluster.stop)(count)
        self._changed = trio.current_time()

    def check_cooldown(self, since: Any, cooldown: str) -> None:
        """Before a change."""
        least = self.params[cooldown]
        require(bool(since >= least), COOLED_DOWN, f"{detrun.sum([since]):g} s after a change")
