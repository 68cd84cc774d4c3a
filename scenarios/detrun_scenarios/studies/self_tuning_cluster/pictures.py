"""The picture of the cluster: load, machines and waits over two days.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import detrun
from detrun_scenarios.frame.pictures import new_figure, save
from detrun_scenarios.studies.self_tuning_cluster.load import Load
from detrun_scenarios.studies.self_tuning_cluster.workload import run_cluster

DAYS, PART = 2.0, 4.0  # and the seconds of a bar
INK, BLUE, RED, GREEN = "#333333", "#2a6f97", "#d1495b", "#3a8f5c"


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run two days and draw them."""
    figure = new_figure(path, 10.5, 5.5)
    load = Load()
    seconds = DAYS * load.day
    cluster, scaler = detrun.record(run_cluster, dict(params), seconds, load, seed=seed).result
    above, middle, below = figure.subplots(3, 1, sharex=True)
    arrivals = [0.0] * int(seconds / PART + 1)
    for one in cluster.arrivals:
        arrivals[int(one / PART)] += 1.0 / PART
    above.step([PART * at for at in range(len(arrivals))], arrivals, where="post", color=INK, linewidth=1.0)
    above.set_ylabel("requests\nfor a second", fontsize="small")
    times = [float(one[0]) for one in scaler.sizes]
    middle.plot(times, [one[1] for one in scaler.sizes], color=GREEN, drawstyle="steps-post", label="ready")
    middle.plot(
        times,
        [one[1] + one[2] for one in scaler.sizes],
        color=BLUE,
        linestyle=":",
        drawstyle="steps-post",
        label="paid for",
    )
    other = middle.twinx()
    other.plot(times, [float(one[3]) for one in scaler.sizes], color=RED, linewidth=0.8, alpha=0.7)
    other.set_ylim(0.0, 1.05)
    for name in ("upper", "lower"):
        other.axhline(params[name], color=RED, linewidth=0.7, linestyle="--")
    other.set_ylabel("utilization", fontsize="small", color=RED)
    other.tick_params(labelsize="small")
    middle.set_ylabel("machines", fontsize="small")
    middle.legend(fontsize="small", frameon=False, ncols=2, loc="upper left")
    waits = sorted(zip(cluster.numbers, map(float, cluster.waits), strict=True))
    below.plot([cluster.arrivals[number] for number, _ in waits], [wait for _, wait in waits], ",", color=BLUE)
    below.set_ylabel("wait, in\nseconds", fontsize="small")
    below.set_xlabel("virtual seconds", fontsize="small")
    for panel in (above, middle, below):
        panel.spines[["top"]].set_visible(False)
        panel.tick_params(labelsize="small")
    save(figure, path)
