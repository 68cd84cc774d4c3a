"""``python -m benchmarks.bugs``: mean schedules until each bug shows, for every strategy.

All bugs and strategies take about ten CPU-minutes with the default limits, half of that on two idle cores; ``--bug``
and ``--strategy`` choose some. What a cell may take is limited in schedules and in CPU-seconds, fifteen times as many
for the portfolio, whose promise is the one to keep: no bug stays unfound within 5,000 schedules. A file given to
``--json`` is written after every cell, and cells that it has already and that are not asked for stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.bugs.campaigns import STRATEGIES, Cell, applies, measured
from benchmarks.bugs.catalogue import BUGS, bug
from benchmarks.bugs.tables import Results, markdown, table
from benchmarks.measuring import machine

PORTFOLIO_FACTOR = 15
WIDTH = 160
NAMES = tuple(one.name for one in BUGS)


@click.command(help="Mean schedules until each bug shows, for every strategy.")
@click.option("--bug", "bugs", multiple=True, type=click.Choice(NAMES), help="Only this one; may be repeated.")
@click.option("--strategy", "strategies", multiple=True, help="Only this one; may be repeated; also such as pct:2.")
@click.option(
    "--seeds", default=20, show_default=True, type=click.IntRange(1), help="Campaigns of sampling strategies."
)
@click.option("--cap", default=5_000, show_default=True, type=click.IntRange(1), help="Schedules in one campaign.")
@click.option("--seconds", default=12.0, show_default=True, help="CPU time of one bug under one strategy.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1))
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the results there.")
@click.option(
    "--show", type=click.Path(exists=True, path_type=Path), help="Run nothing: show the results in this file."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table for a page.")
def main(
    bugs: tuple[str, ...],
    strategies: tuple[str, ...],
    seeds: int,
    cap: int,
    seconds: float,
    processes: int,
    file: Path | None,
    show: Path | None,
    as_markdown: bool,
) -> None:
    """Measure and print."""
    bugs, strategies = bugs or NAMES, strategies or STRATEGIES
    if show is not None:
        results = Results.load(show)
    else:
        about = {
            "machine": machine(),
            "seeds": seeds,
            "cap": cap,
            "seconds": seconds,
            "portfolio_seconds": PORTFOLIO_FACTOR * seconds,
        }
        results = Results(about, Results.load(file).cells if file is not None and file.exists() else {})
        wanted = [(name, strategy) for name in bugs for strategy in strategies if applies(bug(name), strategy)]
        for cell in _measured(wanted, seeds, cap, seconds, processes):
            results.cells[cell.bug, cell.strategy] = cell
            if file is not None:
                results.save(file)
    if as_markdown:
        click.echo(markdown(results, bugs, strategies), nl=False)
    else:
        console = Console()
        # A file has no width of its own; this one holds the table.
        (console if console.is_terminal else Console(width=WIDTH)).print(table(results, bugs, strategies))


def _measured(
    wanted: Sequence[tuple[str, str]], seeds: int, cap: int, seconds: float, processes: int
) -> Iterator[Cell]:
    """Each cell when it is measured, the portfolio's first; progress is shown on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        bar = progress.add_task("cells", total=len(wanted))
        pending = []
        for name, strategy in sorted(wanted, key=lambda cell: cell[1] != "portfolio"):
            limit = seconds * (PORTFOLIO_FACTOR if strategy == "portfolio" else 1)
            pending.append(pool.submit(measured, name, strategy, range(seeds), cap, limit))
        for future in as_completed(pending):
            cell = future.result()
            progress.update(bar, advance=1, description=f"{cell.bug} under {cell.strategy}")
            yield cell


if __name__ == "__main__":
    main()
