"""The tables of tunings in the READMEs of scenarios: every table is what a `detrun scenario tune` command says.

A repetition is the same command with another ``--seed``, from 0 on: all that a contender draws is new, and the held-out
seeds are the same. A table of several shows means over them, with the standard errors of these means. The way of each
contender under seed 0 is kept, too, which ``docs/figures/scenarios.py`` draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import click

from benchmarks.kept_results import RESULTS, keep, kept_results, machines, options, read_results, repetitions_of, said
from benchmarks.measuring import machine
from detrun_scenarios.frame.tuning import mean_of

KEPT = RESULTS / "scenario-tunings.json"

WEIGHTS = (
    "--by west_upper --by west_middle --by south_middle --by south_lower --by upper_north --by upper_middle "
    "--by lower_middle --by lower_east --by middle_north --by middle_east"
)
DRIVING = (
    "--by path_weight --by effort_weight --by along_weight --by cross_weight --by pace --by hurry --by unit_0 "
    "--by unit_1 --by unit_2 --by unit_3"
)

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
        "--loss read_latency --by buffer_split --by read_ahead --by random_page_cost --budget 250000",
        "--loss replica_lag --by replication_batch --budget 600000 --held-out 16",
        "--loss mean_latency --by group_commit_delay --by checkpoint_interval --by writer_interval --budget 450000 "
        "--held-out 12",
    ),
    "adaptive_scheduling": ("--loss slowdown --budget 160000 --held-out 30",),
    "one_gradient": ("--loss missed_reward --budget 80000 --held-out 400",),
    "self_optimizing_database": (
        "--loss latency --by by_key --by by_heat --by buffer_split --by read_ahead --budget 200000 --held-out 30",
    ),
    "recommender": (
        "--loss log_loss --budget 80000 --held-out 40",
        "--loss missed_clicks --budget 120000 --held-out 60",
    ),
    "physics": (
        "--loss miss_distance --by launch_speed --by launch_angle --budget 3000 --held-out 40",
        "--loss squared_miss --by launch_speed --by launch_angle --budget 3000 --held-out 40",
        "--loss pot_miss --budget 1500 --held-out 60",
        "--loss hopping_cost --budget 8000 --held-out 24",
        "--loss reach_cost --budget 40000 --held-out 16",
    ),
    "browser": (
        "--loss design_distance --by column_width --by card_gap --by card_padding --by font_size --by line_height "
        "--by reserved_height --kind local --budget 50000 --held-out 40",
    ),
    "robot": (
        "--loss reach_error --budget 120000 --held-out 24",
        f"--loss tracking_error {DRIVING} --budget 500000 --held-out 12",
        "--loss estimation_error --budget 500000 --held-out 12",
    ),
    "operating_system": (
        "--loss feedback_response --by quantum --by boost_period --budget 150000 --held-out 20",
        "--loss read_time --by low_free --by high_free --by read_ahead --by dirty_background --budget 250000",
    ),
    "key_value": ("--loss write_latency --by retry_timeout --by patience --budget 100000 --held-out 16",),
    "write_ahead_log": ("--loss write_latency --by group_delay --by compact_after --budget 100000 --held-out 16",),
    "thermostat": ("--loss squared_error --budget 500000 --held-out 10",),
    "web_server": (
        "--loss lost_goodput --by pool_seconds --by admission_rate --by database_timeout --budget 400000 --held-out 16",
        "--loss lost_goodput --by pool_seconds --by admission_rate --by database_timeout --param pool_seconds=0.3 "
        "--param admission_rate=60 --budget 400000 --held-out 16",
        "--loss p99_latency --by pool_size --by breaker_threshold --param pool_size=2 --budget 400000 --held-out 16",
        "--loss mean_latency --by hedge_delay --by backoff --kind local --budget 190000 --held-out 12",
        "--loss quote_latency --by hedge_delay --by backoff --kind local --param retry_budget=1 --budget 150000 "
        "--held-out 16",
    ),
    "routing": (
        f"--loss mean_delay {WEIGHTS} --budget 200000 --held-out 40",
        "--loss powerlessness --budget 150000 --held-out 30",
    ),
    "distributed_cache": (
        "--loss latency --by pages_weight --by images_weight --by queries_weight --budget 250000 --held-out 16",
        "--loss cost --budget 250000 --held-out 16",
    ),
    "self_tuning_cluster": (
        "--loss cost --by upper --by lower --by step_out --by step_in --by out_cooldown --by in_cooldown "
        "--by alertness --budget 1000000 --held-out 30",
    ),
    "learned_replication": ("--loss cost --budget 400000 --held-out 24",),
    "training": (
        "--loss ring_loss --by step_size --by momentum --by weight_decay --budget 135000 --held-out 8",
        "--loss validation_loss --by step_size --by momentum --by weight_decay --by staleness_discount --budget 310000 "
        "--held-out 12",
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
ROUNDING = 1e-15  # of an error: parameters that were taken through a logarithm and back make other numbers
NAMES = {"tuned": "detrun.minimize", "optuna": "Optuna, TPE", "cma": "CMA-ES"}


def markdown(scenario: str, kept: Mapping[str, Any]) -> str:
    """The tables of a scenario's README."""
    tables = [table(scenario, arguments, found) for arguments, found in kept["scenarios"][scenario].items()]
    return "\n".join([*tables, machines(kept, scenario) + "\n"])


