"""`raised_in`: the step of a failed run in which what failed it was raised, and where that was in the code.

A recording has the type and the text of the error that came out of the run. It was raised by one task, perhaps long
before: nurseries and task groups cancel the other children first, and put it into a group. Here the run is made again,
and the exception that came out is looked for among those by which its tasks ended.

A run that fails as a whole (a deadlock, a step limit) has no such step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from traceback import walk_tb

import outcome

from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.replayed_run import ReplayedRun
from detrun.execution.scope import RunScope
from detrun.inspection.moments import FrameState
from detrun.inspection.text import shown
from detrun_recorder.recording import Recording
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.journal import Journal
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.user_code import is_user_file


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception of a recorded run.

    Attributes:
        step: in which it ended a task.
        task: its path.
        error: its type and text.
        stack: the lines of user code in which it was raised, outermost first, with their variables as they were then.
    """

    step: int
    task: str
    error: str
    stack: tuple[FrameState, ...]


@dataclass(slots=True)
class _Endings(RunScope):
    """Notes which exceptions end the tasks of a run.

    It must not keep them: when an exception dies, its frames do, and what they hold is finalized. So it knows them by
    address, type and text. One that came out of the run has lived since, so that its address is its own.
    """

    found: dict[tuple[int, str, str], tuple[int, str]] = field(default_factory=dict)
    told: Callable[[Journal, int, BaseException | None], None] | None = None

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Listen to the ends of tasks, threads among them, of which the journal is told."""
        told = self.told = Journal.ended

        def ended(journal: Journal, task: int, error: BaseException | None) -> None:
            for leaf in exception_leaves(error) if error is not None and journal is run.journal else ():
                self.found.setdefault(_known_by(leaf), (run.step_index, run.path_of(task)))
            told(journal, task, error)

        setattr(Journal, "ended", ended)  # noqa: B010  # the type of a method leaves out that it may be replaced
        return args

    def close(self) -> None:
        """Listen no more."""
        if self.told is not None:
            setattr(Journal, "ended", self.told)  # noqa: B010  # as above
            self.told = None


def raised_in(recording: Recording, main: Main, args: Sequence[object], options: Options) -> Raised | None:
    """Where the error that failed a recorded run of ``main(*args)`` was raised; None if no task raised it.

    The run is made again, with what it prints left out.

    Raises:
        DetrunError: the program does not make the recorded run.
    """
    if recording.end is None or recording.end.outcome == "ok":
        return None
    endings = _Endings()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        finished = ReplayedRun(recording, watch=endings).execute(main, args, options)
    if not isinstance(finished.outcome, outcome.Error):
        return None
    leaves = [(leaf, endings.found.get(_known_by(leaf))) for leaf in exception_leaves(finished.outcome.error)]
    known = [(place, leaf) for leaf, place in leaves if place is not None]
    if not known:
        return None
    (step, task), error = min(known, key=lambda one: one[0])
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    stack = tuple(
        FrameState(
            frame.f_code.co_filename,
            line,
            frame.f_code.co_qualname,
            {name: shown(value) for name, value in frame.f_locals.items()},
        )
        for frame, line in walk_tb(error.__traceback__)
        if is_user_file(frame.f_code.co_filename)
    )
    return Raised(step, task, text, stack)


def _known_by(error: BaseException) -> tuple[int, str, str]:
    return id(error), type(error).__qualname__, str(error)
