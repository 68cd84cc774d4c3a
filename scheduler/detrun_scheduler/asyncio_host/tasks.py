"""Tasks, futures and timers of asyncio, as simulated loops make them.

asyncio keeps tasks in sets (`asyncio.wait`, `all_tasks`, task groups), and objects hash by their address. Tasks and
futures that a run makes hash by the order in which they were made, so that a set of them has the same order in every
process. `asyncio.wait` and `as_completed` put their arguments into a set before they make tasks of them; these keep
their order.

A task also knows where in the program it was made, which reports show. Timers are keys of the run's timers.
"""

from __future__ import annotations

import asyncio
import math
from asyncio import events
from collections.abc import Iterable
from contextvars import Context, copy_context
from functools import lru_cache
from itertools import count
from types import CodeType, SimpleNamespace
from typing import Any

from detrun_scheduler.asyncio_host.private import OF_TASKS, TASKS, ends_a_sleep
from detrun_scheduler.clock import primal_of


class AsyncioOfRun:
    """What the loops of one run have in common."""

    __slots__ = ("numbers", "running", "tasks")

    def __init__(self) -> None:
        self.numbers = count(1)  # of tasks and futures
        self.tasks = count(1)  # of tasks without a name
        self.running: list[Any] = []  # loops

    def thread_begins(self) -> None:
        """The run has a second thread from now on."""
        for loop in self.running:
            loop.look_for_threads()


class Future(asyncio.Future[Any]):
    """A future that the simulated loop makes."""

    __slots__ = ("_number",)

    def __init__(self, *, loop: Any) -> None:
        self._number: int = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


LANE = "detrun_lane"  # of a task that has been stepped, if it lives
PATH = "detrun_path"  # in the run, of a task that is over and has failed
MADE = "detrun_made"  # where
LABEL = "detrun_label"  # what its lane is to be called, if it has no name of the program's

BETWEEN = frozenset(("asyncio", "detrun_scheduler"))  # packages that stand between a task and the code that makes it

Making = tuple[CodeType, int]  # the code that made a task, and the instruction


@lru_cache(maxsize=1000)
def _is_between(module: str) -> bool:
    return module.partition(".")[0] in BETWEEN


def making(frame: Any) -> Making:
    """Where the task is being made, for ``frame`` or for what has called it."""
    while (names := frame.f_globals) is OF_TASKS or _is_between(names.get("__name__", "")):
        caller = frame.f_back
        if caller is None:
            break
        frame = caller
    return frame.f_code, frame.f_lasti


class Task(asyncio.Task[Any]):
    """A task that the simulated loop makes."""

    __slots__ = (LABEL, LANE, MADE, PATH, "_number")

    detrun_label: str | None
    detrun_lane: Any
    detrun_made: Making | None  # None: as the main function of a program
    _number: int

    def __hash__(self) -> int:
        return self._number


def path_of(task: Any) -> str:
    """The path in the run of a task that has been stepped, or an empty string."""
    lane = getattr(task, LANE, None)
    path: str = getattr(task, PATH, "") if lane is None or lane.task is None else lane.path
    return path


_new_task, _begin_task = Task.__new__, Task.__init__


def new_task(
    coro: Any, loop: Any, counts: AsyncioOfRun, made: Making | None, name: Any, context: Any = None, **options: Any
) -> Task:
    """A task of ``loop``; asyncio registers it, by its hash, while it makes it."""
    task = _new_task(Task)
    task.detrun_lane = task.detrun_label = None
    task.detrun_made = made
    task._number = next(counts.numbers)
    if name is None:
        name = f"Task-{next(counts.tasks)}"
        task.detrun_label = label_of(coro)
    _begin_task(task, coro, loop=loop, name=name, context=context, **options)
    return task


def label_of(coro: Any) -> str:
    """What the lane of a task of ``coro`` is called, unless the program has named it."""
    name: str = getattr(coro, "__qualname__", None) or type(coro).__name__
    return name.rpartition(".")[2]


class Handle(events.Handle):
    """A callback that is queued while no debug mode is on: asyncio's own, made without asking for that."""

    __slots__ = ()

    def __init__(self, callback: Any, args: tuple[Any, ...], loop: Any, context: Context | None) -> None:
        self._context: Any = copy_context() if context is None else context
        self._loop = loop
        self._callback: Any = callback
        self._args: Any = args
        self._cancelled = False
        self._repr = self._source_traceback = None


class Timer(events.TimerHandle):
    """A timer of a loop: a key of the run's timers, and so told apart by identity."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__
    _loop: Any
    _callback: Any

    def fire(self) -> None:
        """Called by the run when the timer is due, between two steps."""
        self._scheduled = False
        if self._cancelled:
            return
        loop = self._loop
        if loop.line is not None:
            loop.line.put_timer(self, loop.push_timer)
        elif self._callback is ends_a_sleep and (loop.callbacks is None or not loop.callbacks.handles):
            # asyncio.sleep: it does nothing but to make a task runnable, and that takes no step of its own.
            loop.set_running(loop)
            try:
                self._run()
            finally:
                loop.set_running(None)
        else:
            loop.push_timer(self)


Timer.__name__ = "TimerHandle"  # in logs and messages, as in life


def _set_of(*arguments: Iterable[Any]) -> Any:
    """What ``set(...)`` means in asyncio's module of tasks: in order where it was given something."""
    return list(dict.fromkeys(*arguments)) if arguments else set()


def install() -> None:
    """Order arguments, and let the delay of ``asyncio.sleep`` be a `Value`, for the life of the process."""
    TASKS.set = _set_of
    TASKS.math = SimpleNamespace(isnan=lambda number: math.isnan(primal_of(number)))
