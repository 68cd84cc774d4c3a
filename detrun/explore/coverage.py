"""How much of a program's behaviour a campaign has seen, and how likely the next schedule is to show more.

Two schedules behave alike if their journals agree but for the choices: the same steps ended in the same way and did the
same things in the same order. Of ``n`` schedules with ``s`` behaviours that were seen once only, the probability that
the next schedule behaves as none before is about ``s / n`` (Good, "The population frequencies of species and the
estimation of population parameters", Biometrika 1953): an estimate for the strategy at hand, no bound on bugs.

A *conflict pair* is finer where programs are too large to repeat themselves: two consecutive operations on one object
by different tasks. It is what feeds back into the portfolio, after the reads-from pairs of Wolff, Zheng, Duck, Mathur
and Roychoudhury, "Greybox fuzzing for concurrency testing", ASPLOS 2024; departure: tasks and operations, not source
lines, name the two ends, so that no line has to be looked up in a run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Coverage:
    """What the schedules of a campaign showed.

    Attributes:
        schedules: how many were counted.
        behaviours: how often each behaviour was seen, by its hash.
        pairs: conflict pairs seen, if the strategy looks for them.
    """

    schedules: int = 0
    behaviours: dict[int, int] = field(default_factory=dict)
    pairs: set[int] = field(default_factory=set)

    def add(self, behaviour: int, pairs: Iterable[int] = ()) -> bool:
        """Count one schedule; whether it showed anything new."""
        self.schedules += 1
        seen = self.behaviours.get(behaviour, 0)
        self.behaviours[behaviour] = seen + 1
        before = len(self.pairs)
        self.pairs.update(pairs)
        return not seen or len(self.pairs) > before

    def include(self, other: Coverage) -> None:
        """Add what another part of the campaign showed."""
        self.schedules += other.schedules
        for behaviour, times in other.behaviours.items():
            self.behaviours[behaviour] = self.behaviours.get(behaviour, 0) + times
        self.pairs |= other.pairs

    @property
    def distinct(self) -> int:
        """How many behaviours were seen."""
        return len(self.behaviours)

    @property
    def unseen(self) -> float:
        """The estimated probability that the next schedule behaves as none before; 1.0 before the first."""
        if not self.schedules:
            return 1.0
        return sum(times == 1 for times in self.behaviours.values()) / self.schedules

    def __str__(self) -> str:
        kinds = "behaviour" if self.distinct == 1 else "behaviours"
        pairs = f", {len(self.pairs):,} conflict pairs" if self.pairs else ""
        return f"{self.distinct:,} {kinds}{pairs}, {self.unseen:.2g} chance that the next schedule is new"
