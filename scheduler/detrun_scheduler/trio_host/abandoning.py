"""Abandoned tasks: those of a killed process, dropped where they stand; none of their code runs again."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

import outcome
from trio.lowlevel import Task

from detrun_scheduler.clock import TimerHeap
from detrun_scheduler.trio_host.graveyard import lay_out
from detrun_scheduler.trio_host.private import LOTS_BROKEN_BY, AsyncGenerators, Instruments


def _vanish(_: object) -> Any:
    """Stands for an abandoned task's coroutine: its last step ends it without running code."""
    raise StopIteration(None)


_abandonment = GeneratorExit()  # raised where an abort function asks why; no task ever receives it


def _raise_abandonment() -> NoReturn:
    """Given to the abort functions of abandoned tasks in place of what raises ``Cancelled``."""
    raise _abandonment


class AbandoningHost(Protocol):
    """What abandoning asks of the host."""

    numbers: dict[Task, int]
    tasks: set[Task]
    held: dict[Task, tuple[Any, Any]]
    abandoned: dict[Task, None]
    timers: TimerHeap
    dead: list[Any]
    asyncgens: AsyncGenerators
    instruments: Instruments
    not_returned: Callable[[int, BaseException | None], object] | None

    def forget_number(self, task: Task) -> None:
        """Note that a task has ended, or is gone."""


class Burial:
    """Fires after the step in which a running task was abandoned, when it can be dropped like any other."""

    __slots__ = ("host", "task")

    def __init__(self, host: AbandoningHost, task: Task) -> None:
        self.host = host
        self.task = task

    def fire(self) -> None:
        """Drop the task, if it has not ended in that step."""
        if self.task in self.host.numbers:
            abandon(self.host, [self.task])


def abandon(host: AbandoningHost, tasks: Sequence[Task]) -> None:
    """Drop ``tasks`` where they stand: none of their code runs again, not even when the run is over.

    Tasks in nurseries of theirs go with them. All other code sees them as ended: they leave the wait queues that they
    stand in, their deadlines and cancel scopes are void, and a lock that one of them holds is broken, as trio breaks it
    when a task ends that holds it. Coroutines stay referenced until the run is over, so that nothing finalizes them. A
    task that is running now runs on to its next schedule point.
    """
    doomed = _with_descendants(host, tasks)
    for task in [task for task in doomed if getattr(task.coro, "cr_running", False)]:
        del doomed[task]
        host.timers.add(host.timers.clock.now, Burial(host, task))
    for task in doomed:
        # Out of the wait queues first, all of them: what is done below may wake tasks, and none of these.
        if task._next_send_fn is None and task._abort_func is not None:
            abort, task._abort_func = task._abort_func, None
            with contextlib.suppress(Exception):
                abort(_raise_abandonment)
            _abandonment.__traceback__ = None  # which leads here: a cycle of garbage
        host.abandoned[task] = None
        if host.not_returned is not None:
            host.not_returned(host.numbers[task], None)
    for task in doomed:
        _void_scopes(host, task)
        host.held.pop(task, None)
        host.tasks.remove(task)
        lay_out(host.dead, task.coro, host.asyncgens.alive)
        if hasattr(task.coro, "abandoned"):
            task.coro.abandoned()  # a thread
        if task._next_send_fn is None:
            host.forget_number(task)
        else:
            # Runnable: the journal's readers expect it to be stepped once more. The step ends it.
            task._next_send_fn, task._next_send = _vanish, None
    for task in doomed:
        _tell_end(host, task)


def _with_descendants(host: AbandoningHost, tasks: Sequence[Task]) -> dict[Task, None]:
    """``tasks`` that still live, each followed by those in its nurseries, in the order of their numbers."""
    doomed: dict[Task, None] = {}
    waiting = list(reversed(tasks))
    while waiting:
        task = waiting.pop()
        if task in doomed or task not in host.numbers or task in host.abandoned:
            continue
        doomed[task] = None
        for nursery in task._child_nurseries:
            waiting.extend(sorted(nursery._children, key=host.numbers.__getitem__, reverse=True))
    return doomed


def _void_scopes(host: AbandoningHost, task: Task) -> None:
    """Take the cancel scopes that ``task`` is in out of trio's tree, with their deadlines."""
    nursery = task._parent_nursery
    outside = nursery._cancel_status if nursery is not None else None
    status: Any = task._cancel_status
    task._activate_cancel_status(None)
    while status is not None and status is not outside:
        scope = status._scope
        if scope in host.timers.live:
            host.timers.remove(scope._registered_deadline, scope)
        scope._registered_deadline = math.inf
        scope._cancel_status = None
        above = status.parent
        status.parent = None
        status = above


def _tell_end(host: AbandoningHost, task: Task) -> None:
    """Break the locks that ``task`` holds, and tell its nursery and the instruments that it has ended."""
    for lot in LOTS_BROKEN_BY.pop(task, ()):
        lot.break_lot(task)
    parent = task._parent_nursery
    if parent is not None:
        if parent._parent_task in host.abandoned:
            parent._children.discard(task)
        else:
            parent._child_finished(task, outcome.Value(None))
    if "task_exited" in host.instruments:
        host.instruments.call("task_exited", task)
