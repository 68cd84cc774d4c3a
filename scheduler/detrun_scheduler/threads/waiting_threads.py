"""The threads that wait for one lock or queue, and how many of them a release wakes.

A release wakes every thread that waits, up to `WOKEN_MAX` of them, and the scheduler decides which of these gets the
lock: real locks promise no order, and newcomers may overtake. Where more wait, `WOKEN_MAX` of them are drawn, each as
likely as any other, from a stream of the run under the lock's own name. So another seed has another order, and a replay
has the same one. And n threads at one lock take O(n) steps; if all were woken, all but one would take a step only to
wait again, O(n²).

The rule that keeps a draw from losing a wake-up: a thread that was woken and will not look (it is killed, its machine
is paused or has crashed) hands the wake-up on. So while the lock is free and threads sleep, one that is awake will
look.

Waiting threads are kept by number and not in the order of their coming, so that waiting commutes with waiting.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TypeAlias

from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads.simulated_thread import SimulatedThread

WaitingThreads: TypeAlias = list[tuple[int, SimulatedThread]]
"""Number and thread, by number."""


def add(waiting: WaitingThreads, number: int, thread: SimulatedThread) -> None:
    """The running thread is about to wait."""
    # By number alone: while a failed run is unwound, two threads may come under one.
    waiting.insert(bisect_left(waiting, (number,)), (number, thread))


def remove(waiting: WaitingThreads, number: int) -> bool:
    """A thread waits no longer; False if it had been woken."""
    place = bisect_left(waiting, (number,))
    if place < len(waiting) and waiting[place][0] == number:
        del waiting[place]
        return True
    return False


def remove_thread(waiting: WaitingThreads, thread: SimulatedThread) -> None:
    """A thread that has no number any more waits no longer."""
    waiting[:] = [one for one in waiting if one[1] is not thread]


def wake(waiting: WaitingThreads, run: ActiveRun, label: str) -> None:
    """Wake those that may look now; ``label`` names what they wait for, the same in every run of these choices."""
    if len(waiting) <= run.woken_max:
        woken = waiting.copy()
        waiting.clear()
    else:
        bits = run.draw(("waiters", label))
        woken = []
        for _ in range(run.woken_max):
            woken.append(waiting.pop((bits >> 32) * len(waiting) >> 32))
            bits = bits * 0x5851F42D4C957F2D + 0x14057B7EF767814F & 0xFFFF_FFFF_FFFF_FFFF  # Knuth's MMIX generator
    for _, thread in woken:
        thread.wake()
