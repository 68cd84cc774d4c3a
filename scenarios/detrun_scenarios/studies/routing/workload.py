"""How much traffic of which kind a run has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.frame.news import News
from detrun_scenarios.studies.routing.fabric import Fabric
from detrun_scenarios.studies.routing.links import Link
from detrun_scenarios.studies.routing.losses import delay_of, losses_of_flows
from detrun_scenarios.studies.routing.network import STREAMS
from detrun_scenarios.studies.routing.traffic import Flow, PoissonStream


@dataclass(frozen=True, slots=True)
class Workload:
    """Of one run.

    Attributes:
        seconds: of open traffic, about; and of flows.
        flows: for each stream.
    """

    seconds: float
    flows: int = 2


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(0.8),
    "medium": Workload(6.0),
    "large": Workload(170.0),
}
BUFFER = 12  # packets of a link, where flows share it


async def run_streams(params: Mapping[str, Any], seconds: float, link: type[Link] = Link) -> list[PoissonStream]:
    """Open traffic, until the last packet is delivered."""
    fabric, news = Fabric(params, link=link), News()
    streams = [PoissonStream(one, max(round(one.rate * seconds), 1), fabric, news) for one in STREAMS]
    async with trio.open_nursery() as nursery:
        fabric.start(nursery)
        for one in streams:
            nursery.start_soon(one.run, name=one.name)
        while any(len(one.delays) < one.count for one in streams):
            await news.wait()
        fabric.check()
        nursery.cancel_scope.cancel()
    return streams


async def run_flows(params: Mapping[str, Any], workload: Workload, link: type[Link] = Link) -> list[Flow]:
    """Flows of TCP, for a time."""
    fabric = Fabric(params, BUFFER, link)
    flows = [
        Flow(stream, number, fabric, params["increase"], params["decrease"])
        for stream in STREAMS
        for number in range(workload.flows)
    ]
    with trio.move_on_after(workload.seconds):
        async with trio.open_nursery() as nursery:
            fabric.start(nursery)
            for one in flows:
                nursery.start_soon(one.run, name=one.name)
    fabric.check()
    return flows


def program(setting: Setting) -> Program:
    """The network for a setting: under the traffic that its loss is about, or under one after the other."""

    async def main(params: Mapping[str, Any]) -> Mapping[str, Any]:
        workload, found = WORKLOADS[setting.size], {}
        if setting.loss in (None, "mean_delay"):
            found["mean_delay"] = delay_of(await run_streams(params, workload.seconds))
        if setting.loss != "mean_delay":
            found.update(losses_of_flows(await run_flows(params, workload), workload.seconds))
        return found

    return main
