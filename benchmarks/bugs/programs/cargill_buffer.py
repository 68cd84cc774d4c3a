"""Cargill's bounded buffer: producers and consumers wait for one condition, and `notify` wakes the wrong one.

Source: Cargill, "Specific notification for Java thread synchronization", PLoP 1996; made famous as Extreme Programming
Challenge Fourteen. The bug: with a buffer of one slot, two consumers wait; a producer fills the slot, wakes the first,
and waits itself, since the slot is full; the first consumer empties it and wakes the second consumer instead of the
producer. All of them wait.

Departures: each thread makes a fixed number of calls. Python wakes waiters in the order of their coming, where Java may
wake any.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class BoundedBuffer:
    """One slot, one condition.

    Args:
        wake_all: the repair: all waiting threads are woken and look again.
    """

    def __init__(self, wake_all: bool = False) -> None:
        self.changed = threading.Condition()
        self.items: list[int] = []
        self.wake_all = wake_all

    def put(self, item: int) -> None:
        with self.changed:
            while self.items:
                self.changed.wait()
            self.items.append(item)
            self._wake()

    def get(self) -> int:
        with self.changed:
            while not self.items:
                self.changed.wait()
            item = self.items.pop()
            self._wake()
            return item

    def _wake(self) -> None:
        if self.wake_all:
            self.changed.notify_all()
        else:
            self.changed.notify()


def produce(buffer: BoundedBuffer) -> None:
    for item in range(4):
        buffer.put(item)


def consume(buffer: BoundedBuffer) -> None:
    for _ in range(2):
        buffer.get()


BUGGY = ThreadProgram(BoundedBuffer, (produce, consume, consume), nothing_to_check)
FIXED = ThreadProgram(lambda: BoundedBuffer(wake_all=True), (produce, consume, consume), nothing_to_check)
