"""A hypothesis strategy that draws schedules, so that data and schedule are shrunk together.

`Schedule.run` asks hypothesis for one small number at every choice: 0 lets the running task go on, ``k`` takes the
``k``-th of the others by spawn number. Where the running task cannot go on, 0 is the first of those that can. So the
simplest schedule is the one without preemptions, and what hypothesis simplifies is what a reader of a failure would
like to have simplified. Until it shrinks, this is the random walk.

Numbers are drawn while the program runs, as by hypothesis' ``data()``: how many choices there are, and between how
many tasks, depends on the data and on the choices before. Everything else that a run could do differently is decided
by its seed, drawn first, so that an example is a function of what hypothesis drew and is never flaky for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import note
from hypothesis import strategies as st

from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.execution.program import Main, target_of
from detrun.explore.explorer import DEFAULT_MAX_STEPS
from detrun.testing.interleaving import interleaving
from detrun_recorder.recording import Recording
from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.errors import DetrunError, UsageError

PATIENCE = 200  # choices in a row for one task after which another gets its turn, undrawn: loops that poll end
CHOICES_MAX = 2000  # hypothesis gives up on examples of more than 8,192 numbers, the test's data among them
SEED_MAX = 2**16 - 1


class Schedule:
    """Runs one program, under choices drawn by hypothesis. Made by `schedules`."""

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int], options: Options) -> None:
        self._draw = draw
        self._options = options
        self._is_used = False

    def run(self, main: Main, *args: object) -> Any:
        """Run ``main(*args)`` and return what it returns, or raise what it raises.

        Raises:
            UsageError: a second call, or as for `detrun.record`.
        """
        if self._is_used:
            raise UsageError("a Schedule runs one program; draw another for the next")
        self._is_used = True
        oracle = DrawnChoices(self._draw)
        seed = self._draw(_seeds)
        finished = NewRun(seed, oracle, target=target_of(main)).execute(main, args, self._options)
        if oracle.interruption is not None:
            raise oracle.interruption
        # Also of a run that did not fail: the test may look at its result and fail then.
        note(_InterleavingNote(finished.recording))
        return finished.outcome.unwrap()

    def __repr__(self) -> str:
        return "Schedule(...)"


class DrawnChoices(KeyedDraws):
    """The oracle.

    Attributes:
        interruption: what hypothesis raised to end the example; to be raised again when the run is over.
    """

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int]) -> None:
        self._draw = draw
        self._choices = self._streak = 0
        self._last = -1
        self.interruption: BaseException | None = None

    def new_run(self, run: RunView) -> None:
        """There is one run only."""

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index that hypothesis draws."""
        here = runnable.index(current) if current in runnable else -1
        if here >= 0 and self._streak >= PATIENCE:
            index = (here + 1) % len(runnable)
        elif self._choices < CHOICES_MAX and self.interruption is None:
            self._choices += 1
            number = self._number(len(runnable))
            # 0 is the running task; the others keep their order.
            index = number if here < 0 else here if number == 0 else number - 1 if number <= here else number
        else:
            index = max(here, 0)
        chosen = runnable[index]
        self._streak = self._streak + 1 if chosen == self._last else 1
        self._last = chosen
        return index

    def _number(self, runnable: int) -> int:
        try:
            return self._draw(st.integers(0, runnable - 1))
        except BaseException as error:
            # It has to come out of the test as it is, and the run has to come to an orderly end before.
            self.interruption = error
            raise _ExampleOver("hypothesis ends this example") from None


class _ExampleOver(DetrunError):
    """Ends the run of an example that hypothesis wants no more of; never reaches a user."""


class _InterleavingNote:
    """A note that costs nothing unless it is shown: hypothesis asks for its text only in the last example.

    It is told from the recording. The lines that ran would take another run of the program, which must not be: the
    test is about to look at what the first one left behind.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __repr__(self) -> str:
        return interleaving(self._recording)


_seeds = st.integers(0, SEED_MAX)


@st.composite
def _schedules(draw: Any, options: Options) -> Schedule:
    return Schedule(draw, options)


def schedules(
    *,
    preemption: str = "sync",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    max_steps: int | None = DEFAULT_MAX_STEPS,
    thread_errors: bool = True,
) -> st.SearchStrategy[Schedule]:
    """Schedules for `Schedule.run`, which shrink towards the one without preemptions.

    Args:
        preemption, include, exclude: where threads can be interrupted, as for `detrun.record`.
        max_steps: raise `StepLimitError` after so many steps.
        thread_errors: raise an exception that leaves a thread uncaught.
    """
    return _schedules(
        Options(
            max_steps=max_steps,
            preemption=preemption,
            include=include,
            exclude=exclude,
            thread_errors=thread_errors,
        )
    )
