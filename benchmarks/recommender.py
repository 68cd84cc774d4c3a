"""What a decision was worth a million events later: the recommender's log, its slice, its windows and brute force.

Each length is measured in a fresh process. *Log* is what the process has grown by when all events are folded: the
events, their index, and the present state. *Reverse* is what it has grown by when all events were reversed in windows:
the kept states and one window's tape, whatever the length. ``--show`` prints the table of what is kept, for the README.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import click

from benchmarks.kept_results import RESULTS
from benchmarks.measuring import machine
from detrun_scenarios.studies.recommender import million

KEPT = RESULTS / "recommender-million.json"
EVENTS = (100_000, 300_000, 1_000_000)
HEADER = (
    "events",
    "in the slice",
    "d loss / d weight of event 1,000",
    "by two folds of the log",
    "dispatched, s",
    "slice, ms",
    "windows, s",
    "log, MB",
    "log and reverse, MB",
)


def peak_megabytes() -> float:
    """Of this process, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(events: int) -> dict[str, float]:
    """CPU seconds, megabytes and derivatives of one log."""
    before = peak_megabytes()
    start = time.process_time()
    found = million.machine_of(events)
    dispatched, recorded = time.process_time(), peak_megabytes()
    sparse = found.gradient(million.last_loss, ("events", "params"))
    sliced = time.process_time()
    full = found.gradient(million.last_loss, "params", snapshots=million.SNAPSHOTS, sparse=False)
    reversed_at, peak = time.process_time(), peak_megabytes()
    assert sparse.events is not None
    assert full.params is not None
    assert sparse.params == full.params, "slice and windows have other bits"
    return {
        "slice": sparse.diagnostics.events_in_slice,
        "derivative": sparse.events[million.EARLY][3],
        "difference": million.difference(events, 3),
        "user_rate": full.params["user_rate"],
        "dispatch_seconds": dispatched - start,
        "slice_seconds": sliced - dispatched,
        "windows_seconds": reversed_at - sliced,
        "log_megabytes": recorded - before,
        "peak_megabytes": peak - before,
    }


def markdown(kept: Mapping[str, Any]) -> str:
    """The table of the README."""
    rows = [list(HEADER), ["---"] * len(HEADER)]
    for events, one in kept["events"].items():
        rows.append(
            [
                f"{int(events):,}",
                f"{one['slice']:.0f}",
                f"{one['derivative']:.9g}",
                f"{one['difference']:.9g}",
                f"{one['dispatch_seconds']:.1f}",
                f"{one['slice_seconds'] * 1e3:.1f}",
                f"{one['windows_seconds']:.0f}",
                f"{one['log_megabytes']:.0f}",
                f"{one['peak_megabytes']:.0f}",
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + f"\n{kept['machine']}\n"


@click.command(help="The derivative of a loss by an early decision of a log of up to a million events.")
@click.option("--events", type=int, multiple=True, help="Only logs of this length; may be repeated.")
@click.option("--show", is_flag=True, help="Run nothing: print the table of what is kept.")
def main(events: tuple[int, ...], show: bool) -> None:
    """Measure, keep and print."""
    for length in () if show else events or EVENTS:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
            found = executor.submit(measured, length).result()
        kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"events": {}}
        rows = {**kept["events"], str(length): found}
        ordered = {one: rows[one] for one in sorted(rows, key=int)}
        KEPT.write_text(json.dumps({"machine": f"{machine()}.", "events": ordered}, indent=1) + "\n")
        click.echo(f"{length:,} events", err=True)
    click.echo(markdown(json.loads(KEPT.read_text())), nl=False)


if __name__ == "__main__":
    main()
