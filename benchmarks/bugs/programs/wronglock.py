"""wronglock: one counter, two locks.

Source: SCTBench, CS.wronglock_bad: one thread guards the counter with ``data_lock``, seven with ``this_lock``. The bug:
one of the seven changes the counter between the first thread's read and its comparison, or its update is lost in the
first thread's increment.

Departures: none; ``value += 1`` is a read and a write here as there.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class Guarded:
    """A counter and two locks."""

    def __init__(self) -> None:
        self.value = 0
        self.data_lock = threading.Lock()
        self.this_lock = threading.Lock()


def check_and_increment(counter: Guarded) -> None:
    with counter.data_lock:
        before = counter.value
        counter.value += 1
        assert counter.value == before + 1, "somebody else changed the counter"


def increment(counter: Guarded) -> None:
    with counter.this_lock:
        counter.value += 1


def increment_rightly(counter: Guarded) -> None:
    with counter.data_lock:
        counter.value += 1


BUGGY = ThreadProgram(Guarded, (check_and_increment,) + (increment,) * 7, nothing_to_check)
FIXED = ThreadProgram(Guarded, (check_and_increment,) + (increment_rightly,) * 7, nothing_to_check)
