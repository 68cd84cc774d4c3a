"""The picture of the network: queues over the seconds of open traffic, loads beside those of the optimum, and windows.

Needs matplotlib and scipy, which are imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.news import News
from detrun_scenarios.frame.pictures import new_figure, save
from detrun_scenarios.studies.routing import optimum
from detrun_scenarios.studies.routing.fabric import Fabric
from detrun_scenarios.studies.routing.network import CAPACITIES, LINKS, STREAMS
from detrun_scenarios.studies.routing.softmin import shares_of, weights_of
from detrun_scenarios.studies.routing.traffic import Flow, PoissonStream
from detrun_scenarios.studies.routing.workload import BUFFER

SECONDS, EVERY = 20.0, 0.05
DRAWN = {("middle", "north"): "#2a6f97", ("middle", "east"): "#d1495b", ("lower", "east"): "#3a8f5c"}


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run open traffic and flows for a while, and draw both."""
    figure = new_figure(path, 10.5, 6.0)
    queues = detrun.record(watch_queues, dict(params), seed=seed).result
    windows = detrun.record(watch_windows, dict(params), seed=seed).result
    above, loads, below = figure.subplots(3, 1, height_ratios=[1.3, 1.5, 1.3])
    for link, colour in DRAWN.items():
        at = [EVERY * index for index in range(len(queues[link]))]
        above.plot(at, queues[link], color=colour, linewidth=1.0, label=f"{link[0]} to {link[1]}")
    above.set_ylabel("packets in\na queue", fontsize="small")
    above.set_xlabel("virtual seconds of open traffic", fontsize="small")
    above.legend(fontsize="small", frameon=False, ncols=3)
    _draw_loads(loads, params)
    for name, seen in list(windows.items())[:3]:
        below.plot([EVERY * index for index in range(len(seen))], seen, linewidth=1.0, label=name)
    below.set_ylabel("window,\nin packets", fontsize="small")
    below.set_xlabel("virtual seconds of flows", fontsize="small")
    below.legend(fontsize="small", frameon=False, ncols=3)
    for panel in (above, loads, below):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize="small")
    save(figure, path)


def _draw_loads(panel: Any, params: Mapping[str, float]) -> None:
    here = optimum.flows_of(shares_of(weights_of(params)))
    least, best = optimum.least_delay()
    for shift, flows, colour, label in (
        (-0.2, here, "#9aa7b4", f"by the weights, {1000 * optimum.delay_of(here):.0f} ms"),
        (0.2, best, "#2a7f3f", f"optimum, {1000 * least:.0f} ms"),
    ):
        loads = [flows[link] / CAPACITIES[link] for link in LINKS]
        panel.bar([index + shift for index in range(len(LINKS))], loads, width=0.38, color=colour, label=label)
    panel.set_xticks(range(len(LINKS)), [f"{begin}\nto {end}" for begin, end in LINKS], fontsize="x-small")
    panel.set_ylabel("load of a link", fontsize="small")
    panel.set_ylim(0.0, 1.0)
    panel.legend(fontsize="small", frameon=False, ncols=2)


async def watch_queues(params: Mapping[str, float]) -> dict[tuple[str, str], list[int]]:
    """Packets in each queue, at equal distances of time."""
    fabric, news = Fabric(params), News()
    seen: dict[tuple[str, str], list[int]] = {link: [] for link in LINKS}
    with trio.move_on_after(SECONDS):
        async with trio.open_nursery() as nursery:
            fabric.start(nursery)
            for stream in STREAMS:
                nursery.start_soon(PoissonStream(stream, 10**6, fabric, news).run)
            while True:
                await trio.sleep(EVERY)
                for link, counts in seen.items():
                    counts.append(len(fabric.links[link].queue))
    return seen


async def watch_windows(params: Mapping[str, float]) -> dict[str, list[float]]:
    """The window of one flow of each stream, at equal distances of time."""
    fabric = Fabric(params, BUFFER)
    flows = [
        Flow(stream, number, fabric, params["increase"], params["decrease"]) for stream in STREAMS for number in (0, 1)
    ]
    seen: dict[str, list[float]] = {one.name: [] for one in flows[::2]}
    with trio.move_on_after(SECONDS):
        async with trio.open_nursery() as nursery:
            fabric.start(nursery)
            for one in flows:
                nursery.start_soon(one.run)
            while True:
                await trio.sleep(EVERY)
                for one in flows[::2]:
                    seen[one.name].append(float(one.window))
    return seen
