"""Time travel: a recorded run is replayed up to a moment and held there, to be looked at.

The replay is strict (`detrun.inspection.held_replay`), so what is found is what was there; a program that has changed
is a `DivergenceError`. Afterwards the run is abandoned: its tasks are cancelled and clean up, nothing is written
anywhere, and the recording is as before.

*Where* is exact. ``step=N`` is the state after N steps, before step N: ``step=0`` is before the first, ``step=steps``
after the last, with the tasks of a deadlock still in place. ``virtual_time=t`` is the state at that time: everything up
to ``t`` has happened and nothing after it, so what arrives later is still in flight, and the clock shows the last
instant up to ``t`` at which something happened.

While a moment is looked at no run is active (reading an `Atomic` writes nothing down), the guard against hidden state
is off, so that a debugger can ask at the terminal, and clocks still show the run's time. No other run can begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from detrun.execution.options import Options
from detrun.execution.program import Main, check_main
from detrun.inspection.held_replay import HeldReplay
from detrun.inspection.kept_moments import KeptMoments, stops
from detrun.inspection.moments import Moment, capture, user_frames
from detrun_recorder.recording import Recording
from detrun_scheduler import current
from detrun_scheduler.environment.hidden_state import allowed
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun


@contextmanager
def at(
    main: Main,
    args: Sequence[object],
    recording: Recording,
    *,
    step: int | None = None,
    virtual_time: float | None = None,
    options: Options | None = None,
) -> Iterator[Moment]:
    """The `Moment` of a recorded run of ``main(*args)`` at a step or a virtual time.

    Args:
        step: how many steps have been taken; negative numbers count from the end, -1 is before the last step.
        virtual_time: in seconds; times after the end mean the end.
        options: as they were when the run was recorded.

    Raises:
        UsageError: neither or both of step and time, or one that the run does not have.
        DivergenceError: the program does not follow its recording up to there.
    """
    check_main(main)
    replay = HeldReplay(main, args, recording, _stop_step(recording, step, virtual_time), virtual_time, options)
    run = replay.start()
    try:
        with _looked_at(run, replay.steps_taken) as moment:
            yield moment
    finally:
        replay.abandon()


@contextmanager
def _looked_at(run: ActiveRun, steps_taken: int) -> Iterator[Moment]:
    """The moment in which a held run is; meanwhile no run is active, and nothing is refused."""
    with allowed():
        moment = capture(run, steps_taken)  # with the run still active: clocks and locks ask it
        current.run = None
        try:
            yield moment
        finally:
            moment.close()


class Traveller:
    """A recorded run that is held between two steps, and taken to any other.

    Going forward the held run goes on; going back it is replayed from its beginning, which takes some microseconds a
    step, or from a moment that was kept. Between two moves the run stands still, as in `at`, and `moment` and
    `evaluate` look at it.

    Args:
        options: as they were when the run was recorded.
        kept: keeps moments on the way, in processes of their own.
    """

    def __init__(
        self,
        main: Main,
        args: Sequence[object],
        recording: Recording,
        options: Options | None = None,
        kept: KeptMoments | None = None,
    ) -> None:
        check_main(main)
        self.kept = kept
        self.main = main
        self.args = args
        self.recording = recording
        self.options = options
        self._replay: HeldReplay | None = None
        self._moment: Moment | None = None
        self._looking = ExitStack()

    @property
    def step(self) -> int:
        """How many steps were taken; 0 before the first move."""
        return 0 if self._replay is None else self._replay.steps_taken

    def go(self, step: int) -> None:
        """Hold the run after so many steps; negative numbers count from the end.

        Raises:
            UsageError: the run has no such step.
            DivergenceError: the program does not follow its recording up to there. The next move begins anew.
        """
        step = _stop_step(self.recording, step, None)
        replay = self._replay
        if replay is not None and step == replay.steps_taken:
            return
        self._look_away()
        try:
            if replay is not None and step < replay.steps_taken:
                if self.kept is not None:
                    self.kept.go_back(step)
                replay.abandon()
                self._replay = None
            self._forward(step)
        except BaseException:
            self._replay = None
            raise

    def _forward(self, step: int) -> None:
        """Go on to a later step, or begin; keep moments on the way."""
        kept = self.kept
        if kept is None:
            self._go_on(step)
            return
        if self._replay is None:
            step = kept.keep(0, step)
        while True:
            for stop in stops(self.step, step):
                self._go_on(stop)
                wanted = kept.keep(stop, step)
                if wanted != step:
                    break
            else:
                self._go_on(step)
                return
            step = wanted  # in a process that has taken over

    def _go_on(self, step: int) -> None:
        if self._replay is None:
            self._replay = HeldReplay(self.main, self.args, self.recording, step, None, self.options)
            self._replay.start()
        elif step > self._replay.steps_taken:
            self._replay.go_on(step)

    @property
    def moment(self) -> Moment:
        """The run where it is held; valid until the next move."""
        if self._replay is None:
            self.go(0)
        assert self._replay is not None
        if self._moment is None:
            run = self._replay.run
            assert run is not None
            self._moment = self._looking.enter_context(_looked_at(run, self._replay.steps_taken))
        return self._moment

    def evaluate(self, expression: str, task: str | None = None) -> Any:
        """The value of a Python expression, in the innermost frame of user code of a living task.

        Args:
            task: its path; None for names of the program's module alone.

        Raises:
            Exception: whatever the expression raises.
            UsageError: no living task of that path.
        """
        moment = self.moment
        code = compile(expression, "<expression>", "eval")
        if task is None:
            return eval(code, getattr(self.main, "__globals__", {}))
        moment.task(task)  # names those that live
        frames = user_frames(moment.live.tasks[task])
        if not frames:
            return eval(code, getattr(self.main, "__globals__", {}))
        return eval(code, frames[-1].f_globals, dict(frames[-1].f_locals))

    def close(self) -> None:
        """Let the run go."""
        self._look_away()
        if self._replay is not None:
            self._replay.abandon()
            self._replay = None

    def _look_away(self) -> None:
        self._moment = None
        self._looking.close()


def _stop_step(recording: Recording, step: int | None, virtual_time: float | None) -> int:
    steps = recording.steps
    if (step is None) == (virtual_time is None):
        raise UsageError("a moment is named by step=N or by virtual_time=SECONDS; give one of them")
    if virtual_time is not None:
        if not isinstance(virtual_time, int | float) or not virtual_time >= 0:
            raise UsageError(f"virtual_time={virtual_time!r} is not a time of a run; give seconds of at least 0")
        return steps
    if not isinstance(step, int) or not -steps <= step <= steps:
        raise UsageError(f"there is no moment at step {step!r}: the run has {steps:,} steps; give 0 to {steps}")
    return step if step >= 0 else steps + step
