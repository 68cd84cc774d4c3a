"""The tables of tunings in the READMEs of scenarios: every table is what a `detrun scenario tune` command says.

The way of each contender is kept, too, which ``docs/figures/scenarios.py`` draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from benchmarks.kept_results import RESULTS, kept_results, options, said

KEPT = RESULTS / "scenario-tunings.json"

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "consensus": (
        "--loss commit_latency --budget 300000",
        "--loss unavailability --budget 400000 --held-out 200",
        "--loss unavailability --by election_timeout --by election_spread --budget 400000 --held-out 200",
        "--loss messages_per_commit --by heartbeat_interval --by batch_delay --by batch_size --budget 400000",
        "--loss read_latency --budget 150000",
        "--loss read_latency --by election_timeout --by heartbeat_interval --param lease_margin=0.12 --budget 150000",
        "--loss read_latency --by lease_share --kind policy --budget 150000",
    ),
    "database": (
        "--loss read_latency --budget 250000",
        "--loss replica_lag --by replication_batch --budget 600000 --held-out 16",
        "--loss mean_latency --by group_commit_delay --by checkpoint_interval --by writer_interval --budget 450000 "
        "--held-out 12",
    ),
    "physics": (
        "--loss miss_distance --by launch_speed --by launch_angle --budget 3000 --held-out 40",
        "--loss hopping_cost --budget 8000 --held-out 24",
        "--loss reach_cost --budget 40000 --held-out 16",
    ),
    "operating_system": (
        "--loss read_time --by low_free --by high_free --by read_ahead --by dirty_background --budget 250000",
    ),
}
"""By scenario: what follows its name."""

FIELDS = (
    "loss",
    "kind",
    "default",
    "tuned",
    "black_box",
    "standard_errors",
    "gains",
    "events_used",
    "params",
    "default_params",
    "black_box_params",
    "ways",
    "left_out",
)
NAMES = {"tuned": "detrun.minimize", "optuna": "Optuna, TPE", "cma": "CMA-ES"}


def markdown(scenario: str, kept: Mapping[str, Any]) -> str:
    """The tables of a scenario's README."""
    tables = [table(scenario, arguments, found) for arguments, found in kept["scenarios"][scenario].items()]
    return "\n".join([*tables, kept["about"] + "\n"])


def table(scenario: str, arguments: str, found: Mapping[str, Any]) -> str:
    """Of one command: a line for the default and for each contender."""
    errors, start = found["standard_errors"], found["default_params"]
    header = ["contender", found["loss"], "less by", "events", *(f"`{name}`" for name in start)]
    rows = [header, ["---"] * len(header)]
    rows.append(["the default", with_error(found["default"], errors["default"]), "", "", *map(short, start.values())])
    losses = {"tuned": found["tuned"], **found["black_box"]}
    params = {"tuned": found["params"], **found["black_box_params"]}
    for who, loss in losses.items():
        gain = found["gains"][who]
        rows.append(
            [
                f"{NAMES[who]}, `{found['kind']}`" if who == "tuned" else NAMES[who],
                with_error(loss, errors[who]),
                with_error(gain["mean"], gain["std_error"]),
                f"{found['events_used'][who]:,}",
                *(short(params[who][name]) for name in start),
            ]
        )
    about = f"`detrun scenario tune {scenario} {arguments}`: {found['cpu_seconds']:.0f} s of CPU"
    about += "".join(f"; {NAMES[name]} is left out: {why}" for name, why in found["left_out"].items())
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + f"\n{about}\n"


def with_error(value: float, error: float) -> str:
    """A number with its standard error, to two digits of it."""
    digits = max(0, 1 - int(f"{error:e}".partition("e")[2])) if error > 0.0 else 4
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def short(number: float) -> str:
    """Two digits."""
    return f"{number:.2g}"


@click.command(help="Scenarios tuned by gradients, by Optuna and by CMA-ES, at equal simulated events.")
@click.option("--scenario", type=click.Choice(sorted(COMMANDS)), default="consensus", show_default=True)
@options
def main(scenario: str, only: tuple[str, ...], show: bool) -> None:
    """Tune, keep, and print the tables of the README."""

    def measure(arguments: str) -> dict[str, Any]:
        return said("tune", scenario, arguments, FIELDS)

    kept = kept_results(KEPT, scenario, COMMANDS[scenario], measure, only, show)
    click.echo(markdown(scenario, kept), nl=False)


if __name__ == "__main__":
    main()
