"""What waits for one kind of readiness of one socket: at most one task of trio's, and event loops that watch it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import outcome
import trio


class Waiters:
    """The task that waits, if any, and what is called when it would be woken.

    Invariant: ``task`` is asleep in ``wait_task_rescheduled``, or about to be; whatever clears it wakes it.
    """

    __slots__ = ("task", "watchers")

    def __init__(self) -> None:
        self.task: Any = None
        self.watchers: tuple[Callable[[], object], ...] = ()

    def __bool__(self) -> bool:
        return self.task is not None or bool(self.watchers)

    def watch(self, watcher: Callable[[], object]) -> None:
        """Call ``watcher`` whenever a waiting task would be woken, until `unwatch`."""
        self.watchers = (*self.watchers, watcher)

    def unwatch(self, watcher: Callable[[], object]) -> None:
        """Call it no more."""
        self.watchers = tuple(one for one in self.watchers if one != watcher)

    def vanish(self) -> None:
        """What waits is gone."""
        self.task, self.watchers = None, ()

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
        for watcher in self.watchers:
            watcher()
