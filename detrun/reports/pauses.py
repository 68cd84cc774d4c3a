"""`Pauses`: a run that is made again is held at chosen steps, and those who want to look at it do so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from detrun.execution.scope import RunScope
from detrun_scheduler.environment.hidden_state import allowed
from detrun_scheduler.run import ActiveRun, RunHooks


class Looker(Protocol):
    """Looks at a held run.

    Attributes:
        next: after how many steps it looks next; infinity for never.
    """

    next: float

    def look(self, run: ActiveRun) -> None:
        """The run is held after `next` steps; say when to look again."""


class Pauses(RunScope):
    """Holds the run for each of its lookers.

    Args:
        beside: scopes that go along.
    """

    def __init__(self, lookers: Sequence[Looker], beside: Sequence[RunScope]) -> None:
        self.lookers = lookers
        self.beside = beside

    def contribute(self, hooks: RunHooks) -> None:
        """Arrange for the first pause."""
        hooks.first_pause, hooks.at_pause = self._first(), self._hold
        for scope in self.beside:
            scope.contribute(hooks)

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """See `RunScope`."""
        for scope in self.beside:
            args = scope.begin(run, args)
        return args

    def close(self) -> None:
        """See `RunScope`."""
        for scope in self.beside:
            scope.close()

    def _first(self) -> float:
        return min((one.next for one in self.lookers), default=math.inf)

    def _hold(self, run: ActiveRun) -> float:
        with allowed():
            for one in self.lookers:
                if one.next <= run.step_index:
                    one.look(run)
        return self._first()