def table(scenario: str, arguments: str, found: Mapping[str, Any]) -> str:
    """Of one command: a line for the default and for each contender."""
    errors, start, repetitions = found["standard_errors"], found["default_params"], repetitions_of(found)
    header = ["contender", found["loss"], "less by", "events", *(f"`{name}`" for name in start)]
    rows = [header, ["---"] * len(header)]
    rows.append(["the default", with_error(found["default"], errors["default"]), "", "", *map(short, start.values())])
    for who in ("tuned", *found["black_box"]):
        name = NAMES[who]
        params = [one["params"] if who == "tuned" else one["black_box_params"][who] for one in repetitions]
        events = sum(one["events_used"][who] for one in repetitions) / len(repetitions)
        rows.append(
            [
                f"{name}, `{found['kind']}`" if who == "tuned" else name,
                over(
                    [one["tuned"] if who == "tuned" else one["black_box"][who] for one in repetitions],
                    errors[who],
                ),
                over([one["gains"][who]["mean"] for one in repetitions], found["gains"][who]["std_error"]),
                f"{events:,.0f}",
                *(from_to(one[parameter] for one in params) for parameter in start),
            ]
        )
    about = f"`detrun scenario tune {scenario} {arguments}`"
    if len(repetitions) > 1:
        about += f", `--seed` 0 to {len(repetitions) - 1}, means over these ± their standard errors"
    about += f": {sum(one['cpu_seconds'] for one in repetitions):.0f} s of CPU"
    about += "".join(f"; {NAMES[name]} is left out: {why}" for name, why in found["left_out"].items())
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + f"\n{about}\n"


def over(numbers: Sequence[float], error: float) -> str:
    """The mean over repetitions with its standard error; a single number keeps its own, over held-out seeds."""
    if len(numbers) == 1:
        return with_error(numbers[0], error)
    mean = mean_of(numbers)
    return with_error(mean.value, mean.std_error)


def from_to(numbers: Iterable[float]) -> str:
    """The least and the largest."""
    ordered = sorted(numbers)
    low, high = short(ordered[0]), short(ordered[-1])
    return low if low == high else f"{low} to {high}"


def with_error(value: float, error: float) -> str:
    """A number with its standard error, to two digits of it."""
    digits = max(0, 1 - int(f"{error:e}".partition("e")[2])) if error > ROUNDING else 4
    return f"{round(value, digits) + 0.0:.{digits}f} ± {error:.{digits}f}"  # never -0


def short(number: float) -> str:
    """Two digits."""
    return f"{number:.2g}"


def repeated(
    scenario: str,
    arguments: str,
    repetitions: int,
    kept: Mapping[str, Any] | None,
    tune: Callable[..., dict[str, Any]] = said,
    keep_so_far: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """What a command said under seeds from 0 on: those that are kept, and those that are missing.

    Args:
        repetitions: how many there are to be at least.
        kept: what it said before; None to measure all.
        keep_so_far: given what there is after each repetition, so that a measurement that is cut loses only one.
    """
    known = [] if kept is None else [dict(one) for one in repetitions_of(kept)]
    for one in known:
        one.pop("repetitions", None)
    for seed in range(len(known), repetitions):
        click.echo(f"  seed {seed}", err=True)
        found = tune("tune", scenario, f"{arguments} --seed {seed}", FIELDS)
        if known:
            found.pop("ways", None)
        known.append({**found, "machine": f"{machine()}."})
        keep_so_far({**known[0], "repetitions": known[1:]})
    return {**known[0], "repetitions": known[1:]}


@click.command(help="Scenarios tuned by gradients, by Optuna and by CMA-ES, at equal simulated events.")
@click.option("--scenario", type=click.Choice(sorted(COMMANDS)), default="consensus", show_default=True)
@click.option(
    "--repetitions",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Tune so often, with seeds from 0 on, which decide all that contenders draw.",
)
@click.option("--more", is_flag=True, help="Keep the repetitions that are kept, and measure those that are missing.")
@options
def main(scenario: str, repetitions: int, more: bool, only: tuple[str, ...], show: bool) -> None:
    """Tune, keep, and print the tables of the README."""

    def measure(arguments: str) -> dict[str, Any]:
        known = read_results(KEPT)
        before = known["scenarios"].get(scenario, {}).get(arguments) if more else None
        if before is not None:
            before = {"machine": known["about"], **before}
        return repeated(
            scenario,
            arguments,
            repetitions,
            before,
            keep_so_far=partial(keep, KEPT, scenario, COMMANDS[scenario], arguments),
        )

    kept = kept_results(KEPT, scenario, COMMANDS[scenario], measure, only, show)
    click.echo(markdown(scenario, kept), nl=False)


if __name__ == "__main__":
    main()
