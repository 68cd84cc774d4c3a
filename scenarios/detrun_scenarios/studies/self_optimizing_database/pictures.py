"""The picture of layouts: where the rows of a table lie in each, and how long reads take there as the mix changes.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.frame.pictures import new_figure, save
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.studies.self_optimizing_database.layout import drawn_noise, ordered, rank_of_key
from detrun_scenarios.studies.self_optimizing_database.server import THINK_SECONDS, served
from detrun_scenarios.studies.self_optimizing_database.workload import LOADS

LAYOUTS = {"as they came": (0.5, 0.1), "by key": (8.0, 0.05), "by heat": (0.05, 8.0)}
LOAD = LOADS["medium"]
BIN = 10  # reads of which a mean is drawn


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the medium load once for each layout, and draw where rows lie and what reads take."""
    figure = new_figure(path, 10.5, 6.0)
    panels = figure.subplots(2, len(LAYOUTS), sharey="row")
    ranks = rank_of_key(LOAD.rows)
    for column, (name, (by_key, by_heat)) in enumerate(LAYOUTS.items()):
        latencies: list[float] = []
        keys: list[int] = []

        async def story(params: Mapping[str, Any], latencies: list[float] = latencies, keys: list[int] = keys) -> None:
            keys += ordered(LOAD.rows, params["by_key"], params["by_heat"], drawn_noise(LOAD.rows))
            async with served(params, LOAD) as found:
                asked = sorted(found.observed.asked, key=lambda one: plain(one.began))
                latencies += [plain(one.ended - one.began) for one in asked]

        detrun.record(story, {**params, "by_key": by_key, "by_heat": by_heat}, seed=seed)
        above, below = panels[0][column], panels[1][column]
        above.scatter(range(LOAD.rows), keys, c=[ranks[key] for key in keys], s=9, cmap="inferno")
        above.set_title(f"{name}: by_key {by_key:g}, by_heat {by_heat:g}", fontsize="small")
        above.set_xlabel("place in the heap; bright: seldom read", fontsize="small")
        means = [sum(latencies[at : at + BIN]) / BIN * 1e3 for at in range(0, len(latencies) - BIN + 1, BIN)]
        below.bar([BIN * (at + 0.5) for at in range(len(means))], means, width=0.9 * BIN, color="#2a6f97")
        below.axvline(LOAD.phase * LOAD.readers, color="#d1495b", linewidth=1.0, linestyle="--")
        below.set_xlabel(f"reads; red: from rows to ranges; {THINK_SECONDS * 1e3:g} ms between two", fontsize="small")
        for panel in (above, below):
            panel.spines[["top", "right"]].set_visible(False)
            panel.tick_params(labelsize="small")
    panels[0][0].set_ylabel("key", fontsize="small")
    panels[1][0].set_ylabel("mean latency, ms", fontsize="small")
    save(figure, path)
