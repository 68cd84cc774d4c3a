"""Held tasks: those of a paused process, which are woken and stepped as usual and run none of their code.

A held task blocks at once in its step, in a wait called ``held``. What it was to resume from is kept in `Host.held`
until it is released.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from trio.lowlevel import Abort, Task

from detrun_scheduler.trio_host.private import WAIT_TRAP


def _held(_: object) -> Abort:
    """Aborts the wait of a held task: not now, it is cancelled where it goes on."""
    return Abort.FAILED


_held.__qualname__ = "held"


def _hold(_: object) -> Any:
    """Stands for a held task's coroutine: its step blocks instead of running code."""
    return WAIT_TRAP(_held)


class TaskQueue(Protocol):
    """The run queue."""

    def append(self, task: Task) -> None:
        """Make a task runnable."""


class HoldingHost(Protocol):
    """What holding asks of the host."""

    runq: Any  # what trio appends runnable tasks to
    held: dict[Task, tuple[Any, Any]]
    abandoned: dict[Task, None]

    @property
    def queue(self) -> TaskQueue:
        """The run queue itself."""


class HoldingQueue:
    """What trio appends runnable tasks to while some are held: those get parked instead of going on."""

    __slots__ = ("host", "is_held")

    def __init__(self, host: HoldingHost, is_held: Callable[[Task], bool]) -> None:
        self.host = host
        self.is_held = is_held

    def append(self, task: Task) -> None:
        """Called by trio's ``reschedule``."""
        if self.is_held(task) and task not in self.host.abandoned:
            _park(self.host, task)
        self.host.queue.append(task)


def hold(host: HoldingHost, tasks: Sequence[Task], is_held: Callable[[Task], bool]) -> None:
    """Let none of ``tasks`` run, nor any other task for which ``is_held`` says so when it becomes runnable.

    There is one ``is_held`` at a time: it has to know of everything that is held, also by earlier calls.
    """
    host.runq = HoldingQueue(host, is_held)
    for task in tasks:
        if task._next_send_fn is not None and task not in host.held:
            _park(host, task)


def _park(host: HoldingHost, task: Task) -> None:
    """Make the next step of a runnable task block."""
    host.held[task] = (task._next_send_fn, task._next_send)
    task._next_send_fn, task._next_send = _hold, None
    if hasattr(task.coro, "stalled"):
        task.coro.stalled()  # a thread


def release(host: HoldingHost, tasks: Sequence[Task], others_are_held: bool) -> None:
    """Let held tasks go on with what they were woken for."""
    for task in tasks:
        going_on = host.held.pop(task, None)
        if going_on is not None:
            blocked = task._next_send_fn is None
            task._next_send_fn, task._next_send = going_on
            if blocked:
                task._abort_func = None
                host.queue.append(task)
    if not others_are_held:
        host.runq = host.queue
