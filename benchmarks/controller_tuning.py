"""A queueing controller tuned by `detrun.minimize`, by Optuna and by CMA-ES, at equal simulated events.

Jobs of exponential size are routed by a threshold to two servers, whose speeds cost energy, and are turned away where
the backlog is above a limit, at a price. Four parameters; the loss of a run of twenty jobs has jumps at every
threshold. Each contender gets the same number of runs, of equally many jobs each, those on held-out seeds included;
what it proposes is then looked at on seeds that none of them has seen, the same for all. ``events`` are jobs. The
contenders are those of `detrun scenario tune`.

What is unfair: the rate, the samples and the pairs of `detrun.minimize` were chosen on this controller, with two of the
seeds; the others have their defaults, apart from the runs that are averaged for one evaluation. A run of
`detrun.minimize` with Values takes more CPU than a plain one, which the table shows, along with the last iterations,
which overran the runs and do not count. Optuna (TPE, its default) proposes its best trial, CMA-ES its mean. They are
optional: ``pip install optuna==5.0.0 cma==4.5.0``; what is missing is skipped with a message.
``python -m benchmarks.controller_tuning`` takes a few minutes; with ``--quick`` under one. ``--json FILE`` keeps what
docs/gradients.md shows, ``--show FILE --markdown`` prints it again.
"""

from __future__ import annotations

import importlib.util
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import detrun
from benchmarks.measuring import machine
from detrun import relaxed
from detrun_scenarios.frame.tuning import (
    OnTheWay,
    Problem,
    Proposal,
    by_cma,
    by_minimize,
    by_optuna,
    mean_of,
    verdicts,
)

JOBS = 20
START = {"longest": 0.5, "fast": 0.6, "slow": 2.5, "limit": 6.0}
BOUNDS = {"longest": (0.1, 5.0), "fast": (0.2, 5.0), "slow": (0.2, 5.0), "limit": (0.2, 10.0)}
PINNED = {"optuna": "5.0.0", "cma": "4.5.0"}
RUNS, QUICK_RUNS = 2_000, 600
AVERAGED = 20  # runs of one evaluation, of those that need evaluations
SAMPLES = 4  # of one gradient
RATE = 0.2
LOOKED_AT = 2_000  # runs for the verdict
WAY_RUNS, WAY_POINTS = 1_000, 12  # for the verdict on what was proposed on the way, and at how many places


def controller(params: Mapping[str, Any]) -> Any:
    """Mean over jobs of the time in system, or the price of being turned away, and the energy of the speeds."""
    work: list[Any] = [0.0, 0.0]  # backlog in seconds, as the next job finds it
    speeds = (params["fast"], params["slow"])
    total: Any = 0.0
    for _ in range(JOBS):
        gap, size = detrun.exponential(0.6), detrun.exponential(1.0)
        work = [relaxed.maximum(left - gap, 0.0) for left in work]
        share = relaxed.threshold(params["longest"], size)  # 1: short, to the first server
        found = share * work[0] + (1.0 - share) * work[1]
        takes = share * size / speeds[0] + (1.0 - share) * size / speeds[1]
        taken = relaxed.threshold(params["limit"], found)
        total = total + taken * (found + takes) + (1.0 - taken) * 4.0
        work = [work[0] + taken * share * takes, work[1] + taken * (1.0 - share) * takes]
    return total / JOBS + 0.3 * (speeds[0] ** 2 + speeds[1] ** 2)


