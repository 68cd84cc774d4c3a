"""What became of the invariants of a scenario in a run, and what it came by, from the tally of its assertions."""

from __future__ import annotations

from dataclasses import dataclass

from detrun.checkers.assertions import Tally
from detrun_scenarios.frame.declaration import Scenario


@dataclass(frozen=True, slots=True)
class Checked:
    """One invariant.

    Attributes:
        looked_at: how often its condition was evaluated.
        holds: whether it was true each time.
    """

    name: str
    looked_at: int
    holds: bool

    def __str__(self) -> str:
        if not self.holds:
            return f"{self.name}: violated"
        if not self.looked_at:
            return f"{self.name}: never looked at"
        return f"{self.name}: held " + ("once" if self.looked_at == 1 else f"{self.looked_at:,} times")


def checked_invariants(scenario: Scenario, tally: Tally) -> list[Checked]:
    """Those that the scenario declares, and after them what its program asserts besides."""
    tallied = {one.name: one for one in tally if one.kind == "always"}
    names = dict.fromkeys([*(one.name for one in scenario.invariants), *tallied])
    return [
        Checked(name, tallied[name].looked_at, not tallied[name].is_violated)
        if name in tallied
        else Checked(name, 0, True)
        for name in names
    ]


def reached(tally: Tally) -> dict[str, int]:
    """What the program called `detrun.reachable` for, or `detrun.sometimes` with a true condition: how often each."""
    return {one.name: one.held for one in tally if one.kind in ("reachable", "sometimes")}
