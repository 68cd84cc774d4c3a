"""A queueing controller tuned by `detrun.minimize`, by Optuna and by CMA-ES, at equal simulated events.

Jobs of exponential size are routed by a threshold to two servers, whose speeds cost energy, and are turned away where
the backlog is above a limit, at a price. Four parameters; the loss of a run of twenty jobs has jumps at every
threshold. Each contender gets the same number of runs, of equally many jobs each, those on held-out seeds included;
what it proposes is then looked at on seeds that none of them has seen, the same for all. ``events`` are jobs.

What is unfair: each contender has its defaults, apart from the runs that are averaged for one evaluation; a run of
`detrun.minimize` with Values takes more CPU than a plain one, which the table shows, along with the last iterations,
which overran the runs and do not count. Optuna (TPE, its default) proposes its best trial, CMA-ES its mean. They are
optional: ``pip install optuna==5.0.0 cma==4.5.0``; what is missing is skipped with a message.
``python -m benchmarks.controller_tuning`` takes a few minutes; with ``--quick`` under one.
"""

from __future__ import annotations

import importlib.util
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from detrun.execution.options import Options
from detrun.gradients.sampling.program import SampledProgram

JOBS = 20
START = {"longest": 0.5, "fast": 0.6, "slow": 2.5, "limit": 6.0}
BOUNDS = {"longest": (0.1, 5.0), "fast": (0.2, 5.0), "slow": (0.2, 5.0), "limit": (0.2, 10.0)}
PINNED = {"optuna": "5.0.0", "cma": "4.5.0"}
RUNS, QUICK_RUNS = 2_000, 600
AVERAGED = 20  # runs of one evaluation, of those that need evaluations
FIRST_SAMPLES = 16
RATE = 0.1
LOOKED_AT = 2_000  # runs for the verdict
FRESH, VERDICT = 1_000_003, 2_000_000_011  # where seeds begin
TOGETHER = 5  # iterations between two looks at what was spent

Params = Mapping[str, float]
Loss = Callable[[Params], float]  # of one evaluation


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


@dataclass(frozen=True, slots=True)
class Tuned:
    """What one contender proposed.

    Attributes:
        params: the proposal.
        runs: that it took.
        cpu_seconds: that it took.
    """

    params: Params
    runs: int
    cpu_seconds: float


@contextmanager
def plain_runs() -> Iterator[Callable[[Params, int], float]]:
    """The loss of one run with plain numbers, by parameters and seed."""
    with SampledProgram(controller, START, Options()).prepared() as program:
        yield lambda params, seed: program.run(params, seed).value


