"""Where a task did something that a checker was told of, for the explanation of a failure: `Noted`, `About`."""

from __future__ import annotations

from dataclasses import dataclass
from types import FrameType
from typing import NamedTuple

from detrun.checkers.transactions import Place
from detrun_scheduler import current
from detrun_scheduler.user_code import is_user_file

FRAMES_MAX = 8


class Noted(NamedTuple):
    """Where something was done.

    Attributes:
        task: its path, and its number in the run.
        step: of the run.
        stack: ``(file, line)`` of the program's frames, the innermost first.
    """

    task: str
    number: int
    step: int
    stack: tuple[tuple[str, int], ...]


def running_task(checker: str) -> int:
    """The number of the running task.

    Raises:
        UsageError: outside a run; it names the checker.
    """
    return current.require(checker).current


def noted(frame: FrameType | None, checker: str) -> Noted:
    """What the running task does in this frame.

    Raises:
        UsageError: outside a run; it names the checker.
    """
    run = current.require(checker)
    stack: list[tuple[str, int]] = []
    while frame is not None and len(stack) < FRAMES_MAX:
        if is_user_file(frame.f_code.co_filename):
            stack.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return Noted(run.path_of(run.current), run.current, run.step_index, tuple(stack))


@dataclass(frozen=True, slots=True)
class About:
    """A condition for `detrun.always` that says what it is about: an explanation by a fault or a message names these.

    Two or more operations are also explained by when they come.

    Attributes:
        operations: what each is called there, with where it was noted (`noted_place`).
    """

    holds: bool
    operations: tuple[tuple[str, Place], ...] = ()

    def __bool__(self) -> bool:
        return self.holds