PROBLEM = Problem(controller, START, BOUNDS, log_scaled=tuple(START), unit="runs", averaged=AVERAGED)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What one contender proposed.

    Attributes:
        cpu_seconds: that it took.
    """

    proposal: Proposal
    cpu_seconds: float


def following(kind: str, **options: Any) -> Callable[[Problem, int, int], Proposal]:
    """`detrun.minimize` by gradients of that kind."""

    def tune(problem: Problem, runs: int, seed: int) -> Proposal:
        own = {"samples": SAMPLES, "rate": RATE, "held_out": max(20, runs // 40)}
        return by_minimize(problem, runs, seed, kind=kind, **own, **options)

    return tune


CONTENDERS: Mapping[str, tuple[str, Callable[[Problem, int, int], Proposal]]] = {
    "minimize, expected, 8 pairs": ("", following("expected", pairs=8)),
    "minimize, relaxed at 0.1": ("", following("relaxed", temperature=0.1)),
    "minimize, finite": ("", following("finite")),
    "minimize, simultaneous": ("", following("finite", difference="simultaneous")),
    "Optuna, TPE": ("optuna", by_optuna),
    "CMA-ES": ("cma", by_cma),
}


def table_rows(tuned: Mapping[str, Sequence[Tuned]], looked_at: int) -> list[list[str]]:
    """A line for the start and for each contender: the mean over repetitions, and the worst of them."""
    before = mean_of(verdicts(PROBLEM, [START], looked_at)[0])
    rows = [["the start", f"{before.value:.3f} ± {before.std_error:.3f}", "", "", ""]]
    for name, found in tuned.items():
        proposed = [one.proposal.params for one in found]
        losses = [statistics.fmean(one) for one in verdicts(PROBLEM, proposed, looked_at)]
        rows.append(
            [
                name,
                f"{statistics.fmean(losses):.3f}",
                f"{max(losses):.3f}",
                f"{statistics.fmean(one.cpu_seconds for one in found):.1f}",
                ", ".join(f"{key} {value:.2g}" for key, value in found[0].proposal.params.items()),
            ]
        )
    return rows


def ways(tuned: Mapping[str, Sequence[Tuned]], looked_at: int) -> dict[str, list[tuple[int, float]]]:
    """By contender, the losses of what the first repetition proposed on the way, each with the runs until then."""
    found = {}
    for name, (first, *_) in tuned.items():
        way = first.proposal.way
        at = sorted({round(k * (len(way) - 1) / WAY_POINTS) for k in range(WAY_POINTS + 1)})
        chosen = [OnTheWay(0, START, math.nan), *(way[index] for index in at if way[index].spent > 0)]
        losses = verdicts(PROBLEM, [one.params for one in chosen], looked_at)
        found[name] = [(one.spent, statistics.fmean(looked)) for one, looked in zip(chosen, losses, strict=True)]
    return found


COLUMNS = ("contender", "loss", "worst", "CPU s", "parameters, first repetition")


@click.command(help="Tune a queueing controller at equal simulated events.")
@click.option("--runs", default=RUNS, show_default=True, help="Runs of the controller for each contender.")
@click.option("--repetitions", default=3, show_default=True, type=click.IntRange(1))
@click.option("--quick", is_flag=True, help=f"{QUICK_RUNS} runs, once: under a minute.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the results there.")
@click.option("--show", type=click.Path(exists=True, path_type=Path), help="Run nothing: show the results there.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table of docs/gradients.md.")
def main(runs: int, repetitions: int, quick: bool, file: Path | None, show: Path | None, as_markdown: bool) -> None:
    """Tune, look, and print."""
    if show is not None:
        rows, about = loaded(show)
    else:
        if quick:
            runs, repetitions = QUICK_RUNS, 1
        tuned = all_tuned(runs, repetitions)
        rows = table_rows(tuned, LOOKED_AT)
        about = (
            f"{runs:,} runs of {JOBS} jobs for each, {runs * JOBS:,} events; {repetitions} repetitions; "
            f"{LOOKED_AT:,} runs for the verdict; {machine()}."
        )
        if file is not None:
            kept = {"about": about, "columns": COLUMNS, "rows": rows, "ways": ways(tuned, WAY_RUNS)}
            file.write_text(json.dumps(kept, indent=1) + "\n")
    if as_markdown:
        click.echo(markdown(rows, about), nl=False)
        return
    shown = Table(title="a queueing controller, tuned", caption=about)
    for column in COLUMNS:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*row)
    Console(width=140).print(shown)


def all_tuned(runs: int, repetitions: int) -> dict[str, list[Tuned]]:
    """What every contender proposes, repetition by repetition."""
    chosen = {}
    for name, (package, tune) in CONTENDERS.items():
        if package and importlib.util.find_spec(package) is None:
            click.echo(f"{name} is left out: pip install {package}=={PINNED[package]}", err=True)
            continue
        chosen[name] = tune
    tuned: dict[str, list[Tuned]] = {name: [] for name in chosen}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=len(chosen) * repetitions)
        for seed in range(repetitions):
            for name, tune in chosen.items():
                progress.update(bar, description=name)
                begun = time.process_time()
                proposal = tune(PROBLEM, runs, seed)
                tuned[name].append(Tuned(proposal, time.process_time() - begun))
                progress.advance(bar)
    return tuned


def loaded(file: Path) -> tuple[list[list[str]], str]:
    """Results that were kept."""
    kept = json.loads(file.read_text())
    return kept["rows"], kept["about"]


def markdown(rows: Sequence[Sequence[str]], about: str) -> str:
    """The table of docs/gradients.md."""
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines) + f"\n{about}\n"


if __name__ == "__main__":
    sys.exit(main())
