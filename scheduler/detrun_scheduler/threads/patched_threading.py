"""What `threading`, `_thread` and `time.sleep` are inside a run.

CPython's own classes are used wherever they are Python on top of locks: `Condition`, `Event`, `Semaphore`, `Barrier`,
`Timer`, the queues and the executor work unchanged over simulated locks, idents and clocks, so that subclasses of them
do too. Replaced are the few functions and methods below them: starting and joining a thread, who is calling, which
threads there are, the counters that number threads and executors, and the clock.

The rule: a replacement decides by who calls. In an OS thread that has nothing to do with the run it is the original.
All names are put back when the run ends, however it ends.
"""

from __future__ import annotations

import _thread
import importlib._bootstrap
import itertools
import queue
import re
import sys
import threading
import time
from _thread import get_ident as _real_ident
from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any
from weakref import ref

from greenlet import GreenletExit, getcurrent

from detrun_scheduler.clock import primal_of
from detrun_scheduler.environment.replaced_names import ReplacedMethods, ReplacedNames, ReplacedTogether
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.threads import kept_greenlets, locks, pools, simple_queue, thread_locals, trio_workers
from detrun_scheduler.threads.locks import Lock
from detrun_scheduler.threads.threads import (
    JOIN,
    MAIN_IDENT,
    SimulatedThread,
    Threads,
    sleep,
    threads_of_call,
    wait_in_task,
)
from detrun_scheduler.trio_host.private import THREAD_COUNTER

_JOIN, _READ = OPERATIONS.index("join"), OPERATIONS.index("read")
_NEW_HANDLE = hasattr(_thread, "start_joinable_thread")  # Python 3.13 keeps the state of a thread in a handle
_DEFAULT_NAME = re.compile(r"Thread-\d+(?: \((.*)\))?")


def get_ident() -> int:
    """A small number, the same in every run."""
    found = getcurrent()
    if type(found) is SimulatedThread:
        return found.ident
    return MAIN_IDENT if threads_of_call() is not None else _real_ident()


class _Alive(dict[int, threading.Thread]):
    """`threading._active` in a run. After a fork, which the run survives, `threading` would empty it.

    Real threads that start or end beside the run (of a process pool, say) belong to the table that this one stands for.
    """

    def __setitem__(self, ident: int, thread: threading.Thread) -> None:
        if threads_of_call() is not None:
            super().__setitem__(ident, thread)
        else:
            _THREADING.originals["_active"][ident] = thread

    def __delitem__(self, ident: int) -> None:
        if ident in self:
            super().__delitem__(ident)
        else:
            del _THREADING.originals["_active"][ident]

    def clear(self) -> None:
        """Nothing: the threads are there in the child too."""

    def __len__(self) -> int:
        return 1  # as `threading` asserts after a fork; whoever counts threads asks `active_count`


class _NoThreads:
    """`threading._dangling` in a run: what `threading` declares dead after a fork."""

    # Neither does anything, at the cost of a builtin: each thread is added once.
    add = discard = staticmethod(id)

    def __iter__(self) -> Iterator[threading.Thread]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _MainThread(threading.Thread):
    """The main thread of a run."""

    _template: dict[str, Any] | None = None

    def join(self, timeout: float | None = None) -> None:
        """As for the real one."""
        raise RuntimeError("cannot join current thread")


def _main_thread() -> threading.Thread:
    # A copy of one prepared object: making a Thread costs 8 µs, and each run needs a fresh one.
    if _MainThread._template is None:
        prepared = _MainThread(name="MainThread", daemon=False)
        prepared._started._flag = True  # type: ignore[attr-defined]
        prepared._ident = MAIN_IDENT  # type: ignore[attr-defined]
        prepared._native_id = MAIN_IDENT  # type: ignore[attr-defined]
        _MainThread._template = vars(prepared)
    thread = _MainThread.__new__(_MainThread)
    vars(thread).update(_MainThread._template)
    return thread


def _current_thread() -> threading.Thread:
    found = getcurrent()
    if type(found) is SimulatedThread:
        known: threading.Thread | None = threading._active.get(found.ident)  # type: ignore[attr-defined]
        if known is not None:
            return known
    elif threads_of_call() is None:
        return _THREADING.originals["current_thread"]()  # type: ignore[no-any-return]
    try:
        return threading._active[get_ident()]  # type: ignore[attr-defined, no-any-return]
    except KeyError:
        return threading._DummyThread()


def _find_main_thread() -> threading.Thread:
    if threads_of_call() is None:
        return _THREADING.originals["main_thread"]()  # type: ignore[no-any-return]
    return threading._active[MAIN_IDENT]  # type: ignore[attr-defined, no-any-return]


