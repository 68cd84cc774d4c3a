"""Coverage of a campaign: the behaviours that it has seen, and the probability that the next schedule shows another.

Two schedules behave alike if their journals agree but for the choices: the same steps ended in the same way and did the
same things in the same order. Of ``n`` schedules with ``s`` behaviours that were seen once only, the probability that
the next schedule behaves as none before is about ``s / n`` (Good, "The population frequencies of species and the
estimation of population parameters", Biometrika 1953): an estimate for the strategy at hand, which bounds the number of
bugs in no way.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SAMPLES_LEAST = 20  # below this many schedules the estimate says nothing


@dataclass(slots=True)
class Coverage:
    """What the schedules of a campaign showed.

    Attributes:
        schedules: how many were counted.
        behaviours: how often each behaviour was seen, by its hash; the counts are positive and add up to ``schedules``.
    """

    schedules: int = 0
    behaviours: dict[int, int] = field(default_factory=dict)

    def add(self, behaviour: int) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.behaviours[behaviour] = self.behaviours.get(behaviour, 0) + 1

    def include(self, other: Coverage) -> None:
        """Add what another part of the campaign showed."""
        self.schedules += other.schedules
        for behaviour, times in other.behaviours.items():
            self.behaviours[behaviour] = self.behaviours.get(behaviour, 0) + times

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

    def _check(self) -> None:
        """Assert the invariants of the fields."""
        assert all(times > 0 for times in self.behaviours.values()), self.behaviours
        assert sum(self.behaviours.values()) == self.schedules, (self.schedules, self.behaviours)

    def __str__(self) -> str:
        text = f"{self.distinct:,} behaviour{'' if self.distinct == 1 else 's'}"
        if self.schedules < SAMPLES_LEAST:
            return text
        return f"{text}, {self.unseen:.2g} chance that the next schedule shows another"
