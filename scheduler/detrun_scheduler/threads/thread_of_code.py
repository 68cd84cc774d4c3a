"""Which simulated thread the calling code counts as: what `threading.get_ident` and `threading.local` go by.

A thread's own code runs in its greenlet. Steps of an event loop of asyncio's run in the run loop's, and belong to the
thread that runs that loop, which waits meanwhile: so a program's loops in several threads, and the nodes of a world,
each have thread-local data and an ident of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from detrun_scheduler.threads.simulated_thread import SimulatedThread


def _none() -> None:
    """Of a process that has not imported asyncio."""


_running_loop: Callable[[], Any] = _none


def know_running_loop(running_loop: Callable[[], Any]) -> None:
    """Ask this for the loop of asyncio's whose step is running; called when asyncio is there."""
    global _running_loop
    _running_loop = running_loop


def thread_of_code() -> SimulatedThread | None:
    """The simulated thread; None in code of trio's, and outside a run."""
    found = getcurrent()
    if type(found) is SimulatedThread:
        return found
    loop = _running_loop()
    return None if loop is None else getattr(loop, "simulated_thread", None)