def _enumerate() -> list[threading.Thread]:
    if threads_of_call() is None:
        return _THREADING.originals["enumerate"]()  # type: ignore[no-any-return]
    return list(threading._active.values())  # type: ignore[attr-defined]


def _active_count() -> int:
    return len(_enumerate())


class ThreadHandle:
    """`_thread._ThreadHandle`: what `threading.Thread` of Python 3.13 and later knows its thread by."""

    __slots__ = ("simulated",)

    def __new__(cls) -> Any:
        """One of Python's own, for a real thread beside the run."""
        if threads_of_call() is None:
            return _LOW_LEVEL.originals["_ThreadHandle"]()
        return object.__new__(cls)

    def __init__(self) -> None:
        self.simulated: SimulatedThread | None = None

    @property
    def ident(self) -> int:
        """The thread's, 0 before its start."""
        return 0 if self.simulated is None else self.simulated.ident

    def is_done(self) -> bool:
        """Whether the thread has ended."""
        return self.simulated is not None and self.simulated.is_over

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        if self.simulated is None:
            raise RuntimeError("thread not started")
        if getcurrent() is self.simulated:
            raise RuntimeError("Cannot join current thread")
        _wait_for_end(self.simulated, timeout)

    def _set_done(self) -> None:
        if self.simulated is None:
            raise RuntimeError("thread not started")


@wraps(threading.Thread.__init__)
def _init(self: threading.Thread, *arguments: Any, **keywords: Any) -> None:
    """`Thread.__init__`, where preemption would trace each of the twenty calls that it makes."""
    caller = getcurrent()
    if type(caller) is SimulatedThread and caller.threads.untraced is not None:
        caller.threads.untraced(_METHODS.originals["__init__"], self, *arguments, **keywords)
    else:
        _METHODS.originals["__init__"](self, *arguments, **keywords)


def _start(self: threading.Thread) -> None:
    """`Thread.start`: the thread counts as started at once and runs when the scheduler chooses it."""
    caller = getcurrent()
    threads = caller.threads if type(caller) is SimulatedThread else threads_of_call()
    if threads is None:
        return _METHODS.originals["start"](self)  # type: ignore[no-any-return]
    state: Any = self
    if not state._initialized:
        raise RuntimeError("thread.__init__() not called")
    if state._started._flag:
        raise RuntimeError("threads can only be started once")
    # No schedule point: that a thread begins is nothing that another could see.
    if threads.untraced is not None and type(caller) is SimulatedThread:
        threads.untraced(_begin, threads, self)
    else:
        _begin(threads, self)
    return None


def _begin(threads: Threads, thread: Any) -> None:
    is_worker: bool = getattr(thread, "_is_worker", False)
    simulated = threads.start(
        _bootstrap, (thread,), _path_name(thread), daemon=thread._daemonic and not is_worker, is_worker=is_worker
    )
    thread._simulated = simulated
    if kept_greenlets.is_keeping():
        simulated.may_rest = True
        threads.known.append(ref(thread))
    simulated.at_end = partial(_mark_ended, thread, simulated.ident)
    thread._started._flag = True
    thread._ident = thread._native_id = simulated.ident
    if _NEW_HANDLE:
        if type(thread._handle) is not ThreadHandle:
            thread._handle = ThreadHandle()  # the thread was made before the run
        thread._handle.simulated = simulated
    threading._active[simulated.ident] = thread  # type: ignore[attr-defined]


def _path_name(thread: Any) -> str:
    """What the thread is called in task paths: its own name, or its function's if nobody has named it.

    The numbers in default names count all threads of the run, so they would change with an edit elsewhere.
    """
    given: str | None = vars(thread).get("_path_name")
    if given is not None:
        return given
    default = _DEFAULT_NAME.fullmatch(thread._name)
    if default is None:
        return str(thread._name)
    return default[1] or type(thread).__name__


def _bootstrap(thread: Any) -> None:
    simulated = thread._simulated
    try:
        thread.run()
    except GreenletExit:
        pass
    except BaseException as error:
        if simulated.dying:
            return  # a `finally` of its, in which a killed thread could not take a lock back, for instance
        threads = simulated.threads
        is_handled = threading.excepthook is not threads.hooks[0]
        if isinstance(error, SystemExit) or threads.uncaught(error, is_handled):
            thread._invoke_excepthook(thread)


def _mark_ended(thread: Any, ident: int) -> None:
    if not _NEW_HANDLE:
        thread._is_stopped = True
    threading._active.pop(ident, None)  # type: ignore[attr-defined]


