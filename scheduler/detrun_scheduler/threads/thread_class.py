"""`threading.Thread` inside a run: starting, joining and ending a thread.

The class is CPython's own, so that subclasses of it work; these methods of it are replaced. The rule is that of
`patched_threading`: a replacement decides by who calls.
"""

from __future__ import annotations

import re
import sys
import threading
from functools import partial, wraps
from typing import Any
from weakref import ref

from greenlet import GreenletExit, getcurrent

from detrun_scheduler.environment.replaced_names import ReplacedMethods
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.threads import kept_greenlets
from detrun_scheduler.threads.calling import threads_of_call, wait_for_end
from detrun_scheduler.threads.low_level import HAS_HANDLES, ThreadHandle
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT, SimulatedThread
from detrun_scheduler.threads.thread_of_code import thread_of_code
from detrun_scheduler.threads.threads import Threads

_READ = OPERATIONS.index("read")
_DEFAULT_NAME = re.compile(r"Thread-\d+(?: \((.*)\))?")


class MainThread(threading.Thread):
    """The main thread of a run."""

    _template: dict[str, Any] | None = None

    def join(self, timeout: float | None = None) -> None:
        """As for the real one."""
        raise RuntimeError("cannot join current thread")


def main_thread(ident: int = MAIN_IDENT) -> threading.Thread:
    """The main thread of a run, or of a process in it."""
    # A copy of one prepared object: making a Thread costs 8 µs, and each run needs a fresh one.
    if MainThread._template is None:
        prepared = MainThread(name="MainThread", daemon=False)
        prepared._started._flag = True  # type: ignore[attr-defined]  # private
        prepared._ident = MAIN_IDENT  # type: ignore[attr-defined]  # private
        prepared._native_id = MAIN_IDENT  # type: ignore[attr-defined]  # private
        MainThread._template = dict(vars(prepared))
    thread = MainThread.__new__(MainThread)
    thread.__dict__ = MainThread._template.copy()
    if ident != MAIN_IDENT:
        vars(thread).update(_ident=ident, _native_id=ident)
    return thread


def make_main(simulated: SimulatedThread) -> None:
    """Let `threading` know a simulated thread as the main thread of a process in the run, until it ends."""
    active: Any = threading._active  # type: ignore[attr-defined]  # private
    active[simulated.ident] = main_thread(simulated.ident)
    simulated.at_end = partial(active.pop, simulated.ident, None)


def is_simulated(thread: threading.Thread) -> bool:
    """Whether a thread was started in a run."""
    return "_simulated" in vars(thread)


@wraps(threading.Thread.__init__)
def _init(self: threading.Thread, *arguments: Any, **keywords: Any) -> None:
    """`Thread.__init__`, where preemption would trace each of the twenty calls that it makes."""
    caller = getcurrent()
    if type(caller) is SimulatedThread and caller.threads.untraced is not None:
        caller.threads.untraced(METHODS.originals["__init__"], self, *arguments, **keywords)
    else:
        METHODS.originals["__init__"](self, *arguments, **keywords)


def _start(self: threading.Thread) -> None:
    """`Thread.start`: the thread counts as started at once and runs when the scheduler chooses it."""
    caller, threads = getcurrent(), threads_of_call()
    if threads is None:
        return METHODS.originals["start"](self)  # type: ignore[no-any-return]  # Any
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
        simulated.is_reusable = True
        threads.known.append(ref(thread))
    simulated.at_end = partial(_mark_ended, thread, simulated.ident)
    thread._started._flag = True
    thread._ident = thread._native_id = simulated.ident
    if HAS_HANDLES:
        if type(thread._handle) is not ThreadHandle:
            thread._handle = ThreadHandle()  # the thread was made before the run
        thread._handle.simulated = simulated
    threading._active[simulated.ident] = thread  # type: ignore[attr-defined]  # private


def _path_name(thread: Any) -> str:
    """What the thread is called in task paths: its own name, or its function's if it has not been named.

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
    if not HAS_HANDLES:
        thread._is_stopped = True
    threading._active.pop(ident, None)  # type: ignore[attr-defined]  # private
    if thread._simulated.dying:  # `Thread.run` may not have come to this: a cycle of garbage, through its function
        for name in ("_target", "_args", "_kwargs"):
            vars(thread).pop(name, None)


def _join(self: threading.Thread, timeout: float | None = None) -> None:
    """`Thread.join`; a time-out is virtual."""
    state: Any = self
    simulated: SimulatedThread | None = vars(self).get("_simulated")
    caller, threads = getcurrent(), threads_of_call()
    if threads is None or (simulated is None and state._initialized and state._started._flag):
        return METHODS.originals["join"](self, timeout)  # type: ignore[no-any-return]  # Any
    if not state._initialized:
        raise RuntimeError("Thread.__init__() not called")
    if simulated is None:
        raise RuntimeError("cannot join thread before it is started")
    if thread_of_code() is simulated:
        raise RuntimeError("cannot join current thread")
    if threads.untraced is not None and type(caller) is SimulatedThread:
        threads.untraced(wait_for_end, simulated, timeout)
    else:
        wait_for_end(simulated, timeout)
    return None


def _is_alive(self: threading.Thread) -> bool:
    simulated: SimulatedThread | None = vars(self).get("_simulated")
    if simulated is None:
        if type(self) is MainThread:
            return True
        state: Any = self
        if threads_of_call() is None or not state._initialized or state._started._flag:
            return METHODS.originals["is_alive"](self)  # type: ignore[no-any-return]  # Any
        # Asking is a schedule point: another thread may start it meanwhile.
        if not state._started.is_set():
            return False
        simulated = state._simulated
        assert simulated is not None
        return not simulated.is_over
    caller = getcurrent()
    if type(caller) is SimulatedThread:
        caller.schedule_point()  # so that a loop that polls lets others run
        simulated.note(_READ)
    return not simulated.is_over


METHODS = ReplacedMethods(
    threading.Thread,
    {"start": _start, "join": _join, "is_alive": _is_alive}
    | ({"__init__": _init} if sys.version_info < (3, 12) else {}),
)
