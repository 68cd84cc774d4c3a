"""Which threads there are and which one is calling: the functions and tables of `threading` that say so, in a run.

The rule is that of `patched_threading`: a replacement decides by who calls.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

from greenlet import getcurrent

from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.threads import thread_locals
from detrun_scheduler.threads.calling import threads_in_place
from detrun_scheduler.threads.low_level import ThreadHandle, get_ident, start_joinable_thread, start_new_thread
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT, SimulatedThread
from detrun_scheduler.threads.thread_class import main_thread
from detrun_scheduler.threads.thread_of_code import thread_of_code


class Alive(dict[int, threading.Thread]):
    """`threading._active` in a run. After a fork, which the run survives, `threading` would empty it.

    Real threads that start or end beside the run (of a process pool, say) belong to the table that this one stands for.
    """

    def __missing__(self, ident: int) -> threading.Thread:
        if threads_in_place() is not None:
            raise KeyError(ident)
        found: threading.Thread = OF_ONE_RUN.originals["_active"][ident]
        return found

    def __setitem__(self, ident: int, thread: threading.Thread) -> None:
        if threads_in_place() is not None:
            super().__setitem__(ident, thread)
        else:
            OF_ONE_RUN.originals["_active"][ident] = thread

    def __delitem__(self, ident: int) -> None:
        if ident in self:
            super().__delitem__(ident)
        else:
            del OF_ONE_RUN.originals["_active"][ident]

    def clear(self) -> None:
        """Nothing: the threads are there in the child too."""

    def __len__(self) -> int:
        return 1  # as `threading` asserts after a fork; the count of threads is `active_count`


class _NoThreads:
    """`threading._dangling` in a run: what `threading` declares dead after a fork."""

    # Neither does anything, at the cost of a builtin: each thread is added once.
    add = discard = staticmethod(id)

    def __iter__(self) -> Iterator[threading.Thread]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _current_thread() -> threading.Thread:
    found = getcurrent()
    if type(found) is SimulatedThread:
        known: threading.Thread | None = threading._active.get(found.ident)  # type: ignore[attr-defined]  # private
        if known is not None:
            return known
    elif threads_in_place() is None:
        return THREADING.originals["current_thread"]()  # type: ignore[no-any-return]  # Any
    try:
        return threading._active[get_ident()]  # type: ignore[attr-defined, no-any-return]  # private
    except KeyError:
        return threading._DummyThread()


def _find_main_thread() -> threading.Thread:
    if threads_in_place() is None:
        return THREADING.originals["main_thread"]()  # type: ignore[no-any-return]  # Any
    process: Any = getattr(thread_of_code(), "owner", None)
    if process is not None and process.main_thread is not None:
        found: threading.Thread | None = threading._active.get(process.main_thread.ident)  # type: ignore[attr-defined]  # private
        if found is not None:
            return found
    return threading._active[MAIN_IDENT]  # type: ignore[attr-defined, no-any-return]  # private


def _enumerate() -> list[threading.Thread]:
    if threads_in_place() is None:
        return THREADING.originals["enumerate"]()  # type: ignore[no-any-return]  # Any
    return list(threading._active.values())  # type: ignore[attr-defined]  # private


def _active_count() -> int:
    return len(_enumerate())


def monotonic() -> Any:
    # With its history: what is left of a timeout after a wake-up is the deadline minus the present, and both move.
    threads = threads_in_place()
    return THREADING.originals["_time"]() if threads is None else threads.run.virtual_clock.now


THREADING = ReplacedNames(
    threading,
    {
        "get_ident": get_ident,
        "get_native_id": get_ident,
        "current_thread": _current_thread,
        "main_thread": _find_main_thread,
        "enumerate": _enumerate,
        "active_count": _active_count,
        "_start_new_thread": start_new_thread,
        "_start_joinable_thread": start_joinable_thread,
        "_ThreadHandle": ThreadHandle,
        "_time": monotonic,
    },
    may_stay=True,
)


# What is made anew for each run, or must be the real one between runs: a fork there asks for the threads there are.
OF_ONE_RUN = ReplacedNames(
    threading,
    {
        "_enumerate": list,  # asked after a fork, which changes nothing for the run
        "_dangling": _NoThreads(),
        "_thread_local_info": thread_locals.local(),
    },
    fresh={"_active": lambda: Alive({MAIN_IDENT: main_thread()}), "_counter": lambda: count(1).__next__},
    also=(
        # What the program makes of them goes with the run.
        *("excepthook", "_trace_hook", "_profile_hook"),
        # `threading` assigns them after a fork.
        *("_main_thread", "_active_limbo_lock", "_shutdown_locks_lock", "_shutdown_locks"),
    ),
)
