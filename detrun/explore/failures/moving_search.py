"""`MovingSearch`: what strategies have in common that move occurrences of a failing run, or leave them out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from detrun.explore.failures.narration import Narration
from detrun.explore.failures.retiming import Retimed, Retimings
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.showing_steps import showing_steps
from detrun.explore.failures.what_steps_knew import Knowledge


@dataclass(frozen=True)
class MovingSearch:
    """A failing run whose occurrences can be moved.

    Attributes:
        seen: the steps that showed the failure.
    """

    reversals: Reversals
    narration: Narration
    retimings: Retimings
    seen: list[int]

    @classmethod
    def of(cls, reversals: Reversals, narration: Narration, comes_again: bool = False) -> Self | None:
        """None where `Retimings.of` is."""
        retimings = Retimings.of(reversals, narration, comes_again)
        if retimings is None:
            return None
        return cls(reversals, narration, retimings, showing_steps(narration, reversals.failing.error))

    @property
    def base(self) -> Retimed:
        """The failing run."""
        return self.retimings.base

    @cached_property
    def knowledge(self) -> Knowledge:
        """What the steps knew. It takes seconds of a long run: measured when it is asked for, once for all searches."""
        return self.reversals.once("knowledge", lambda: Knowledge.of(self.narration, self.base.timeline, self.seen))
