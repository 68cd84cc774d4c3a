"""The outcome of each bug: what the exploration of the buggy release found, and that the fixed release passes.

A bug counts as found only if the fixed release passes with the same options and seed: a program that fails under both
says nothing of the bug.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.real_bugs.catalogue import BUGS, RealBug

FOUND, MISSED, FALSE_ALARM, UNKNOWN = "found", "not found", "false alarm", "unknown"
COLUMNS = ("bug", "kind", "with", "without", "verdict", "schedules", "seconds", "threads stop at", "explanation")


@dataclass(slots=True)
class Outcome:
    """One bug with one seed.

    Attributes:
        name: of the bug.
        seed: of both campaigns.
        where: ``default`` or ``explicit``: the options that `hunted` gives.
        buggy, fixed: what `hunted` said of the two releases; None if it said nothing.
        problem: why there is nothing to show.
    """

    name: str
    seed: int
    where: str
    buggy: dict[str, Any] | None = None
    fixed: dict[str, Any] | None = None
    problem: str = ""

    @property
    def verdict(self) -> str:
        """``found``, ``not found``, ``false alarm`` (the fixed release fails, too), or ``unknown``."""
        if self.fixed is not None and self.fixed["verdict"] not in ("passed", "holds"):
            return FALSE_ALARM
        if self.buggy is None or self.fixed is None:
            return UNKNOWN
        return FOUND if self.buggy["verdict"] == "failed" else MISSED

    def row(self, bug: RealBug) -> list[str]:
        """The cells of a table, as `COLUMNS` says."""
        versions = [f"{bug.library} {bug.buggy}", bug.fixed]
        if self.verdict == UNKNOWN:
            return [bug.name, bug.kind, *versions, f"? {self.problem}", "", "", "", ""]
        assert self.buggy is not None
        is_found = self.verdict == FOUND
        return [
            bug.name,
            bug.kind,
            *versions,
            self.verdict,
            f"{self.buggy['schedules']:,}",
            f"{self.buggy['seconds']:.1f}",
            (self.buggy["arm"] or "–") if is_found and bug.concurrency == "threads" else "–",
            self.buggy["explained"] if is_found else "–",
        ]


@dataclass(slots=True)
class Results:
    """The outcomes of all bugs, and where they were measured."""

    machine: str
    python: str
    schedules: int
    outcomes: list[Outcome] = field(default_factory=list)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Results:
        """What `as_json` returned."""
        return cls(**{**data, "outcomes": [Outcome(**one) for one in data["outcomes"]]})

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def rows(self, bugs: Iterable[RealBug] = BUGS) -> list[list[str]]:
        """A row for each bug and seed."""
        return [one.row(bug) for bug in bugs for one in self.outcomes if one.name == bug.name]

    def summary(self) -> str:
        """The counts of each verdict, and how many explanations of found bugs were verified."""
        verdicts = [one.verdict for one in self.outcomes]
        counts = [f"{verdicts.count(which)} {which}" for which in (FOUND, MISSED, FALSE_ALARM, UNKNOWN)]
        found = [one.buggy for one in self.outcomes if one.verdict == FOUND and one.buggy is not None]
        verified = sum(one["explained"] == "verified" for one in found)
        return f"{', '.join(counts)}; {verified} of {len(found)} explanations verified"

    def markdown(self) -> str:
        """The table of docs/real-bugs.md."""
        seeds = sorted({one.seed for one in self.outcomes})
        named = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
        lines = [
            *_table(COLUMNS, self._linked_rows()),
            "",
            f"{self.summary()}; {named}, at most {self.schedules:,} schedules a campaign.",
            f"Seconds include shrinking and explaining; {self.machine}, busy with other work.",
        ]
        return "\n".join(lines) + "\n"

    def _linked_rows(self) -> list[list[str]]:
        reports = {bug.name: bug.report for bug in BUGS}
        return [[f"[{name}]({reports[name]})", *rest] for name, *rest in self.rows()]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
