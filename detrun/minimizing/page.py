"""A minimization as an HTML page: its loss with errors, on its samples and on held-out seeds, and each parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from detrun.minimizing.iteration import Iteration, Look
from detrun.pages.curves import Curve, Curves, Panel, Point, curves_page

PANELS_MAX = 24  # of parameters
ALONG = "iterations"


class ShownMinimum(Protocol):
    """What a page shows of a `Minimum`, whose attributes these are."""

    params: dict[str, float]
    value: float
    std_error: float
    start: float
    gain: float
    gain_std_error: float
    kind: str
    reason: str
    history: Sequence[Iteration]
    looks: Sequence[Look]
    runs: int
    steps: int
    warnings: list[str]


def minimum_page(found: ShownMinimum, title: str = "detrun: a minimum") -> str:
    """The text of the file."""
    names = list(found.params)[:PANELS_MAX]
    left = len(found.params) - len(names)
    first: Mapping[str, float] = found.looks[0].params if found.looks else found.params
    return curves_page(
        Curves(
            title,
            f"a loss of {found.value:.6g} ± {found.std_error:.2g} on held-out seeds, {found.gain:.3g} ± "
            f"{found.gain_std_error:.2g} less than at the start",
            {
                "gradients": found.kind,
                "took": f"{len(found.history):,} iterations, {found.runs:,} runs, {found.steps:,} steps",
                "ended": found.reason,
                "again": " ".join(f"--param {name}={number!r}" for name, number in found.params.items()),
            },
            [_loss(found), *(_parameter(found, name) for name in names)],
            ["parameter", "from", "to"],
            [[name, f"{first[name]:.6g}", f"{number:.6g}"] for name, number in found.params.items()],
            [*found.warnings, *([f"{left:,} more parameters are in the table"] if left else [])],
        )
    )


def _loss(found: ShownMinimum) -> Panel:
    samples = [Point(one.number - 1, one.value, one.value_std_error) for one in found.history]
    held_out = [Point(one.after, one.value, one.std_error) for one in found.looks]
    curves = [Curve("samples of the gradients", samples), Curve("held-out seeds", held_out)]
    return Panel(
        "the loss, ± a standard error", ALONG, "loss", curves, ("at the start, on held-out seeds", found.start)
    )


def _parameter(found: ShownMinimum, name: str) -> Panel:
    way = [Point(one.number - 1, one.params[name]) for one in found.history]
    looks = [Point(one.after, one.params[name]) for one in found.looks]
    return Panel(name, ALONG, name, [Curve("iterations", way), Curve("looks", looks)], ("the best", found.params[name]))
