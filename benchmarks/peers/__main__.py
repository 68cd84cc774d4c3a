"""``python -m benchmarks.peers``: measure every contender in turn, print one table.

``--only PACKAGE`` (repeatable) leaves the others out; with ``--only detrun`` no environment is made and nothing is
installed. A repetition runs all contenders once, one after the other, so that a busy machine slows all of them alike;
the table shows the median over repetitions, and the smallest and the largest.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import machine
from benchmarks.peers.contenders import CONTENDERS, LONGER_TASKS, TASKS, THREADS, Contender
from benchmarks.peers.environment import ROOT, Peers, environment, prepare

REPETITIONS, SECONDS = 5, 0.8
LIMIT_SECONDS = 120  # for one process; the slowest contender takes a few seconds


@dataclass(slots=True)
class Measured:
    """One contender on one interpreter, and its schedules per CPU-second in each repetition."""

    contender: Contender
    python: str  # the interpreter's path
    version: str  # of the package
    interpreter: str = ""  # its version, once it has run
    rates: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)

    @property
    def is_met(self) -> bool | None:
        """True if the target is met, None without a target or a measurement."""
        target = self.contender.target
        return None if target is None or not self.rates else self.rate >= target

    def take(self, seconds: float, seed: int) -> None:
        """Run it once more, in a fresh process."""
        command = [self.python, "-m", "benchmarks.peers.measured", self.contender.name, str(seconds), str(seed)]
        if self.contender.package == "frontrun":
            # Its command sets up a process in which it may explore.
            command.insert(0, str(Path(self.python).with_name("frontrun")))
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT_SECONDS
            )
        except subprocess.TimeoutExpired:
            self.problem = f"not done after {LIMIT_SECONDS} s"
            return
        if done.returncode:
            self.problem = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            return
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        self.rates.append(figures["schedules"] / figures["cpu_seconds"])
        self.interpreter = figures["python"]


def rows(only: Sequence[str], peers: Peers) -> list[Measured]:
    """The measurements to make: every contender on the peers' interpreter, detrun also on this one."""
    found = []
    for contender in CONTENDERS:
        if only and contender.package not in only:
            continue
        if contender.package != "detrun":
            version = peers.versions.get(contender.package, "")
            row = Measured(contender, peers.python, version)
            if not version:
                row.problem = f"not installed: {peers.missing.get(contender.package, 'reason unknown')}"
            found.append(row)
            continue
        pythons = [peers.python] if peers.python != sys.executable else []
        if not pythons or _version_of(peers.python) != platform.python_version_tuple()[:2]:
            pythons.append(sys.executable)
        found += [Measured(contender, python, "this checkout") for python in pythons]
    return found


def _version_of(python: str) -> tuple[str, ...]:
    code = "import platform; print(*platform.python_version_tuple()[:2])"
    return tuple(subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.split())


def table(measured: Sequence[Measured]) -> Table:
    """The rows, threads first, with each rate as a fraction of detrun's first row on that side."""
    shown = Table(
        title="Lost update: schedules per CPU-second",
        caption=f"{machine()}; median of fresh processes (smallest–largest)",
        title_justify="left",
        caption_justify="left",
    )
    for column in ("", "library", "how", "Python"):
        shown.add_column(column, overflow="fold")
    for column in ("schedules/s", "spread", "detrun is", "target"):
        shown.add_column(column, justify="right")
    shown.add_column("met")
    for side in (THREADS, TASKS, LONGER_TASKS):
        ours = next((row for row in measured if row.contender.side == side and row.rates), None)
        for row in (row for row in measured if row.contender.side == side):
            contender = row.contender
            name = contender.package + ("" if contender.package == "detrun" else f" {row.version}")
            if not row.rates:
                shown.add_row(side, name.strip(), contender.how, row.interpreter, "–", row.problem, "", "", "–")
                continue
            peer = contender.package != "detrun" and ours is not None and ours.contender.package == "detrun"
            shown.add_row(
                side,
                name,
                contender.how,
                row.interpreter,
                f"{row.rate:,.0f}",
                f"{min(row.rates):,.0f}–{max(row.rates):,.0f}",
                f"{ours.rate / row.rate:.1f}× as fast" if peer and ours is not None else "",
                "" if contender.target is None else f"≥ {contender.target:,}",
                {True: "yes", False: "NO", None: "–"}[row.is_met],
            )
    return shown


def as_json(measured: Sequence[Measured]) -> dict[str, object]:
    """The raw figures."""
    return {
        "machine": machine(),
        "rows": [
            {
                "contender": row.contender.name,
                "package": row.contender.package,
                "version": row.version,
                "side": row.contender.side,
                "how": row.contender.how,
                "python": row.interpreter,
                "schedules_per_cpu_second": [round(rate, 1) for rate in row.rates],
                "median": round(row.rate, 1) if row.rates else None,
                "target": row.contender.target,
                "met": row.is_met,
                "problem": row.problem,
            }
            for row in measured
        ],
    }


def _is_on(side: str | None, its: str) -> bool:
    return side is None or (its == THREADS) == (side == THREADS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="PACKAGE", help="measure this package only")
    parser.add_argument("--side", choices=(THREADS, TASKS), help="measure threads or tasks only")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="CPU seconds of one measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    peers = Peers() if options.only == ["detrun"] else prepare()
    measured = [row for row in rows(options.only, peers) if _is_on(options.side, row.contender.side)]
    for repetition in range(options.repetitions):
        for row in measured:
            if not row.problem:
                row.take(options.seconds, 1000 * repetition)
    Console(width=140).print(table(measured))
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(measured), indent=1) + "\n")


if __name__ == "__main__":
    main()
