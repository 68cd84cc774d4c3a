"""`HeldReplay`: a strict replay that stops between two steps, and may go on from there.

It runs in a greenlet of its own, which is left at the chosen point with every task, timer and message in place. It is
entered again to go on to a later step, or to be abandoned: then its tasks are cancelled and clean up.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Sequence
from typing import Any

import outcome
from greenlet import getcurrent, greenlet

from detrun.execution.execute import execute
from detrun.execution.known_differences import known_differences
from detrun.execution.options import Options
from detrun.execution.program import Main, source_fingerprint
from detrun.execution.replayed_run import recorded_strategy, replay_hooks
from detrun.execution.scope import RunScope
from detrun_recorder.recording import Recording
from detrun_recorder.strict_replay import StrictReplay
from detrun_scheduler import current
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import DetrunError, UsageError
from detrun_scheduler.journal import Journal
from detrun_scheduler.run import ActiveRun, RunHooks
from detrun_scheduler.strategies import make

_HELD = object()  # what a replay says that has come to the chosen point


class _AbandonedError(DetrunError):
    """The moment has been looked at; ends the replay. Never seen by users."""


class HeldReplay(RunScope):
    """One strict replay that stops at a point; scope, time observer and verifier of its run."""

    def __init__(
        self,
        main: Main,
        args: Sequence[object],
        recording: Recording,
        stop_step: int,
        virtual_time: float | None,
        options: Options | None,
    ) -> None:
        self.main = main
        self.args = args
        self.recording = recording
        self.stop_step = stop_step
        # Recorded times are rounded: who asks for a time that a recording shows means the instant itself.
        self.time_most = math.inf if virtual_time is None else virtual_time + recording.time_quantum
        self.options = options
        self.replayer: StrictReplay | None = None
        self.run: ActiveRun | None = None
        self.steps_taken = 0
        self._greenlet: greenlet | None = None
        self._viewer: greenlet | None = None
        self._ended: outcome.Outcome[Any] | None = None

    def start(self) -> ActiveRun:
        """Replay up to the point; the run stands still when this returns."""
        self._viewer = getcurrent()
        self._greenlet = greenlet(self._replay)
        self._greenlet.gr_context = contextvars.copy_context()
        if self._greenlet.switch() is not _HELD:
            self._refuse()
        assert self.run is not None
        return self.run

    def _replay(self) -> None:
        recording = self.recording
        changed = recording.header.get("source") not in (None, source_fingerprint(self.main))
        differences = known_differences(recording, self.main, self.args)
        self.replayer = StrictReplay(recording, make(recorded_strategy(recording)), changed, differences)
        _, self._ended = execute(
            self.main,
            self.args,
            oracle=self.replayer,
            seed=recording.seed or 0,
            journal=Journal(self.replayer.chunk_closed),
            verifier=self,
            options=(self.options or Options()).with_recorded(recording, self.main),
            scope=self,
            hooks=replay_hooks(self.replayer),
        )

    def go_on(self, step: int) -> None:
        """Take the held run further, to a later step."""
        assert self.run is not None
        assert self._greenlet is not None
        self.stop_step = step
        self._viewer = getcurrent()
        current.run = self.run
        if self._greenlet.switch() is not _HELD:
            self._refuse()

    def _refuse(self) -> None:
        """Raise why the replay ended before it was held."""
        assert self._ended is not None
        if isinstance(self._ended, outcome.Error):
            raise self._ended.error
        raise UsageError(f"the replay ended before step {self.stop_step:,}, where it should have been held")

    def abandon(self) -> None:
        """End the run that is held: cancel its tasks, let them clean up, and forget it."""
        run, held = self.run, self._greenlet
        if run is None or held is None or held.dead:
            return
        run.detach()
        current.run = run
        held.throw(_AbandonedError("the replay was held to be looked at, and is over"))
        assert held.dead

    def _hold(self, steps_taken: int) -> None:
        self.steps_taken = steps_taken
        assert self._viewer is not None
        self._viewer.switch(_HELD)

    # Around the run.

    def contribute(self, hooks: RunHooks) -> None:
        """Arrange for the run to be held."""
        hooks.first_pause, hooks.at_pause = self.stop_step, self._at_pause
        if self.time_most < math.inf:
            hooks.time_observer = self

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Know the run that is held."""
        self.run = run
        return args

    # The three places at which a run is held.

    def _at_pause(self, run: ActiveRun) -> float:
        self._hold(run.step_index)
        return self.stop_step if self.stop_step > run.step_index else math.inf

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Compare the step; hold the run after its last one, since pauses come between two steps only."""
        assert self.replayer is not None
        self.replayer.step_closed(run, task, outcome_byte, record)
        if run.step_index == self.stop_step == self.recording.steps:
            self._hold(run.step_index)

    def advanced(self, deadline: Any, previous: Any | None, key: Any, sequence: int) -> None:
        """Time is about to jump; hold the run if that leads past the time that was asked for."""
        if primal_of(deadline) > self.time_most and self.run is not None:
            # In the middle of closing a step, whose task has run.
            self._hold(self.run.step_index + 1)

    def overdue(self, deadline: Any, now: Any, key: Any) -> None:
        """A timer that was due at once, which moves no time."""

    def disarmed(self, deadline: Any, now: Any, sequence: int) -> None:
        """A timer was taken back, which moves no time."""
