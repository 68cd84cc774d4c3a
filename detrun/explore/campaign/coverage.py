"""Coverage of a campaign: the behaviours that it has seen, and the probability that the next schedule shows another.

A behaviour is an order of steps: two schedules behave alike if the same tasks took the same steps in the same order.
Steps in another order may leave another state behind in plain lists and attributes, which no journal holds, so nothing
coarser may be taken for the same. Beside it stands a coarser count, of what the journals hold apart from the choices:
orders of operations on detrun's own objects. Where tasks share nothing else, it is the number that matters.

Of ``n`` schedules with ``s`` behaviours that were seen once only, the probability that
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
        operations: hashes of the orders of operations on detrun's objects; at most as many as there are behaviours.
    """

    schedules: int = 0
    behaviours: dict[int, int] = field(default_factory=dict)
    operations: set[int] = field(default_factory=set)

    def add(self, behaviour: int, operations: int) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.operations.add(operations)
        self.behaviours[behaviour] = self.behaviours.get(behaviour, 0) + 1

    def include(self, other: Coverage) -> None:
        """Add what another part of the campaign showed."""
        self.schedules += other.schedules
        self.operations |= other.operations
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
        assert len(self.operations) <= len(self.behaviours), (self.operations, self.behaviours)

    def __str__(self) -> str:
        text = (
            f"{self.distinct:,} order{'' if self.distinct == 1 else 's'} of steps, "
            f"{len(self.operations):,} as detrun's own objects saw them"
        )
        if self.schedules < SAMPLES_LEAST:
            return text
        # Where every order was seen twice the estimate is 0; that is known to 3 / n only (the rule of three, at 95 %).
        chance = f"{self.unseen:.2g}" if self.unseen else f"less than {3 / self.schedules:.2g}"
        return f"{text}, {chance} chance that the next schedule shows another order"
