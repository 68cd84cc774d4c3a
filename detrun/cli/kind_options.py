"""Options that belong to single kinds of gradient, for every command that takes gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click

# The keyword arguments of `detrun.gradient` that each kind alone understands.
OF_KINDS: Mapping[str, tuple[str, ...]] = {
    "expected": ("pairs", "on_unknown"),
    "policy": ("baseline", "continuous"),
    "finite": ("difference", "schedule", "step"),
    "relaxed": ("temperature", "smoothing"),
}


def of_kinds(function: Callable[..., Any]) -> Callable[..., Any]:
    """These options, for ``function`` as one argument ``of_kind``: those that were given, by name."""

    @wraps(function)
    def gathered(**given: Any) -> Any:
        from detrun.cli.parameters import parse_moves

        found = {name: given.pop(name) for names in OF_KINDS.values() for name in names}
        found["step"] = parse_moves("--step", found["step"])
        found["smoothing"] = parse_moves("--smoothing", found["smoothing"])
        found["temperature"] = found["temperature"] or None
        return function(of_kind={name: one for name, one in found.items() if one is not None}, **given)

    decorated: Callable[..., Any] = gathered
    for option in reversed(
        (
            click.option(
                "--baseline", metavar="KIND", help="Of kind policy: leave-one-out, fitted, linear, twin, none."
            ),
            click.option(
                "--continuous", metavar="KIND", help="Of kind policy: score, or pathwise for continuous draws."
            ),
            click.option("--difference", metavar="KIND", help="Of kind finite: central, forward or simultaneous."),
            click.option("--schedule", metavar="KIND", help="Of kind finite: free, or frozen while it fits."),
            click.option(
                "--step",
                multiple=True,
                metavar="[NAME=]H",
                help="Of kind finite: how far a parameter moves. Repeatable.",
            ),
            click.option(
                "--temperature",
                multiple=True,
                type=float,
                metavar="T",
                help="Of kind relaxed; or falling ones.",
            ),
            click.option(
                "--smoothing", multiple=True, metavar="[NAME=]W", help="Of kind relaxed: width of perturbations."
            ),
            click.option(
                "--pairs",
                type=int,
                metavar="N",
                help="Of kind expected: so many draws are tried otherwise in a sample.",
            ),
            click.option(
                "--on-unknown", metavar="WHAT", help="Of kind expected: refuse, or report, jumps of unknown density."
            ),
        )
    ):
        decorated = option(decorated)
    return decorated
