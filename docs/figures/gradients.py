"""The figures of docs/gradients.md: ``python docs/figures/gradients.py [DIRECTORY]`` draws them, by default here.

Everything in them is computed with fixed seeds, but the way of each contender of the controller, which is that of
``benchmarks/results/controller-tuning.json``. ``--quick`` takes few samples, for a test of the script.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import trio
from matplotlib.figure import Figure
from PIL import Image

import detrun
from detrun import relaxed

HERE = Path(__file__).resolve().parent
TUNING = HERE.parents[1] / "benchmarks" / "results" / "controller-tuning.json"
TIMEOUT = 0.5
OVERHEAD = 0.3
SINGLE_SEED = 8
KIND_COLOURS = {
    "local": "#c44e52",
    "expected": "#2a7f3f",
    "policy": "#b8860b",
    "finite": "#1f5fa8",
    "relaxed": "#7a4fa3",
}
GREY = "#555555"


async def fetch_cost(params: Mapping[str, Any]) -> Any:
    """Ask until an answer comes; each time-out costs 0.3 beside its time."""
    cost = 0.0
    while True:
        with trio.move_on_after(params["timeout"]):
            await trio.sleep(detrun.exponential(1.0))
            return trio.current_time() + cost
        cost += OVERHEAD


def mean_cost(timeout: float) -> float:
    """In closed form: 1 + 0.3 q / (1 - q), q = exp(-timeout)."""
    q = math.exp(-timeout)
    return 1.0 + OVERHEAD * q / (1.0 - q)


def routing(params: Mapping[str, Any]) -> Any:
    """Short jobs go to a server that takes twice their size, long ones to one with an overhead."""
    size = detrun.exponential(1.0)
    return relaxed.where(params["longest"] - size, 2 * size, size + 0.5)


def panels(width: float, count: int = 1) -> tuple[Figure, list[Any]]:
    """A figure with plain axes side by side."""
    figure = Figure(figsize=(width, 3.6), layout="constrained")
    found = [figure.add_subplot(1, count, number + 1) for number in range(count)]
    for panel in found:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
    return figure, found


def meanings(samples: int, points: int) -> Figure:
    """One run and the mean of all of them against the time-out, with what each kind says of its slope."""
    figure, (single, mean) = panels(10.0, 2)
    timeouts = [0.25 + 0.6 * k / (points - 1) for k in range(points)]
    losses = [detrun.record(fetch_cost, {"timeout": one}, seed=SINGLE_SEED).result for one in timeouts]
    for first, last in unbroken(timeouts, losses):
        single.plot(timeouts[first:last], losses[first:last], color=GREY)
    local = detrun.gradient(fetch_cost, {"timeout": TIMEOUT}, seed=SINGLE_SEED)
    reach = 0.13
    single.plot(
        [TIMEOUT - reach, TIMEOUT + reach],
        [local.value - reach * local.grads["timeout"], local.value + reach * local.grads["timeout"]],
        color=KIND_COLOURS["local"],
        linewidth=2.5,
        label=f"local: {local.grads['timeout']:+.0f}",
    )
    single.plot([TIMEOUT], [local.value], "o", color="black")
    single.set(title="one run: it jumps where an attempt succeeds", xlabel="time-out", ylabel="cost of the run")
    single.legend()
    mean.plot(timeouts, [mean_cost(one) for one in timeouts], color="black", label="mean of all runs")
    found = detrun.compare_gradients(fetch_cost, {"timeout": TIMEOUT}, samples=samples, options=OPTIONS).found
    centre = mean_cost(TIMEOUT)
    for kind, one in found.items():
        slope, error = one.grads["timeout"], one.std_error["timeout"]
        mean.plot(
            [TIMEOUT - reach, TIMEOUT + reach],
            [centre - reach * slope, centre + reach * slope],
            color=KIND_COLOURS[kind],
            linewidth=2.0,
            linestyle=DASHES[kind],
            label=f"{kind}: {slope:+.2f} ± {error:.2f}",
        )
    mean.plot([TIMEOUT], [centre], "o", color="black", zorder=3)
    mean.set(title="the mean: slopes by the five kinds at 0.5", xlabel="time-out", ylabel="mean cost")
    mean.legend(fontsize="small")
    return figure


OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "expected": {"pairs": 4},
    "finite": {"step": 0.1},
    "relaxed": {"smoothing": {"timeout": 0.1}},
}
DASHES = {"local": "-", "expected": "-", "policy": (0, (1, 1)), "finite": (0, (5, 2)), "relaxed": (0, (3, 2, 1, 2))}


def unbroken(places: Sequence[float], losses: Sequence[float]) -> list[tuple[int, int]]:
    """Where a curve goes on without a jump: first and last index but one of each piece."""
    steepest = 40.0 * (places[1] - places[0])
    cuts = [k + 1 for k in range(len(losses) - 1) if abs(losses[k + 1] - losses[k]) > steepest]
    return list(zip([0, *cuts], [*cuts, len(losses)], strict=True))


def temperatures(samples: int) -> Figure:
    """What the relaxed kind says over falling temperatures, and what is right."""
    figure, (panel,) = panels(7.0)
    levels = [0.4 * 0.5**k for k in range(6)]
    longest = 0.2
    right = math.exp(-longest) * (longest - 0.5)
    soft = detrun.gradient(routing, {"longest": longest}, kind="relaxed", temperature=levels, samples=samples)
    row = soft.details.trend["longest"]  # type: ignore[union-attr]  # those of `relaxed` have it
    panel.axhline(right, color="black", linewidth=1.2, label=f"right: {right:+.3f}")
    panel.errorbar(
        levels,
        [one.mean for one in row],
        yerr=[2.0 * one.std_error for one in row],
        fmt="o-",
        color=KIND_COLOURS["relaxed"],
        capsize=4,
        label="relaxed, ± two standard errors",
    )
    panel.set_xscale("log")
    panel.invert_xaxis()
    panel.set_xticks(levels, [f"{one:.3g}" for one in levels])
    panel.minorticks_off()
    panel.set(
        title="two servers: less bias and more noise as the temperature falls",
        xlabel="temperature (colder to the right)",
        ylabel="d cost / d threshold",
    )
    panel.legend()
    return figure


CONTENDER_STYLES = {
    "minimize, expected, 8 pairs": (KIND_COLOURS["expected"], "-", "o"),
    "minimize, relaxed at 0.1": (KIND_COLOURS["relaxed"], "-", "s"),
    "minimize, finite": (KIND_COLOURS["finite"], "-", "^"),
    "minimize, simultaneous": ("#6fa8dc", "-", "v"),
    "Optuna, TPE": (GREY, "--", "x"),
    "CMA-ES": ("black", "--", "+"),
}


def tuning(file: Path) -> Figure:
    """The loss of what each contender proposed, against the runs that it had spent."""
    figure, (panel,) = panels(7.5)
    for name, way in json.loads(file.read_text())["ways"].items():
        colour, dash, marker = CONTENDER_STYLES[name]
        runs, losses = zip(*way, strict=True)
        panel.plot(runs, losses, color=colour, linestyle=dash, marker=marker, markersize=5, label=name)
    panel.set(
        title="a controller tuned at equal simulated events",
        xlabel="runs spent",
        ylabel="loss on seeds that none has seen",
    )
    panel.legend(fontsize="small")
    return figure


def draw(directory: Path, quick: bool = False) -> list[Path]:
    """Draw all figures into a directory; their files."""
    drawn: Mapping[str, Callable[[], Figure]] = {
        "gradient-meanings.png": lambda: meanings(20 if quick else 1_000, 12 if quick else 300),
        "gradient-temperatures.png": lambda: temperatures(20 if quick else 1_500),
        "gradient-tuning.png": lambda: tuning(TUNING),
    }
    found = []
    for name, figure in drawn.items():
        found.append(directory / name)
        drawing = BytesIO()
        figure().savefig(drawing, dpi=110)
        # Few colours make small files, and pillow writes no version of matplotlib: equal pictures are equal files.
        Image.open(drawing).convert("RGB").quantize(48).save(found[-1], optimize=True)
    return found


if __name__ == "__main__":
    arguments = [one for one in sys.argv[1:] if one != "--quick"]
    for file in draw(Path(arguments[0]) if arguments else HERE, quick="--quick" in sys.argv):
        print(f"{file} {file.stat().st_size:,} bytes")
