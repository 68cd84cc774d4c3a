"""`_thread` inside a run: threads that are started without a `threading.Thread`, and their handles.

The rule is that of `patched_threading`: a replacement decides by who calls.
"""

from __future__ import annotations

import _thread
import sys
import traceback
from _thread import get_ident as _real_ident
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from greenlet import GreenletExit, getcurrent

from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.threads import thread_locals
from detrun_scheduler.threads.calling import threads_in_place, wait_for_end
from detrun_scheduler.threads.locks import Lock
from detrun_scheduler.threads.reentrant_locks import RLock
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT, SimulatedThread
from detrun_scheduler.threads.thread_of_code import thread_of_code
from detrun_scheduler.threads.threads import Threads

HAS_HANDLES = hasattr(_thread, "start_joinable_thread")  # Python 3.13 keeps the state of a thread in a handle


def get_ident() -> int:
    """A small number, the same in every run."""
    found = thread_of_code()
    if found is not None:
        return found.ident
    return MAIN_IDENT if threads_in_place() is not None else _real_ident()


class ThreadHandle:
    """`_thread._ThreadHandle`: what `threading.Thread` of Python 3.13 and later knows its thread by."""

    __slots__ = ("simulated",)

    def __new__(cls) -> Any:
        """One of Python's own, for a real thread beside the run."""
        if threads_in_place() is None:
            return LOW_LEVEL.originals["_ThreadHandle"]()
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
        if thread_of_code() is self.simulated:
            raise RuntimeError("Cannot join current thread")
        wait_for_end(self.simulated, timeout)

    def _set_done(self) -> None:
        if self.simulated is None:
            raise RuntimeError("thread not started")


def start_new_thread(
    function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any] | None = None, /
) -> int:
    """`_thread.start_new_thread`: a daemon, as in life, where such a thread is never waited for."""
    threads = threads_in_place()
    if threads is None:
        if keywords is None:
            return LOW_LEVEL.originals["start_new_thread"](function, arguments)  # type: ignore[no-any-return]  # Any
        return LOW_LEVEL.originals["start_new_thread"](function, arguments, keywords)  # type: ignore[no-any-return]  # Any
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(arguments, tuple):
        raise TypeError("2nd arg must be a tuple")
    if keywords is not None and not isinstance(keywords, dict):
        raise TypeError("optional 3rd arg must be a dictionary")

    body = _low_level_body(threads, function, arguments, keywords or {})
    return threads.start(body, (), _name_of(function), daemon=True).ident


def start_joinable_thread(function: Callable[[], Any], handle: ThreadHandle | None = None, daemon: bool = True) -> Any:
    """`_thread.start_joinable_thread`, of Python 3.13 and later."""
    threads = threads_in_place()
    if threads is None:
        return LOW_LEVEL.originals["start_joinable_thread"](function, handle, daemon)
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
            if sys.unraisablehook is sys.__unraisablehook__:  # which takes an object of C only
                sys.stderr.write(f"{message}: {function!r}\n")
                traceback.print_exception(error, file=sys.stderr)
                return
            sys.unraisablehook(
                SimpleNamespace(
                    exc_type=type(error),
                    exc_value=error,
                    exc_traceback=error.__traceback__,
                    err_msg=f"{message} {function!r}" if HAS_HANDLES else message,
                    object=None if HAS_HANDLES else function,
                )
            )

    return body


def _count() -> int:
    """`_thread._count`: how many threads live, the main one apart."""
    threads = threads_in_place()
    if threads is None:
        return LOW_LEVEL.originals["_count"]()  # type: ignore[no-any-return]  # Any
    return sum(one.ident != MAIN_IDENT for one in threads.living)


LOW_LEVEL = ReplacedNames(
    _thread,
    {
        "get_ident": get_ident,
        "get_native_id": get_ident,
        "start_new_thread": start_new_thread,
        "start_new": start_new_thread,
        "start_joinable_thread": start_joinable_thread,
        "_ThreadHandle": ThreadHandle,
        "allocate_lock": Lock,
        "allocate": Lock,
        "LockType": Lock,
        "lock": Lock,
        "RLock": RLock,
        "_local": thread_locals.local,
        "_count": _count,
    },
    may_stay=True,
)
