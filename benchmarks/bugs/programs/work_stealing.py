"""Work-stealing queue: the owner pushes and pops at one end, a thief steals at the other.

Source: CHESS (Musuvathi et al., OSDI 2008), WorkStealQueue with BUG3, after the THE protocol of Cilk-5 (Frigo,
Leiserson, Randall, PLDI 1998); SCTBench, chess.WSQ. A thief first moves the head and then reads the element, so a push
must leave one slot free; the bug is that it does not. It shows if the owner pushes into the last slot after the thief
has moved the head and before it reads: the thief then gets the new element, which is done twice, and the old one never.

Departures: CHESS's interlocked reads and writes are plain attributes, each of which is one instruction. The owner is a
thread of its own, and elements are numbers that the state counts.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram

ITEMS = 4
STEALS = 2
FIRST_SIZE = 2  # a power of two


class WorkStealingQueue:
    """The queue, and how often each item was worked on.

    Args:
        spare: slots that a push leaves free; 1 is right.
    """

    def __init__(self, spare: int = 0) -> None:
        self.spare = spare
        self.head = 0
        self.tail = 0
        self.mask = FIRST_SIZE - 1
        self.elements = [-1] * FIRST_SIZE
        self.lock = threading.Lock()
        self.done = [0] * ITEMS

    def steal(self) -> int | None:
        with self.lock:
            head = self.head
            self.head = head + 1
            if head < self.tail:
                return self.elements[head & self.mask]
            self.head = head
            return None

    def pop(self) -> int | None:
        tail = self.tail - 1
        self.tail = tail
        if self.head <= tail:
            return self.elements[tail & self.mask]
        self.tail = tail + 1
        return self._pop_alone()

    def _pop_alone(self) -> int | None:
        with self.lock:
            found = None
            tail = self.tail - 1
            self.tail = tail
            if self.head <= tail:
                found = self.elements[tail & self.mask]
            else:
                self.tail = tail + 1
            if self.head > tail:
                self.head = self.tail = 0
                found = None
            return found

    def push(self, element: int) -> None:
        tail = self.tail
        if tail < self.head + self.mask + 1 - self.spare:
            self.elements[tail & self.mask] = element
            self.tail = tail + 1
        else:
            self._push_alone(element)

    def _push_alone(self, element: int) -> None:
        with self.lock:
            count = self.tail - self.head
            head = self.head & self.mask
            self.head = head
            self.tail = head + count
            if count >= self.mask:
                larger = [-1] * (2 * (self.mask + 1))
                for index in range(count):
                    larger[index] = self.elements[(head + index) & self.mask]
                self.elements = larger
                self.mask = len(larger) - 1
                self.head = 0
                self.tail = count
            tail = self.tail
            self.elements[tail & self.mask] = element
            self.tail = tail + 1


def own(queue: WorkStealingQueue) -> None:
    for item in range(0, ITEMS, 2):
        queue.push(item)
        queue.push(item + 1)
        work(queue, queue.pop())
    for _ in range(ITEMS // 2):
        work(queue, queue.pop())


def steal(queue: WorkStealingQueue) -> None:
    for _ in range(STEALS):
        work(queue, queue.steal())


def work(queue: WorkStealingQueue, item: int | None) -> None:
    if item is not None:
        queue.done[item] += 1


def check(queue: WorkStealingQueue) -> None:
    assert queue.done == [1] * ITEMS, f"done {queue.done} times"


BUGGY = ThreadProgram(WorkStealingQueue, (steal, own), check)
FIXED = ThreadProgram(lambda: WorkStealingQueue(spare=1), (steal, own), check)
