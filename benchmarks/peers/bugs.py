"""``python -m benchmarks.peers.bugs``: the schedules that each library needs to find the bugs of `benchmarks.bugs`.

Every library hunts every bug in a process of its own, with 20 seeds one after the other (once if it has no seed), at
most 5,000 schedules for each, and a limit of CPU seconds for all seeds together; the table shows what did not fit.
``--json FILE`` writes the figures, ``--markdown FILE`` the tables of docs/peers.md. It takes ten minutes at most, most
of them on bugs that are not found.

What is unfair: detrun's programs for tasks are trio, the peers' are the same in asyncio (`asyncio_bugs.py`). frontrun
and detrun run thread programs from the same functions; frontrun without a main thread, which makes some bugs shallower
and some unreachable that need main to come late. A reduction (frontrun dpor) counts schedules that all differ; a
sampler's may repeat. All were given opcodes, where some bugs show at locks already, which makes them rarer for a random
walk. Rates include what a library does about a failure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.bugs.catalogue import BUGS
from benchmarks.measuring import machine
from benchmarks.peers.environment import ROOT, Peers, environment, prepare
from benchmarks.peers.hunted import PATIENCE, SEEDS
from benchmarks.peers.hunters import TOOLS, Tool

SCHEDULES, SECONDS = 5_000, 2.5
GRACE_SECONDS = 20.0  # for a last exploration that does not know of the limit
RATED_LEAST = 200  # schedules; below that a rate says more about starting than about running


@dataclass(slots=True)
class Case:
    """One library after one bug."""

    tool: Tool
    bug: str
    hunts: list[dict[str, Any]] = field(default_factory=list)
    cannot: str = ""  # why the library cannot run the program
    problem: str = ""  # why there is nothing to show

    def run(self, python: str, schedules: int, seconds: float) -> None:
        """Hunt in a fresh process."""
        command = [python, "-m", "benchmarks.peers.hunted", self.tool.name, self.bug, str(schedules), str(seconds)]
        if self.tool.package == "frontrun":
            command.insert(0, str(Path(python).with_name("frontrun")))
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            output, errors = process.communicate(timeout=PATIENCE * seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            self.problem = f"stopped after {PATIENCE * seconds + GRACE_SECONDS:.0f} s"
        for line in output.splitlines():
            if line.startswith("hunt "):
                found = json.loads(line.removeprefix("hunt "))
                if "cannot" in found:
                    self.cannot = found["cannot"]
                else:
                    self.hunts.append(found)
        if process.returncode and not self.hunts and not self.problem:
            self.problem = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]

    @property
    def found(self) -> int:
        """The number of explorations that found the bug for certain."""
        return sum(hunt["found"] and hunt["is_sure"] for hunt in self.hunts)

    @property
    def mean(self) -> float:
        """Schedules of an exploration, up to the bug or to its end."""
        return statistics.fmean(hunt["schedules"] for hunt in self.hunts)

    @property
    def rate(self) -> float | None:
        """Schedules per CPU-second, None if there were too few."""
        warm = self.hunts[1:] if len(self.hunts) > 1 else self.hunts
        schedules = sum(hunt["schedules"] for hunt in warm)
        return schedules / sum(hunt["cpu_seconds"] for hunt in warm) if schedules >= RATED_LEAST else None

    def cell(self) -> str:
        """The mean; what stands before and behind it is explained under the table."""
        if self.cannot:
            return "–"
        if not self.hunts:
            return f"? {self.problem}"
        count = f"{self.mean:,.0f}" if self.mean >= 100 else f"{self.mean:,.1f}"
        if not all(hunt["is_sure"] for hunt in self.hunts):
            return f"unfinished in {count}"
        if not self.found:
            return f"none in {count}" + (", all" if self.hunts[-1]["exhausted"] else "")
        whole = SEEDS if self.tool.has_seed else 1
        note = f" ({self.found}/{len(self.hunts)})" if self.found < whole or len(self.hunts) < whole else ""
        return ("≥ " if self.found < len(self.hunts) else "") + count + note

    def as_json(self) -> dict[str, Any]:
        """The raw figures."""
        return {
            "tool": self.tool.name,
            "bug": self.bug,
            "found": self.found,
            "mean_schedules": round(self.mean, 2) if self.hunts else None,
            "schedules_per_cpu_second": self.rate and round(self.rate, 1),
            "cannot": self.cannot,
            "problem": self.problem,
            "hunts": [{**hunt, "cpu_seconds": round(hunt["cpu_seconds"], 4)} for hunt in self.hunts],
        }


def hunt_all(
    tools: Sequence[Tool],
    bugs: Sequence[str],
    peers: Peers,
    schedules: int,
    seconds: float,
    keep: Callable[[list[Case]], object] = len,
) -> list[Case]:
    """Every tool after every bug; ``keep`` is called with what there is after each bug."""
    cases = []
    for name in bugs:
        for tool in tools:
            case = Case(tool, name)
            if tool.package != "detrun" and tool.package not in peers.versions:
                case.problem = f"not installed: {peers.missing.get(tool.package, 'reason unknown')}"
            else:
                case.run(peers.python, schedules, seconds)
            cases.append(case)
        print(name, *(case.cell() for case in cases[-len(tools) :]), sep="; ", file=sys.stderr)
        keep(cases)
    return cases


def rows_of(cases: Sequence[Case], tools: Sequence[Tool]) -> list[list[str]]:
    """A row for each bug: its name and a cell for each tool."""
    names = list(dict.fromkeys(case.bug for case in cases))
    return [[name, *(_case(cases, tool, name).cell() for tool in tools)] for name in names]


def summary(cases: Sequence[Case], tools: Sequence[Tool]) -> list[list[str]]:
    """The findings of each tool: bugs it can run, found for certain with every seed, with some; and its median rate."""
    rows = []
    for tool in tools:
        own = [case for case in cases if case.tool is tool and case.hunts]
        rates = [rate for case in own if (rate := case.rate) is not None]
        rows.append(
            [
                tool.name,
                str(len(own)),
                str(sum(0 < len(case.hunts) == case.found for case in own)),
                str(sum(0 < case.found < len(case.hunts) for case in own)),
                f"{statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})" if rates else "–",
            ]
        )
    return rows


SUMMARY_COLUMNS = ("", "can run", "found, every time", "found, sometimes", "schedules per CPU-second")


def python_of(peers: Peers) -> str:
    """The version of the interpreter that everything ran on."""
    code = "import platform; print(platform.python_version())"
    return subprocess.run([peers.python, "-c", code], capture_output=True, text=True).stdout.strip()


def _case(cases: Sequence[Case], tool: Tool, bug: str) -> Case:
    return next(case for case in cases if case.tool is tool and case.bug == bug)


def markdown(cases: Sequence[Case], tools: Sequence[Tool], versions: dict[str, str], python: str) -> str:
    """The tables of docs/peers.md."""
    reasons = {case.cannot: case.tool.package for case in cases if case.cannot}
    lines = [
        *_markdown_table(["bug", *(tool.name for tool in tools)], rows_of(cases, tools)),
        "",
        *_markdown_table(SUMMARY_COLUMNS, summary(cases, tools)),
        "",
        "– cannot be expressed: " + "; ".join(f"{package} {reason}" for reason, package in reasons.items()) + ".",
        "",
        f"{machine()}, run on Python {python}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def show(cases: Sequence[Case], tools: Sequence[Tool]) -> None:
    """Print both tables."""
    table = Table(title="Schedules to the bug: mean over seeds", caption=machine(), title_justify="left")
    totals = Table(title="In all", title_justify="left")
    for column in ("bug", *(tool.name for tool in tools)):
        table.add_column(column, overflow="fold")
    for column in SUMMARY_COLUMNS:
        totals.add_column(column)
    for row in rows_of(cases, tools):
        table.add_row(*row)
    for row in summary(cases, tools):
        totals.add_row(*row)
    console = Console(width=160)
    console.print(table)
    console.print(totals)


def main(arguments: Sequence[str] | None = None) -> None:
    """Hunt, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers.bugs", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", action="append", default=[], metavar="PACKAGE", help="run this package only")
    parser.add_argument("--bug", action="append", default=[], metavar="NAME", help="hunt this bug only")
    parser.add_argument("--schedules", type=int, default=SCHEDULES, help="of one exploration, at most")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="CPU, for all seeds of one library and one bug")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    options = parser.parse_args(arguments)
    peers = Peers() if options.only == ["detrun"] else prepare()
    tools = [tool for tool in TOOLS if not options.only or tool.package in options.only]
    bugs = options.bug or [bug.name for bug in BUGS]
    began = time.monotonic()

    def keep(cases: list[Case]) -> None:
        if options.json is not None:
            figures = {
                "machine": machine(),
                "python": python_of(peers),
                "versions": peers.versions,
                "schedules_at_most": options.schedules,
                "cpu_seconds_at_most": options.seconds,
                "seconds_in_all": round(time.monotonic() - began),
                "cases": [case.as_json() for case in cases],
            }
            options.json.write_text(json.dumps(figures, indent=1) + "\n")
        if options.markdown is not None:
            options.markdown.write_text(markdown(cases, tools, peers.versions, python_of(peers)))

    show(hunt_all(tools, bugs, peers, options.schedules, options.seconds, keep), tools)


if __name__ == "__main__":
    main()