def _join(self: threading.Thread, timeout: float | None = None) -> None:
    """`Thread.join`; a time-out is virtual."""
    state: Any = self
    simulated: SimulatedThread | None = vars(self).get("_simulated")
    caller = getcurrent()
    threads = caller.threads if type(caller) is SimulatedThread else threads_of_call()
    if threads is None or (simulated is None and state._initialized and state._started._flag):
        return _METHODS.originals["join"](self, timeout)  # type: ignore[no-any-return]
    if not state._initialized:
        raise RuntimeError("Thread.__init__() not called")
    if simulated is None:
        raise RuntimeError("cannot join thread before it is started")
    if caller is simulated:
        raise RuntimeError("cannot join current thread")
    if threads.untraced is not None and type(caller) is SimulatedThread:
        threads.untraced(_wait_for_end, simulated, timeout)
    else:
        _wait_for_end(simulated, timeout)
    return None


def _wait_for_end(simulated: SimulatedThread, timeout: float | None) -> None:
    threads = threads_of_call()
    if threads is None:
        return  # its run is over, and so is it
    caller, run = getcurrent(), threads.run
    deadline = None if timeout is None else run.virtual_clock.now + max(timeout, 0)
    if type(caller) is not SimulatedThread:
        if not simulated.is_over:
            wait_in_task(run, lambda: simulated.is_over, simulated, deadline)
    else:
        if timeout is not None:
            caller.schedule_point()  # without a time-out nobody can tell when a join began
        if not simulated.is_over:
            simulated.joiners.append(caller)
            try:
                caller.wait(JOIN, simulated, deadline)
            finally:
                if caller in simulated.joiners:
                    simulated.joiners.remove(caller)
    simulated.note(_JOIN)


def _is_alive(self: threading.Thread) -> bool:
    simulated: SimulatedThread | None = vars(self).get("_simulated")
    if simulated is None:
        if type(self) is _MainThread:
            return True
        return _METHODS.originals["is_alive"](self)  # type: ignore[no-any-return]
    caller = getcurrent()
    if type(caller) is SimulatedThread:
        caller.schedule_point()  # so that a loop that polls lets others run
        simulated.note(_READ)
    return not simulated.is_over


def _is_set(self: threading.Event) -> bool:
    caller = getcurrent()
    if type(caller) is SimulatedThread:
        caller.schedule_point()
        lock = self._cond._lock  # type: ignore[attr-defined]
        if isinstance(lock, Lock):
            lock.note_read(caller.threads.run)  # whoever sets the event writes to this lock
    return self._flag  # type: ignore[attr-defined, no-any-return]


def _start_new_thread(
    function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any] | None = None, /
) -> int:
    """`_thread.start_new_thread`: a daemon, as in life, where nobody waits for such a thread."""
    threads = threads_of_call()
    if threads is None:
        if keywords is None:
            return _LOW_LEVEL.originals["start_new_thread"](function, arguments)  # type: ignore[no-any-return]
        return _LOW_LEVEL.originals["start_new_thread"](function, arguments, keywords)  # type: ignore[no-any-return]
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(arguments, tuple):
        raise TypeError("2nd arg must be a tuple")
    if keywords is not None and not isinstance(keywords, dict):
        raise TypeError("optional 3rd arg must be a dictionary")

    body = _low_level_body(threads, function, arguments, keywords or {})
    return threads.start(body, (), _name_of(function), daemon=True).ident


