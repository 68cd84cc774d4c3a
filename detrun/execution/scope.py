"""`RunScope`: a participant in one run from outside of it, at both of its ends and by hooks in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import outcome

from detrun_scheduler.errors import DetrunError
from detrun_scheduler.run import ActiveRun, RunHooks


class RunLeftError(DetrunError):
    """A scope has left the run before its end, on purpose: the run has no result to compare."""


class RunScope:
    """Surrounds runs, one after the other: each is opened by `contribute` and `begin`, and closed by `end` and `close`.

    Every method here does nothing; a scope overrides those that it needs.
    """

    @property
    def recorded_as(self) -> Mapping[str, Any]:
        """What the header of a recording says of the scope: plain data."""
        return {}

    def contribute(self, hooks: RunHooks) -> None:
        """Say, before the run is built, what of it the scope wants to be told and to decide."""

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Everything is in place, and the program is about to start; returns the arguments that it gets."""
        return args

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """The program has ended; `Value` ids are still those of the run. Returns how it counts as having ended."""
        return ended

    def close(self) -> None:
        """Put back what `begin` has replaced. Called last, also where an error has kept `end` from being called."""
