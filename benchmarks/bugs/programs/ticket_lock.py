"""Ticket lock whose tickets are drawn by a read and a write.

Source: Mellor-Crummey and Scott, "Algorithms for scalable synchronization on shared-memory multiprocessors", TOCS 1991,
whose fetch-and-increment is missing here. The bug: two threads draw the same ticket and are let in together.

Departures: a thread waits until its ticket has been called, also if a later one is called by then; otherwise a thread
that shares its ticket with one that has left already would spin forever, a second symptom of the same bug.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class TicketLock:
    """A lock, and how many are inside."""

    def __init__(self) -> None:
        self.next_ticket = 0
        self.now_serving = 0
        self.inside = 0
        self.drawing = threading.Lock()

    def acquire(self) -> None:
        ticket = self.next_ticket
        self.next_ticket = ticket + 1
        while self.now_serving < ticket:
            pass

    def acquire_atomically(self) -> None:
        """The repair."""
        with self.drawing:
            ticket = self.next_ticket
            self.next_ticket = ticket + 1
        while self.now_serving < ticket:
            pass

    def release(self) -> None:
        self.now_serving += 1


def enter(lock: TicketLock) -> None:
    lock.acquire()
    try:
        in_critical_section(lock)
    finally:
        lock.release()


def enter_rightly(lock: TicketLock) -> None:
    lock.acquire_atomically()
    try:
        in_critical_section(lock)
    finally:
        lock.release()


def in_critical_section(lock: TicketLock) -> None:
    lock.inside += 1
    assert lock.inside == 1, "two threads hold the lock"
    lock.inside -= 1


BUGGY = ThreadProgram(TicketLock, (enter, enter, enter), nothing_to_check)
FIXED = ThreadProgram(TicketLock, (enter_rightly, enter_rightly, enter_rightly), nothing_to_check)
