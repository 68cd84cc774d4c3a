"""The lost tasks of an event loop, each reported once: tasks that wait and to which nothing refers (`unreferenced.py`).

They are looked for when the main task ends. A collection may also take one while it waits; asyncio then tells the
loop's exception handler. Both are failures of the run, as an exception that comes out of a task is.
"""

from __future__ import annotations

from collections.abc import Iterable
from os.path import basename
from types import FrameType
from typing import Any

from detrun_scheduler.asyncio_host.lanes import Lane
from detrun_scheduler.asyncio_host.tasks import MADE, Making, path_of
from detrun_scheduler.asyncio_host.unreferenced import unreferenced
from detrun_scheduler.errors import Finding
from detrun_scheduler.run import ThreadFailure
from detrun_scheduler.user_code import line_at

DESTROYED = "Task was destroyed but it is pending!"  # what asyncio says of a task that is collected while it waits


class LostTaskWarning(Finding):
    """A task waits, and nothing that lives refers to it or to what it waits for."""


class LostTasks:
    """Those of one event loop.

    Args:
        run: that the loop belongs to.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self._reported: set[str] = set()  # paths

    def look(self, lanes: Iterable[Lane], frames: list[FrameType]) -> None:
        """Report those tasks of ``lanes`` that wait and that nothing but themselves refers to.

        Args:
            frames: of the last step of the main task, whose variables count as alive.
        """
        for task in unreferenced(_waiting(lanes), frames):
            self.report(task)

    def report(self, task: Any) -> None:
        """In life the collector may take, or here it takes, a task that waits."""
        path = path_of(task)
        if path not in self._reported:
            self._reported.add(path)
            warning = _lost(task, getattr(task, MADE, None))
            self._run.thread_failures.append(ThreadFailure(path, warning, False, "asyncio task"))


def _waiting(lanes: Iterable[Lane]) -> list[Any]:
    found = []
    for lane in lanes:
        task = lane.asyncio_task
        if task is not None and not lane.handles and not task.done():
            found.append(task)
    return found


def _lost(task: Any, made: Making | None) -> LostTaskWarning:
    """What is reported of ``task``."""
    name = getattr(task.get_coro(), "__qualname__", type(task).__qualname__)
    place, where = None, ""
    if made is not None:
        code, instruction = made
        place = code.co_filename, line_at(code, instruction) or code.co_firstlineno
        where = f", made at {basename(place[0])}:{place[1]},"
    error = LostTaskWarning(
        f"a task of {name!r}{where} waits, and nothing refers to it, so that it may be collected before its end; keep "
        "it in a variable, a set or an asyncio.TaskGroup"
    )
    error.place = place
    return error