def by_minimize(kind: str, **options: Any) -> Callable[[int, int], Params]:
    """`detrun.minimize`, as many iterations as the runs allow; the checkpoint spares what was done before."""

    def tune(runs: int, seed: int) -> Params:
        best: Params = START
        with tempfile.TemporaryDirectory() as folder:
            iterations = TOGETHER
            while True:
                found = detrun.minimize(
                    controller,
                    START,
                    kind=kind,
                    rate=RATE,
                    iterations=iterations,
                    samples=FIRST_SAMPLES,
                    held_out=max(20, runs // 40),
                    look_every=TOGETHER * 2,
                    patience=1_000,
                    seed=seed,
                    bounds=BOUNDS,
                    log_scaled=list(START),
                    checkpoint=Path(folder) / "tuning",
                    **options,
                )
                if found.runs > runs:
                    return best
                best = found.params
                iterations += TOGETHER

    return tune


def fresh_mean(seed: int, run: Callable[[Params, int], float]) -> Loss:
    """The mean loss over runs with seeds that were never used before."""
    used = FRESH * (seed + 1)

    def loss(params: Params) -> float:
        nonlocal used
        used += AVERAGED
        return statistics.fmean(run(params, used + index) for index in range(AVERAGED))

    return loss


def by_optuna(runs: int, seed: int) -> Params:
    """TPE, the default sampler of Optuna; the first trial is where all begin."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with plain_runs() as run:
        loss = fresh_mean(seed, run)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        study.enqueue_trial(START)
        study.optimize(
            lambda trial: loss({name: trial.suggest_float(name, *BOUNDS[name], log=True) for name in START}),
            n_trials=runs // AVERAGED,
        )
    return dict(study.best_params)


def by_cma(runs: int, seed: int) -> Params:
    """CMA-ES on logarithms, begun where all begin with a width of 0.5; its mean at the end."""
    import cma

    names = list(START)

    def params_at(point: Sequence[float]) -> Params:
        return {name: math.exp(number) for name, number in zip(names, point, strict=True)}

    bounds = [[math.log(BOUNDS[name][side]) for name in names] for side in (0, 1)]
    search = cma.CMAEvolutionStrategy(
        [math.log(START[name]) for name in names], 0.5, {"bounds": bounds, "seed": seed + 1, "verbose": -9}
    )
    with plain_runs() as run:
        loss = fresh_mean(seed, run)
        for _ in range(runs // (AVERAGED * search.popsize)):
            points = search.ask()
            search.tell(points, [loss(params_at(point)) for point in points])
    return params_at(search.result.xfavorite)


CONTENDERS: Mapping[str, tuple[str, Callable[[int, int], Params]]] = {
    "minimize, expected": ("", by_minimize("expected")),
    "minimize, relaxed at 0.1": ("", by_minimize("relaxed", temperature=0.1)),
    "minimize, finite": ("", by_minimize("finite", difference="simultaneous", step=dict.fromkeys(START, 0.1))),
    "Optuna, TPE": ("optuna", by_optuna),
    "CMA-ES": ("cma", by_cma),
}


def verdicts(proposals: Sequence[Params], runs: int = LOOKED_AT) -> list[list[float]]:
    """The losses of each proposal on the same seeds."""
    with plain_runs() as run:
        return [[run(params, VERDICT + index) for index in range(runs)] for params in proposals]


def table_rows(tuned: Mapping[str, Sequence[Tuned]], looked_at: int) -> list[list[str]]:
    """A line for the start and for each contender: the mean over repetitions, and the worst of them."""
    (before,) = verdicts([START], looked_at)
    error = statistics.stdev(before) / math.sqrt(looked_at)
    rows = [["the start", f"{statistics.fmean(before):.3f} ± {error:.3f}", "", "", ""]]
    for name, found in tuned.items():
        losses = [statistics.fmean(one) for one in verdicts([one.params for one in found], looked_at)]
        rows.append(
            [
                name,
                f"{statistics.fmean(losses):.3f}",
                f"{max(losses):.3f}",
                f"{statistics.fmean(one.cpu_seconds for one in found):.1f}",
                ", ".join(f"{key} {value:.2g}" for key, value in found[0].params.items()),
            ]
        )
    return rows


COLUMNS = ("contender", "loss", "worst", "CPU s", "parameters, first repetition")


@click.command(help="Tune a queueing controller at equal simulated events.")
@click.option("--runs", default=RUNS, show_default=True, help="Runs of the controller for each contender.")
@click.option("--repetitions", default=3, show_default=True, type=click.IntRange(1))
@click.option("--quick", is_flag=True, help=f"{QUICK_RUNS} runs, once: under a minute.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table of docs/gradients.md.")
def main(runs: int, repetitions: int, quick: bool, as_markdown: bool) -> None:
    """Tune, look, and print."""
    if quick:
        runs, repetitions = QUICK_RUNS, 1
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
                params = tune(runs, seed)
                tuned[name].append(Tuned(params, runs, time.process_time() - begun))
                progress.advance(bar)
    about = (
        f"{runs:,} runs of {JOBS} jobs for each, {runs * JOBS:,} events; {repetitions} repetitions; "
        f"{LOOKED_AT:,} runs for the verdict; {machine()}."
    )
    rows = table_rows(tuned, LOOKED_AT)
    if as_markdown:
        lines = [list(COLUMNS), ["---"] * len(COLUMNS), *rows]
        click.echo("".join(f"| {' | '.join(row)} |\n" for row in lines) + f"\n{about}")
        return
    shown = Table(title="a queueing controller, tuned", caption=about)
    for column in COLUMNS:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*row)
    Console(width=140).print(shown)


if __name__ == "__main__":
    sys.exit(main())
