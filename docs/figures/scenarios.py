"""The pictures in the READMEs of scenarios: ``python docs/figures/scenarios.py NAME`` draws them again.

``run.png`` is what ``detrun scenario plot NAME`` draws. ``tuning.png`` shows the tunings that
``python -m benchmarks.scenario_tunings`` keeps: the ways of the first repetition, and the verdicts of all.
"""

from __future__ import annotations

import json
import math
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from detrun_scenarios.frame.catalogue import find_scenario, folder_of
from detrun_scenarios.frame.declaration import Scenario

ROOT = Path(__file__).resolve().parents[2]
TUNINGS = ROOT / "benchmarks" / "results" / "scenario-tunings.json"
STYLES = {
    "tuned": ("detrun.minimize", "#2a7f3f", "-", "o"),
    "optuna": ("Optuna, TPE", "#1f5fa8", "--", "s"),
    "cma": ("CMA-ES", "#b8860b", "-.", "^"),
}
GREY = "#555555"
COLUMNS = 2
TITLE_WIDTH = 70  # letters in a line
COLOURS = 160  # of a picture: few make small files
FACTORS = {"s": (1_000.0, "ms")}  # units as they are drawn


def kept_tunings(scenario: Scenario) -> dict[str, dict[str, Any]]:
    """What is kept, by the arguments of the command."""
    found: dict[str, dict[str, Any]] = json.loads(TUNINGS.read_text())["scenarios"].get(scenario.name, {})
    return found


def curves(found: Mapping[str, Mapping[str, Any]], scenario: Scenario) -> Figure:
    """The loss over the events that each contender had spent, as it saw it, and the verdict at the end."""
    rows = math.ceil(len(found) / COLUMNS)
    figure = Figure(figsize=(5.2 * COLUMNS, 3.2 * rows + 0.6), layout="constrained")
    for number, (arguments, one) in enumerate(found.items()):
        panel = figure.add_subplot(rows, COLUMNS, number + 1)
        factor, unit = FACTORS.get(scenario.loss(one["loss"]).unit, (1.0, scenario.loss(one["loss"]).unit))
        _draw_ways(panel, one, factor)
        words = shlex.split(arguments)
        only = [words[at + 1] for at, word in enumerate(words) if word == "--by"]
        panel.set_title(
            one["loss"] + (("\n" + fill("by " + ", ".join(only), TITLE_WIDTH)) if only else ""), fontsize="small"
        )
        panel.set_xlabel("thousand simulated events", fontsize="small")
        panel.set_ylabel(unit, fontsize="small")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        fontsize="small",
        frameon=False,
        ncols=len(labels),
        loc="outside lower center",
        title="lines: the loss as each contender saw it; marks: its proposals on held-out seeds, ± two standard errors",
        title_fontsize="small",
    )
    return figure


def _draw_ways(panel: Any, one: Mapping[str, Any], factor: float) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(alpha=0.25)
    panel.tick_params(labelsize="small")
    panel.axhline(factor * one["default"], color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), label="the default")
    for who in ("tuned", *one["black_box"]):
        name, colour, dash, mark = STYLES[who]
        way = one["ways"][who]
        if way:  # else not even one generation fitted into the budget
            way = [*way, (one["events_used"][who], way[-1][1])]
            seen = ([at[0] / 1_000 for at in way], [factor * at[1] for at in way])
            panel.plot(*seen, linestyle=dash, color=colour, alpha=0.6, drawstyle="steps-post")
        repetitions = [one, *one.get("repetitions", ())]
        losses = [again["tuned"] if who == "tuned" else again["black_box"][who] for again in repetitions]
        panel.errorbar(
            [again["events_used"][who] / 1_000 for again in repetitions],
            [factor * loss for loss in losses],
            yerr=[2.0 * factor * again["standard_errors"][who] for again in repetitions],
            fmt=mark,
            color=colour,
            capsize=3,
            label=name,
            zorder=3,
        )
    if one["default"] > 0.0:
        panel.set_ylim(bottom=0.0)


def save_small(drawing: BytesIO | Path, file: Path) -> None:
    """Write a picture in few colours; pillow writes no version of matplotlib: equal pictures are equal files."""
    Image.open(drawing).convert("RGB").quantize(COLOURS).save(file, optimize=True)


def draw(scenario: Scenario, folder: Path) -> list[Path]:
    """Draw what the README of a scenario shows; the files."""
    files = [folder / "run.png"]
    subprocess.run([sys.executable, "-m", "detrun", "scenario", "plot", scenario.name, "-o", str(files[0])], check=True)
    save_small(files[0], files[0])
    if found := kept_tunings(scenario):
        files.append(folder / "tuning.png")
        drawing = BytesIO()
        curves(found, scenario).savefig(drawing, dpi=110)
        save_small(drawing, files[-1])
    return files


def main(names: Sequence[str]) -> None:
    """Draw the pictures of these scenarios."""
    for name in names:
        for file in draw(find_scenario(name), folder_of(name)):
            print(f"{file} {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
