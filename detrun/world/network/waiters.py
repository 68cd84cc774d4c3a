"""Tasks that wait for one kind of readiness of one socket; at most one at a time, as trio has it."""

from __future__ import annotations

from typing import Any

import outcome
import trio


class Waiters:
    """The task that waits, if any.

    Invariant: ``task`` is asleep in ``wait_task_rescheduled``, or about to be; whatever clears it wakes it.
    """

    __slots__ = ("task",)

    def __init__(self) -> None:
        self.task: Any = None

    def __bool__(self) -> bool:
        return self.task is not None

    def occupy(self, task: Any) -> None:
        """Let ``task`` wait here; it has yet to go to sleep.

        Raises:
            trio.BusyResourceError: another task waits here.
        """
        if self.task is not None:
            raise trio.BusyResourceError("another task is already reading / writing this socket")
        self.task = task

    def leave(self) -> None:
        """The waiting task has been cancelled."""
        self.task = None

    def wake(self, error: BaseException | None = None) -> None:
        """Let the waiting task, if any, try again, or raise ``error`` there."""
        task, self.task = self.task, None
        if task is not None:
            trio.lowlevel.reschedule(task, outcome.Value(None) if error is None else outcome.Error(error))
