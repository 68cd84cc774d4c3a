"""Worker threads inside a run: `trio.to_thread`, `trio.from_thread` and the executor of `concurrent.futures`.

trio's own code runs, cancellation, limiter, contexts and messages back to the task included; it only gets simulated
threads for its workers, a simulated local for what they know of their task, and a simulated queue for the answers. Each
call has a thread of its own: trio reuses idle ones, which no program can rely on.

The executor is CPython's. At the end of the main function it is told to stop, as the interpreter does at exit, before
threads are waited for.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import outcome
import sniffio
import trio
from greenlet import GreenletExit, getcurrent

from detrun_scheduler.replaced_names import ReplacedNames
from detrun_scheduler.simple_queue import SimpleQueue
from detrun_scheduler.thread_locals import local
from detrun_scheduler.thread_locks import Lock
from detrun_scheduler.threads import SimulatedThread, threads_of_call
from detrun_scheduler.trio_host import TRIO_THREADS, OrderedSet

if TYPE_CHECKING:
    from detrun_scheduler.threads import Threads

_FUTURES, _EXECUTOR = "concurrent.futures._base", "concurrent.futures.thread"


def _start_thread_soon(
    function: Callable[[], Any], deliver: Callable[[outcome.Outcome[Any]], object], name: str | None = None
) -> None:
    """`trio.lowlevel.start_thread_soon`."""
    threads = threads_of_call()
    if threads is None:
        _TRIO.originals["start_thread_soon"](function, deliver, name)
        return

    own_name = f"Trio thread {threads.idents}"

    def body() -> None:
        result = outcome.capture(function)
        thread.name = own_name  # as trio does when a worker becomes idle
        if not (isinstance(result, outcome.Error) and isinstance(result.error, GreenletExit)):
            deliver(result)

    thread: Any = threading.Thread(target=body, name=own_name, daemon=True)
    if name is not None:
        thread.name = name
    # trio names a worker "function from task"; the path of the task has the task in it already.
    thread._is_worker = True
    thread._path_name = thread.name.partition(" from ")[0]
    thread.start()


class _Run(TRIO_THREADS.Run):  # type: ignore[misc]
    """trio's message with a queue that a simulated thread can wait on."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        object.__setattr__(self, "queue", SimpleQueue())  # the class is frozen


class _RunSync(TRIO_THREADS.RunSync):  # type: ignore[misc]
    """As `_Run`."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        object.__setattr__(self, "queue", SimpleQueue())  # the class is frozen


class _ParentTaskData(local):
    """What a worker knows of the task it works for."""


_future_init: list[Callable[[Any], None]] = []


def _future_made(self: Any) -> None:
    """`Future.__init__`; in a run it also numbers the future, which `wait` and `as_completed` keep in sets."""
    _future_init[0](self)
    threads = threads_of_call()
    if threads is not None:
        threads.futures += 1
        self._number_in_run = threads.futures


def _future_hash(self: Any) -> int:
    """Addresses would decide the order in which `as_completed` yields what is done already."""
    number: int | None = vars(self).get("_number_in_run")
    return object.__hash__(self) if number is None else number


def _future_order(future: Any) -> int:
    """What ``id`` means to `concurrent.futures`: `wait` locks its futures in the order of their addresses."""
    number: int | None = getattr(future, "_number_in_run", None)
    return id(future) if number is None else number


class _CurrentLibrary:
    """`sniffio.thread_local` in a run: no simulated thread is in an async context."""

    @property
    def name(self) -> str | None:
        """The async library of the caller."""
        return None if type(getcurrent()) is SimulatedThread else sniffio.thread_local.name

    @name.setter
    def name(self, value: str | None) -> None:
        sniffio.thread_local.name = value


_SNIFFIO = ReplacedNames(sys.modules["sniffio._impl"], {"thread_local": _CurrentLibrary()})
_TRIO = ReplacedNames(
    TRIO_THREADS,
    {
        "start_thread_soon": _start_thread_soon,
        "PARENT_TASK_DATA": _ParentTaskData(),
        "Run": _Run,
        "RunSync": _RunSync,
        "_thread_counter": None,  # made anew for each run
    },
)
_LOW_LEVEL = ReplacedNames(trio.lowlevel, {"start_thread_soon": _start_thread_soon})


def install(threads: Threads) -> None:
    """Replace everything, for the run whose threads these are."""
    _TRIO.install({"_thread_counter": itertools.count()})
    _LOW_LEVEL.install()
    _SNIFFIO.install()
    futures: Any = sys.modules.get(_FUTURES)
    if futures is not None and futures.Future.__init__ is not _future_made:
        # For good: a future that was numbered in a run keeps its hash after it.
        _future_init.append(futures.Future.__init__)
        futures.Future.__init__, futures.Future.__hash__ = _future_made, _future_hash
        futures.id = _future_order
    executor: Any = sys.modules.get(_EXECUTOR)
    if executor is not None:
        threads.at_end.append(partial(_restore_counter, executor, executor.ThreadPoolExecutor._counter))
        executor.ThreadPoolExecutor._counter = itertools.count().__next__
        executor.set = OrderedSet  # of a pool's threads, which are joined in its order
        if not isinstance(executor._global_shutdown_lock, Lock):
            # Made before detrun was imported. It is held while a worker starts, which is a schedule point.
            executor._global_shutdown_lock = Lock()


def restore() -> None:
    """Put everything back."""
    _SNIFFIO.restore()
    _LOW_LEVEL.restore()
    _TRIO.restore()


def _restore_counter(executor: Any, counter: Callable[[], int]) -> None:
    executor.ThreadPoolExecutor._counter = counter


def stop_executors(threads: Threads) -> None:
    """The main function is over: tell idle workers to go, as the interpreter does when it exits."""
    executor: Any = sys.modules.get(_EXECUTOR)
    if executor is None:
        return
    queues = [
        work
        for thread, work in list(executor._threads_queues.items())
        if isinstance(simulated := vars(thread).get("_simulated"), SimulatedThread) and simulated.threads is threads
    ]
    if queues:
        threads.at_end.append(partial(setattr, executor, "_shutdown", executor._shutdown))
        executor._shutdown = True
        for work in queues:
            work.put(None)
