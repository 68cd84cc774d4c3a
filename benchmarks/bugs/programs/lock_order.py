"""AB-BA deadlock: two threads take two locks in opposite orders.

Source: folklore; SCTBench, CS.deadlock01_bad. The bug: each has taken its first lock before either takes its second.

Departures: none.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class TwoLocks:
    """Two locks and a counter that both guard."""

    def __init__(self) -> None:
        self.a = threading.Lock()
        self.b = threading.Lock()
        self.counter = 0


def forward(locks: TwoLocks) -> None:
    with locks.a:
        with locks.b:
            locks.counter += 1


def backward(locks: TwoLocks) -> None:
    with locks.b:
        with locks.a:
            locks.counter -= 1


BUGGY = ThreadProgram(TwoLocks, (forward, backward), nothing_to_check)
FIXED = ThreadProgram(TwoLocks, (forward, forward), nothing_to_check)
