"""``detrun scenario``: the group of its commands, found by detrun through the entry point ``detrun.commands``."""

from __future__ import annotations

import click

from detrun_scenarios.commands import explore, gradient, listing, plot, run, tune


@click.group(short_help="Run, explore, differentiate and tune real systems.")
def scenario() -> None:
    """Real systems, each declared in one object: run them, hunt their planted bugs, differentiate and tune them."""


for command in (listing.list_scenarios, run.run, explore.explore, gradient.gradient, tune.tune, plot.plot):
    scenario.add_command(command)
