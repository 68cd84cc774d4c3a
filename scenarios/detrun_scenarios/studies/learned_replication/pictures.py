"""The picture of the store: what writes and reads take by their quorums, and what a small quorum misses.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import detrun
from detrun_scenarios.frame.pictures import new_figure, save
from detrun_scenarios.studies.learned_replication import orders
from detrun_scenarios.studies.learned_replication.coordinator import REPLICAS
from detrun_scenarios.studies.learned_replication.workload import LINK_SECONDS, Seen, Workload, run_store

SIZES = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
BLUE, RED, INK, GREEN = "#2a6f97", "#d1495b", "#333333", "#3a8f5c"


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the store with quorums of each size, with slow replicas and without."""
    figure = new_figure(path, 10.5, 3.8)
    left, right = figure.subplots(1, 2)
    mean, delay = params["replica_seconds"], params["batch_delay"]

    def ran(workload: Workload, **moved: float) -> Seen:
        found: Seen = detrun.record(run_store, {**params, **moved}, workload, seed=seed).result
        return found

    for slow, colour, label in ((False, BLUE, "alike replicas"), (True, RED, "replicas that are slow at times")):
        found = [ran(Workload(500, slow=slow), write_quorum=size) for size in SIZES]
        left.plot(SIZES, [1000.0 * _mean(one.writes) for one in found], "o", color=colour, label=f"measured, {label}")
    rate = Workload(1).rate / 2.0
    gathered = (delay + rate * delay**2 / 2.0) / (1.0 + rate * delay)
    expected = [orders.mean_of_quorum(size, REPLICAS, mean) + 2.0 * LINK_SECONDS + gathered for size in SIZES]
    left.plot(SIZES, [1000.0 * one for one in expected], color=INK, linewidth=1.0, label="order statistics")
    left.set_xlabel("replicas that a write waits for", fontsize="small")
    left.set_ylabel("mean time of a write, in ms", fontsize="small")
    left.legend(fontsize="small", frameon=False)
    for write, colour in ((1.0, RED), (2.0, GREEN), (3.0, BLUE)):
        found = [ran(Workload(800), write_quorum=write, read_quorum=size) for size in SIZES[:7]]
        shares = [one.stale / max(len(one.reads), 1) for one in found]
        right.plot(SIZES[:7], shares, "o-", color=colour, linewidth=1.0, label=f"{write:.0f} for a write")
    right.set_xlabel("replicas that a read waits for", fontsize="small")
    right.set_ylabel("share of reads that are stale", fontsize="small")
    right.legend(fontsize="small", frameon=False)
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize="small")
    save(figure, path)


def _mean(values: list[float]) -> float:
    return sum(map(float, values)) / len(values)
