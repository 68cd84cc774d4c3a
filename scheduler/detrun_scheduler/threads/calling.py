"""The code that is calling, and how it waits: a simulated thread, a task of the run, or something outside the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenlet import getcurrent
from trio import CancelScope

from detrun_scheduler import current
from detrun_scheduler.clock import primal_of
from detrun_scheduler.environment.originals import get_ident
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind
from detrun_scheduler.threads.threads import Threads

SLEEP = WaitKind("time.sleep")
JOIN = WaitKind("Thread.join")
_JOIN = OPERATIONS.index("join")


def threads_of_call() -> Threads | None:
    """The threads of the active run if the caller belongs to it, as a simulated thread or as a task."""
    # Whatever names the threads of a run by a protocol means `Threads`, of which there is one for each run.
    found = getcurrent()
    if type(found) is SimulatedThread:
        return found.threads  # type: ignore[return-value]  # see above
    run = current.run
    if run is None or run.threads is None or run.threads.os_thread != get_ident():
        return None
    return run.threads  # type: ignore[return-value]  # see above


def threads_in_place() -> Threads | None:
    """The same while names stand for simulated threads; None where the run begins and ends.

    For what replaces names that stay replaced between runs, and there is the original outside of these bounds.
    """
    threads = threads_of_call()
    return threads if threads is not None and threads.are_in_place else None


def is_of_the_run() -> bool:
    """Whether the caller belongs to the active run."""
    return threads_of_call() is not None


def wait_in_task(run: ActiveRun, ready: Callable[[], bool], waits_for: Any, deadline: Any = None) -> None:
    """Block the running task, and with it the event loop, until ``ready()`` or the virtual time ``deadline``.

    Threads and other event loops go on meanwhile, as in life.
    """
    if deadline is None:
        run.stand_still(ready, waits_for)
        return
    timer = CancelScope()  # a key whose firing does nothing but to let the loop look
    run.timers.add(deadline, timer)
    try:
        run.stand_still(lambda: ready() or run.time >= primal_of(deadline), waits_for)
    finally:
        run.timers.remove(deadline, timer)


def schedule_point() -> None:
    """A schedule point if a simulated thread is calling; nothing elsewhere."""
    found = getcurrent()
    if type(found) is SimulatedThread:
        found.schedule_point()


def sleep(thread: SimulatedThread, seconds: Any) -> None:
    """Block the calling thread for so many virtual seconds; a schedule point even for 0."""
    if primal_of(seconds) == 0:
        thread.schedule_point()
        return
    deadline = thread.threads.run.virtual_clock.now + seconds
    thread.wait(SLEEP, None, deadline)


def wait_for_end(thread: SimulatedThread, timeout: float | None) -> None:
    """Block the caller until ``thread`` has ended, or for so many virtual seconds."""
    threads = threads_of_call()
    if threads is None:
        return  # its run is over, and so is it
    caller, run = getcurrent(), threads.run
    deadline = None if timeout is None else run.virtual_clock.now + max(timeout, 0)
    if type(caller) is not SimulatedThread:
        if not thread.is_over:
            wait_in_task(run, lambda: thread.is_over, thread, deadline)
    else:
        if timeout is not None:
            caller.schedule_point()  # without a time-out the moment when a join began shows nowhere
        if not thread.is_over:
            thread.joiners.append(caller)
            try:
                caller.wait(JOIN, thread, deadline)
            finally:
                if caller in thread.joiners:
                    thread.joiners.remove(caller)
    thread.note(_JOIN)
