"""Two and a half seconds in which a parameter server trains and fails: what the picture of the scenario shows.

The numbers are those of the scenario but for a longer step and rarer checkpoints, so that there is something to see.
On the way a worker crashes and is gone for a while, and twice the server loses its power.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from detrun.world import Crash, FaultPlan, PowerLoss
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.training.model.digits import digits
from detrun_scenarios.training.model.network import accuracy, mean_loss
from detrun_scenarios.training.model.tensors import one_thread
from detrun_scenarios.training.parameter_server.server import SERVER
from detrun_scenarios.training.settings import settings_of
from detrun_scenarios.training.workload import Training, Workload, train

SECONDS = 2.5
WORKLOAD = Workload(ring_seconds=0.0, server_seconds=SECONDS)
SETTINGS = {"step_size": 0.02, "checkpoint_interval": 0.3}
CRASHED, GONE_SECONDS = 0.6, 0.35  # s: when worker 2 crashes, and for how long it is gone
FAILURES, DOWN_SECONDS = (1.1, 1.75), 0.08  # s: when the server loses its power, and for how long
FAULTS = FaultPlan(
    (
        Crash(node="worker2", at=CRASHED, down_seconds=GONE_SECONDS),
        *(PowerLoss(node="@parameter_server", at=at, down_seconds=DOWN_SECONDS) for at in FAILURES),
    )
)


@dataclass(slots=True)
class Story:
    """See the module. `tell` is its program.

    Attributes:
        times: of the looks, in virtual seconds.
        losses, accuracies: of the validation images, with the weights that the server has then, or had last.
        versions: updates that are in these weights.
        is_up: whether each node runs, by its name.
        pushes: of each worker, how many have been applied until then, those that were lost again included.
    """

    times: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    is_up: dict[str, list[bool]] = field(default_factory=dict)
    pushes: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        digits()  # read before the run: what is read once in a process is no step of it

    async def tell(self, params: Mapping[str, Any]) -> None:
        """Let it happen. The program, for `detrun.record`."""
        with one_thread():
            await train("server", SECONDS, WORKLOAD, settings_of({**params, **SETTINGS}), FAULTS, watch=self.look)

    def look(self, training: Training) -> None:
        """One sample."""
        if training.server is None or training.monitor.held is None:
            return
        weights, validation = training.monitor.held, digits()[1]
        self.times.append(plain(trio.current_time()))
        self.losses.append(mean_loss(weights, validation).item())
        self.accuracies.append(accuracy(weights, validation))
        self.versions.append(training.server.version)
        for name in (SERVER, *training.workload.names):
            self.is_up.setdefault(name, []).append(training.world.node(name).is_running)
        for name in training.workload.names:
            count = sum(worker == name for worker, _, _ in training.monitor.applied_pushes)
            self.pushes.setdefault(name, []).append(count)
