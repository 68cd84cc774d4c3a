"""The picture of the cache: hit ratios by the room of each class, by Che and as measured; misses while a node is away.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import detrun
from detrun_scenarios.frame.pictures import new_figure, save
from detrun_scenarios.studies.distributed_cache import che
from detrun_scenarios.studies.distributed_cache.front import Front
from detrun_scenarios.studies.distributed_cache.ring import Ring
from detrun_scenarios.studies.distributed_cache.tenants import TENANTS
from detrun_scenarios.studies.distributed_cache.workload import Workload, rooms_of, run_cache

STORY = Workload(nodes=4, seconds=60.0, measured_from=0.0, away=(0.5, 0.67))
SHARES = (0.5, 1.0, 2.0)  # of each weight, at which hit ratios are measured
MEASURED = Workload(nodes=4, seconds=25.0, measured_from=8.0)
FOR_EVER = 1e6  # seconds, a time to live in which nothing ends
COLOURS = ("#2a6f97", "#d1495b", "#3a8f5c")


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the cache with several splits, and once while a node is away."""
    figure = new_figure(path, 10.5, 4.0)
    left, right = figure.subplots(1, 2)
    _draw_ratios(left, params, seed)
    _draw_story(right, detrun.record(run_cache, dict(params), STORY, seed=seed).result)
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize="small")
    save(figure, path)


def _draw_ratios(panel: Any, params: Mapping[str, float], seed: int) -> None:
    ring = Ring(f"cache{number}" for number in range(MEASURED.nodes))
    for tenant, colour in zip(TENANTS, COLOURS, strict=True):
        rates: dict[str, list[float]] = {}
        for rank, share in enumerate(tenant.popularity()):
            rates.setdefault(ring.owner(tenant.key(rank)), []).append(share * tenant.rate)
        rooms = range(1, 37)
        panel.plot(rooms, [_ratio(list(rates.values()), room) for room in rooms], color=colour, label=tenant.name)
        for share in SHARES:
            weight = f"{tenant.name}_weight"
            split = {**params, weight: params[weight] * share}
            lasting = {f"{one.name}_ttl": FOR_EVER for one in TENANTS}
            front: Front = detrun.record(run_cache, {**split, **lasting}, MEASURED, seed=seed).result
            missed = front.missed[tenant.name]
            room = float(rooms_of(split, MEASURED.nodes)[tenant.name])
            panel.plot([room], [1.0 - sum(missed) / len(missed)], "o", color=colour)
    panel.set_xlabel("room of a class at a node, in objects", fontsize="small")
    panel.set_ylabel("hit ratio", fontsize="small")
    panel.set_title("lines: Che's approximation; dots: measured, without times to live", fontsize="small")
    panel.legend(fontsize="small", frameon=False)


def _ratio(nodes: Sequence[Sequence[float]], room: float) -> float:
    total = sum(map(sum, nodes))
    return sum(sum(rates) * che.hit_ratio(rates, room) for rates in nodes) / total


def _draw_story(panel: Any, front: Front) -> None:
    assert STORY.away is not None
    for tenant, colour in zip(TENANTS, COLOURS, strict=True):
        missed = [float(one) for one in front.missed[tenant.name]]
        parts = 30
        size = len(missed) / parts
        shares = [
            sum(missed[int(at * size) : int((at + 1) * size)]) / max(int((at + 1) * size) - int(at * size), 1)
            for at in range(parts)
        ]
        times = [STORY.seconds * (at + 0.5) / parts for at in range(parts)]
        panel.plot(times, shares, color=colour, linewidth=1.2, label=tenant.name)
    gone, back = (share * STORY.seconds for share in STORY.away)
    panel.axvspan(gone, back, color="#9aa7b4", alpha=0.3, label="a node is away")
    panel.set_xlabel("virtual seconds", fontsize="small")
    panel.set_ylabel("share of misses", fontsize="small")
    panel.set_ylim(0.0, 1.0)
    panel.legend(fontsize="small", frameon=False, ncols=2)
