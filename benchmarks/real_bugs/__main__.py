"""``python -m benchmarks.real_bugs``: explore every reported bug with and without its fix, and print one table.

Each bug's program is explored by default settings in an environment with the release that has the bug, and again in one
with the release that was mended; there it must pass. ``--only NAME`` (repeatable) leaves the others out.
``--with-options`` interrupts threads at every line of the library instead, which tells a bug that the defaults do not
find from one that cannot be reached. The exit code is 1 if a fixed release fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import machine
from benchmarks.real_bugs.catalogue import BUGS, RealBug
from benchmarks.real_bugs.environments import ROOT, prepare, variables
from benchmarks.real_bugs.results import COLUMNS, FALSE_ALARM, Outcome, Results

SCHEDULES = 1_000
LIMIT_SECONDS = 600  # real, for one exploration: a thousand schedules of the slowest library take a minute


def hunt(bug: RealBug, schedules: int, seed: int, where: str) -> Outcome:
    """Explore both releases, each in a fresh process of its environment."""
    outcome = Outcome(bug.name, seed, where)
    environments = [prepare(bug.requirements(is_fixed), bug.python(is_fixed)) for is_fixed in (False, True)]
    outcome.problem = "; ".join(one.problem for one in environments if one.problem)
    if outcome.problem:
        return outcome
    arguments = [bug.name, str(schedules), str(seed), where]
    outcome.buggy, first = _explored(environments[0].python, arguments)
    outcome.fixed, second = _explored(environments[1].python, arguments)
    outcome.problem = "; ".join(one for one in (first, second) if one)
    return outcome


def _explored(python: str, arguments: Sequence[str]) -> tuple[dict[str, Any] | None, str]:
    command = [python, "-m", "benchmarks.real_bugs.hunted", *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, env=variables(), capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return None, f"not done after {LIMIT_SECONDS} s"
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("hunt "):
            found: dict[str, Any] = json.loads(line.removeprefix("hunt "))
            return found, ""
    return None, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore, print, write; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_bugs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME", choices=[one.name for one in BUGS])
    parser.add_argument("--schedules", type=int, default=SCHEDULES, help="of one exploration, at most")
    parser.add_argument("--seed", type=int, action="append", default=[], help="repeatable; 0 if left out")
    parser.add_argument("--with-options", action="store_true", help="interrupt threads at every line of the library")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the results that are there; explore nothing")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/real-bugs.md")
    options = parser.parse_args(arguments)
    if options.show is not None:
        results = Results.from_json(json.loads(options.show.read_text()))
    else:
        results = Results(machine(), sys.version.split()[0], options.schedules)
        where = "explicit" if options.with_options else "default"
        for bug in BUGS:
            if options.only and bug.name not in options.only:
                continue
            for seed in options.seed or [0]:
                outcome = hunt(bug, options.schedules, seed, where)
                results.outcomes.append(outcome)
                print(*outcome.row(bug), sep="; ", file=sys.stderr)
                if options.json is not None:  # after each, so that nothing is lost
                    options.json.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    if options.markdown:
        print(results.markdown(), end="")
    else:
        table = Table(title="Reported bugs, by default settings", caption=results.summary(), title_justify="left")
        for column in COLUMNS:
            table.add_column(column, overflow="fold")
        for row in results.rows():
            table.add_row(*row)
        Console(width=180).print(table)
    return int(any(one.verdict == FALSE_ALARM for one in results.outcomes))


if __name__ == "__main__":
    sys.exit(main())
