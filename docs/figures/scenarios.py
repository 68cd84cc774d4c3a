"""The pictures and tables in the READMEs of scenarios: ``python docs/figures/scenarios.py NAME`` makes them again.

``run.png`` is what ``detrun scenario plot NAME`` draws. ``tuning.png`` and the tables show what is kept in
``benchmarks/results/tuning-NAME-LOSS.json``, each the output of a ``detrun scenario tune NAME --loss LOSS --json``;
``--tables`` prints the tables and draws nothing.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from detrun_scenarios.frame.catalogue import find_scenario
from detrun_scenarios.frame.declaration import Scenario

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "benchmarks" / "results"
PACKAGE = ROOT / "scenarios" / "detrun_scenarios"
NAMES = {"tuned": "detrun.minimize", "optuna": "Optuna, TPE", "cma": "CMA-ES"}
STYLES = {"tuned": ("#2a7f3f", "-", "o"), "optuna": ("#1f5fa8", "--", "s"), "cma": ("#b8860b", "-.", "^")}
COLOURS = 160  # of a picture: few make small files


def kept_tunings(scenario: Scenario) -> list[dict[str, Any]]:
    """What is kept of its losses, in the order of the declaration."""
    files = [KEPT / f"tuning-{scenario.name}-{loss.name}.json" for loss in scenario.losses]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def command_of(found: dict[str, Any]) -> str:
    """By which it was made."""
    words = ["detrun", "scenario", "tune", found["scenario"], "--loss", found["loss"], "--budget", str(found["budget"])]
    return shlex.join([*words, "--held-out", str(len(found["held_out_seeds"])), "--seed", str(found["seed"])])


def table(found: dict[str, Any]) -> str:
    """Of one loss, in Markdown: contenders with the loss on held-out seeds and what they propose."""
    errors, start = found["standard_errors"], found["default_params"]
    columns = ["contender", found["loss"], "less by", "events", *(f"`{name}`" for name in start)]
    rows = [columns, ["---"] * len(columns)]
    rows.append(["the default", measured(found["default"], errors["default"]), "", "", *map(short, start.values())])
    losses = {"tuned": found["tuned"], **found["black_box"]}
    params = {"tuned": found["params"], **found["black_box_params"]}
    for who, loss in losses.items():
        gain = found["gains"][who]
        rows.append(
            [
                NAMES[who] + (f", `{found['kind']}`" if who == "tuned" else ""),
                measured(loss, errors[who]),
                measured(gain["mean"], gain["std_error"]),
                f"{found['events_used'][who]:,}",
                *(short(params[who][name]) for name in start),
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + f"\n`{command_of(found)}`\n"


def measured(value: float, error: float) -> str:
    """A number with its standard error, to two digits of it."""
    digits = max(0, 1 - int(f"{error:e}".partition("e")[2])) if error > 0.0 else 4
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def short(number: float) -> str:
    """Two digits."""
    return f"{number:.2g}"


def tables(scenario: Scenario) -> str:
    """Of all losses that are kept."""
    return "\n".join(table(found) for found in kept_tunings(scenario))


def curves(found: Sequence[dict[str, Any]], scenario: Scenario) -> Figure:
    """The loss over the events that each contender had spent, as it saw it, and the verdict at the end."""
    figure = Figure(figsize=(4.0 * len(found), 3.7), layout="constrained")
    for number, one in enumerate(found):
        panel = figure.add_subplot(1, len(found), number + 1)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
        panel.axhline(one["default"], color="#555555", linewidth=1.0, linestyle=(0, (4, 3)), label="the default")
        verdicts = {"tuned": one["tuned"], **one["black_box"]}
        for who, way in one["ways"].items():
            colour, dash, mark = STYLES[who]
            spent, seen = [at[0] / 1_000 for at in way], [at[1] for at in way]
            panel.plot(spent, seen, linestyle=dash, color=colour, alpha=0.55, drawstyle="steps-post")
            panel.errorbar(
                [one["events_used"][who] / 1_000],
                [verdicts[who]],
                yerr=[2.0 * one["standard_errors"][who]],
                fmt=mark,
                color=colour,
                capsize=3,
                label=NAMES[who],
                zorder=3,
            )
        loss = scenario.loss(one["loss"])
        panel.set_title(loss.name, fontsize="medium")
        panel.set_xlabel("thousand simulated events", fontsize="small")
        panel.set_ylabel(f"{loss.about}, {loss.unit}", fontsize="x-small")
        panel.tick_params(labelsize="small")
        panel.set_ylim(bottom=0.0)
    figure.axes[0].legend(fontsize="x-small", frameon=False)
    figure.suptitle("lines: as each contender saw it; marks: held-out seeds, ± two standard errors", fontsize="small")
    return figure


def save_small(drawing: BytesIO | Path, file: Path) -> None:
    """Write a picture in few colours; pillow writes no version of matplotlib: equal pictures are equal files."""
    Image.open(drawing).convert("RGB").quantize(COLOURS).save(file, optimize=True)


def draw(scenario: Scenario, folder: Path) -> list[Path]:
    """Draw what the README of a scenario shows; the files."""
    files = []
    if scenario.draw is not None:
        files.append(folder / "run.png")
        scenario.draw(str(files[-1]), scenario.defaults, 0)
        save_small(files[-1], files[-1])
    if found := kept_tunings(scenario):
        files.append(folder / "tuning.png")
        drawing = BytesIO()
        curves(found, scenario).savefig(drawing, dpi=110)
        save_small(drawing, files[-1])
    return files


def main(arguments: Sequence[str]) -> None:
    """Do what the command line says."""
    for name in arguments:
        if name == "--tables":
            continue
        scenario = find_scenario(name)
        if "--tables" in arguments:
            sys.stdout.write(tables(scenario))
            continue
        for file in draw(scenario, PACKAGE / name):
            print(f"{file} {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
