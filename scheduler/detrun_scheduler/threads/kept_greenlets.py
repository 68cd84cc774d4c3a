"""Greenlets of threads that have ended, kept for the threads of later runs.

For the first frame of each greenlet CPython maps 16 KB of memory, which it unmaps at the end. This is 7 of the 8 µs
that a thread's greenlet costs, and a tenth of a small run with two threads. So in a campaign the greenlet of an ended
thread does not end. It stays idle, and begins another thread's life in a later run.

The rule: never in the same run, where the ended thread may still be joined, and only after its `threading.Thread` has
been told that it is over (`OVER`). A thread that was killed, or that only the run knows, ends for good.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from detrun_scheduler.threads.simulated_thread import SimulatedThread

KEPT_MOST = 200

_keeping = 0  # how many `KeptStacks` are entered
_kept: list[SimulatedThread] = []


class KeptStacks:
    """Around many runs: keep greenlets. May nest."""

    __slots__ = ()

    def __enter__(self) -> KeptStacks:
        global _keeping
        _keeping += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _keeping
        _keeping -= 1
        if not _keeping:
            kept = list(_kept)
            _kept.clear()
            for one in kept:
                if one.parent is getcurrent():  # else this is another process's half, or another thread's
                    greenlet.throw(one, GreenletExit)


def is_keeping() -> bool:
    """Whether the greenlet of a thread that ends now is to be kept."""
    return _keeping > 0 and len(_kept) < KEPT_MOST


def keep(idle: list[SimulatedThread]) -> None:
    """The run is over: its greenlets may serve others."""
    _kept.extend(idle)
    idle.clear()


def take(hub: greenlet) -> SimulatedThread | None:
    """A kept greenlet below ``hub``; None if there is none."""
    return _kept.pop() if _kept and _kept[-1].parent is hub else None


class _Over:
    """What the `threading.Thread` of an earlier run knows its thread by."""

    is_over = True
    ident = 0

    def note(self, operation: int) -> None:
        """Joined in a later run: no event there, it has ended before."""


OVER: Any = _Over()