def _start_joinable_thread(function: Callable[[], Any], handle: ThreadHandle | None = None, daemon: bool = True) -> Any:
    """`_thread.start_joinable_thread`, of Python 3.13 and later."""
    threads = threads_of_call()
    if threads is None:
        return _LOW_LEVEL.originals["start_joinable_thread"](function, handle, daemon)
    if not callable(function):
        raise TypeError("thread function must be callable")
    if handle is None:
        handle = ThreadHandle()
    elif not isinstance(handle, ThreadHandle):
        raise TypeError("'handle' must be a _ThreadHandle")
    if handle.simulated is not None:
        raise RuntimeError("thread already started")
    body = _low_level_body(threads, function, (), {})
    handle.simulated = threads.start(body, (), _name_of(function), daemon=daemon)
    return handle


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _low_level_body(
    threads: Threads, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> Callable[[], None]:
    """What runs in a thread that has no `threading.Thread`."""

    def body() -> None:
        try:
            function(*arguments, **keywords)
        except (GreenletExit, SystemExit):
            pass
        except BaseException as error:
            simulated = getcurrent()
            if isinstance(simulated, SimulatedThread) and simulated.dying:
                return
            if not threads.uncaught(error, sys.unraisablehook is not threads.hooks[1]):
                return
            message = "Exception ignored in thread started by"
            sys.unraisablehook(
                SimpleNamespace(
                    exc_type=type(error),
                    exc_value=error,
                    exc_traceback=error.__traceback__,
                    err_msg=f"{message} {function!r}" if _NEW_HANDLE else message,
                    object=None if _NEW_HANDLE else function,
                )
            )

    return body


def _count() -> int:
    """`_thread._count`: how many threads live, the main one apart."""
    threads = threads_of_call()
    if threads is None:
        return _LOW_LEVEL.originals["_count"]()  # type: ignore[no-any-return]
    return sum(one.ident != MAIN_IDENT for one in threads.living)


def _sleep(seconds: Any, /) -> None:
    caller = getcurrent()
    threads = threads_of_call()
    if threads is None or not primal_of(seconds) >= 0 or (type(caller) is not SimulatedThread and not threads.living):
        _TIME.originals["sleep"](seconds)  # also for the errors of the real one, and where no other thread can run
    elif type(caller) is SimulatedThread:
        sleep(caller, seconds)
    else:
        run = threads.run
        wait_in_task(run, lambda: False, None, run.virtual_clock.now + seconds)


def _monotonic() -> Any:
    # With its history: what is left of a timeout after a wake-up is the deadline minus the present, and both move.
    threads = threads_of_call()
    return _THREADING.originals["_time"]() if threads is None else threads.run.virtual_clock.now


_THREADING = ReplacedNames(
    threading,
    {
        "get_ident": get_ident,
        "get_native_id": get_ident,
        "current_thread": _current_thread,
        "main_thread": _find_main_thread,
        "enumerate": _enumerate,
        "active_count": _active_count,
        "_enumerate": list,  # asked after a fork, which changes nothing for the run
        "_dangling": _NoThreads(),
        "_start_new_thread": _start_new_thread,
        "_start_joinable_thread": _start_joinable_thread,
        "_ThreadHandle": ThreadHandle,
        "_time": _monotonic,
        # Made anew for each run by `install`.
        "_active": None,
        "_counter": None,
        "_thread_local_info": thread_locals.local(),
        # As they are; but `threading` assigns them after a fork, so they have to be put back.
        **{
            name: vars(threading).get(name)
            for name in ("_main_thread", "_active_limbo_lock", "_shutdown_locks_lock", "_shutdown_locks")
        },
    },
)
_LOW_LEVEL = ReplacedNames(
    _thread,
    {
        "get_ident": get_ident,
        "get_native_id": get_ident,
        "start_new_thread": _start_new_thread,
        "start_new": _start_new_thread,
        "start_joinable_thread": _start_joinable_thread,
        "_ThreadHandle": ThreadHandle,
        "allocate_lock": Lock,
        "allocate": Lock,
        "LockType": Lock,
        "_local": thread_locals.local,
        "_count": _count,
    },
)
_TIME = ReplacedNames(time, {"sleep": _sleep})
_QUEUE = ReplacedNames(queue, {"time": _monotonic}, may_stay=True)
# The import system's own locks stay real: which modules a run is the first to import is not part of the run.
_IMPORT = ReplacedNames(importlib._bootstrap, {"_thread": SimpleNamespace(**vars(_thread))}, may_stay=True)
_METHODS = ReplacedMethods(
    threading.Thread,
    {"start": _start, "join": _join, "is_alive": _is_alive}
    | ({"__init__": _init} if sys.version_info < (3, 12) else {}),
)
_EVENT = ReplacedMethods(threading.Event, {"is_set": _is_set})


def install(threads: Threads) -> None:
    """Replace everything, for the run that is now active and whose threads these are."""
    alive = _Alive()
    alive[MAIN_IDENT] = _main_thread()
    _ALL.install(
        {
            _THREADING: {"_active": alive, "_counter": itertools.count(1).__next__},
            trio_workers.TRIO: {THREAD_COUNTER: itertools.count()},
        }
    )
    pools.begin_run(threads)
    threads.at_main_end = pools.stop_pools
    threads.hooks = threading.excepthook, sys.unraisablehook


def restore() -> None:
    """Put everything back."""
    _ALL.restore()


_ALL = ReplacedTogether(
    *(_THREADING, _LOW_LEVEL, _TIME, _QUEUE, _IMPORT, _METHODS, _EVENT),
    *trio_workers.GROUPS,
    pools.NAMES,
)


def install_dual_classes() -> None:
    """Let locks, locals, simple queues and pools be made of classes that work inside and outside runs; for good."""
    locks.install()
    thread_locals.install()
    simple_queue.install()
    pools.install_for_good()
