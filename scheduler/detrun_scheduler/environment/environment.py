"""Control of everything nondeterministic outside the task schedule, for the length of one run.

Composes the process's generators, its clocks, and the guard against hidden state. The rule: `enter` either succeeds as
a whole or changes nothing, and `exit` puts everything back even if a part of it fails. The order matters: the guard
comes last and goes first, so that it watches the program only, not the set-up.
"""

from __future__ import annotations

from types import TracebackType

from detrun_scheduler.environment.hidden_state import Guard
from detrun_scheduler.environment.seeding import RunSeeding
from detrun_scheduler.environment.virtual_time import WALL_START_SECONDS, Clock, VirtualTime

_GUARD = Guard()


class ControlledEnvironment:
    """What surrounds a run: ``enter()``, run in the same thread, ``exit()``. May be entered again.

    Around a campaign of many runs, enter `detrun_scheduler.seeding.PreservedGenerators` once: it saves most of the
    cost of each run.
    """

    __slots__ = ("_seeding", "_time")

    def __init__(self, seed: int, clock: Clock, *, start_seconds: float = WALL_START_SECONDS) -> None:
        self._seeding = RunSeeding(seed)
        self._time = VirtualTime(clock, start_seconds)

    def enter(self) -> None:
        """Take control.

        Raises:
            UsageError: if a run is active in this process.
        """
        self._seeding.enter()
        try:
            self._time.enter()
            try:
                _GUARD.enter()
            except BaseException:
                self._time.exit()
                raise
        except BaseException:
            self._seeding.exit()
            raise

    def exit(self) -> None:
        """Give control back."""
        try:
            _GUARD.exit()
        finally:
            try:
                self._time.exit()
            finally:
                self._seeding.exit()

    def __enter__(self) -> ControlledEnvironment:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.exit()
