"""Which simulated thread the calling code counts as: what `threading.get_ident` and `threading.local` go by.

A thread's own code runs in its greenlet. Steps of an event loop of asyncio's run in the run loop's, and belong to the
thread that runs that loop, which waits meanwhile: so a program's loops in several threads, and the nodes of a world,
each have thread-local data and an ident of their own.
"""

from __future__ import annotations

from greenlet import getcurrent

from detrun_scheduler.running_loop import running_loop
from detrun_scheduler.threads.simulated_thread import SimulatedThread


def thread_of_code() -> SimulatedThread | None:
    """The simulated thread; None in code of trio's, and outside a run."""
    found = getcurrent()
    if type(found) is SimulatedThread:
        return found
    loop = running_loop()
    return None if loop is None else loop.simulated_thread
