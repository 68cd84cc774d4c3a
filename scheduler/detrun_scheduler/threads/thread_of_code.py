"""Which simulated thread the calling code counts as: what `threading.get_ident` and `threading.local` go by.

The code of a thread runs in its greenlet. Steps of an event loop of asyncio's run in the run loop's greenlet, and
belong to the thread that runs that event loop and waits meanwhile. So event loops in several threads of a program, and
those of the nodes of a world, each have an ident and thread-local data of their own.
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
