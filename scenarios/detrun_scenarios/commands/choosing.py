"""What several commands take: a scenario, a bug, parameters; and how they are checked against the declaration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from detrun.cli import parameters
from detrun_scenarios.frame.declaration import SIZES, Loss, Scenario
from detrun_scheduler.errors import UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

name_argument = click.argument("name", metavar="NAME")
bug_option = click.option("--bug", metavar="BUG", help="Plant this bug.")
loss_option = click.option("--loss", metavar="LOSS", help="The loss; the first one by default.")


def size_option(default: str) -> Callable[[Decorated], Decorated]:
    """``--size``."""
    return click.option(
        "--size", type=click.Choice(SIZES), default=default, show_default=True, help="How large the workload is."
    )


def params_of(scenario: Scenario, texts: Iterable[str]) -> dict[str, float]:
    """All parameters of a scenario: its defaults, and over them those of the command line.

    Raises:
        UsageError: one is unknown, or outside of its bounds.
    """
    params = scenario.defaults
    for name, number in parameters.parse(texts).items():
        one = scenario.parameter(name)
        low, high = one.bounds
        if not low <= number <= high:
            unit = f" {one.unit}" if one.unit else ""
            raise UsageError(f"--param {name}={number:g} is outside of its bounds; give {low:g} to {high:g}{unit}")
        params[name] = number
    return params


def loss_of(scenario: Scenario, name: str | None) -> Loss:
    """The loss of that name, or the first.

    Raises:
        UsageError: there is no such loss, or none at all.
    """
    if name is not None:
        return scenario.loss(name)
    if not scenario.losses:
        raise UsageError(f"scenario {scenario.name} declares no loss, so there is nothing to differentiate or tune")
    return scenario.losses[0]
