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
from collections.abc import Callable, Iterable
from concurrent.futures import _base as futures

# Now, and not when a program first needs it: that may be in a run, which would find it as nobody has prepared it.
from concurrent.futures import thread as executor
from functools import partial, wraps
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

_FUTURES: Any = futures
_EXECUTOR: Any = executor


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


_future_init: Callable[[Any], None] = _FUTURES.Future.__init__
_executor_init: Callable[..., None] = _EXECUTOR.ThreadPoolExecutor.__init__


@wraps(_future_init)
def _future_made(self: Any) -> None:
    """`Future.__init__`; in a run it also numbers the future, which `wait` and `as_completed` keep in sets."""
    _future_init(self)
    threads = threads_of_call()
    if threads is not None:
        threads.futures += 1
        self._number_in_run = threads.futures


def _future_hash(self: Any) -> int:
    """Addresses would decide the order in which `as_completed` yields what is done already."""
    number: int | None = vars(self).get("_number_in_run")
    return object.__hash__(self) if number is None else number


@wraps(_executor_init)
def _executor_made(self: Any, *arguments: Any, **keywords: Any) -> None:
    """`ThreadPoolExecutor.__init__`; in a run executors count from 0, and join threads in the order of their starts."""
    threads = threads_of_call()
    if threads is not None:
        self._counter = threads.executors.__next__  # the number in the names of its threads
    _executor_init(self, *arguments, **keywords)
    if threads is not None:
        self._threads = OrderedSet()  # CPython's is a set, and so by address


def _acquire_in_order(self: Any, futures: Iterable[Any]) -> None:
    """`_AcquireFutures.__init__`: all callers lock futures in one order; CPython's is by address."""
    self.futures = sorted(futures, key=lambda future: (vars(future).get("_number_in_run", 0), id(future)))


# For good: a future that was numbered in a run keeps its hash after it.
_FUTURES.Future.__init__, _FUTURES.Future.__hash__ = _future_made, _future_hash
_FUTURES._AcquireFutures.__init__ = _acquire_in_order
_EXECUTOR.ThreadPoolExecutor.__init__ = _executor_made


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
    if not isinstance(_EXECUTOR._global_shutdown_lock, Lock):
        # Made before ours were. It is held while a worker starts, which is a schedule point.
        _EXECUTOR._global_shutdown_lock = Lock()


def restore() -> None:
    """Put everything back."""
    _SNIFFIO.restore()
    _LOW_LEVEL.restore()
    _TRIO.restore()


def stop_executors(threads: Threads) -> None:
    """The main function is over: tell idle workers to go, as the interpreter does when it exits."""
    queues = [
        work
        for thread, work in list(_EXECUTOR._threads_queues.items())
        if isinstance(simulated := vars(thread).get("_simulated"), SimulatedThread) and simulated.threads is threads
    ]
    if queues:
        threads.at_end.append(partial(setattr, _EXECUTOR, "_shutdown", _EXECUTOR._shutdown))
        _EXECUTOR._shutdown = True
        for work in queues:
            work.put(None)
