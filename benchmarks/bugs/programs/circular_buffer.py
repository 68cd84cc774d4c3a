"""circular_buffer: two flags hand the turn between a sender and a receiver, and both count rounds instead of elements.

Source: SCTBench, CS.circular_buffer_bad. Each thread makes seven rounds and does nothing in a round in which it is not
its turn, so the round is lost. The bug: the receiver has lost a round before it receives; the element's number is then
not that of the round.

Departures: none. The repair waits for the turn.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check

ROUNDS = 7
SIZE = 10


class CircularBuffer:
    """Elements, and whose turn it is."""

    def __init__(self) -> None:
        self.elements = [0] * SIZE
        self.first = 0
        self.next = 0
        self.may_send = True
        self.may_receive = False
        self.lock = threading.Lock()
        self.turn = threading.Condition(self.lock)

    def insert(self, element: int) -> None:
        self.elements[self.next] = element
        self.next = (self.next + 1) % SIZE

    def remove(self) -> int:
        self.first += 1
        return self.elements[self.first - 1]


def send(buffer: CircularBuffer) -> None:
    for number in range(ROUNDS):
        with buffer.lock:
            if buffer.may_send:
                buffer.insert(number)
                buffer.may_send, buffer.may_receive = False, True


def receive(buffer: CircularBuffer) -> None:
    for number in range(ROUNDS):
        with buffer.lock:
            if buffer.may_receive:
                assert buffer.remove() == number, "not the element of this round"
                buffer.may_receive, buffer.may_send = False, True


def send_in_turn(buffer: CircularBuffer) -> None:
    for number in range(ROUNDS):
        with buffer.turn:
            buffer.turn.wait_for(lambda: buffer.may_send)
            buffer.insert(number)
            buffer.may_send, buffer.may_receive = False, True
            buffer.turn.notify()


def receive_in_turn(buffer: CircularBuffer) -> None:
    for number in range(ROUNDS):
        with buffer.turn:
            buffer.turn.wait_for(lambda: buffer.may_receive)
            assert buffer.remove() == number, "not the element of this round"
            buffer.may_receive, buffer.may_send = False, True
            buffer.turn.notify()


BUGGY = ThreadProgram(CircularBuffer, (send, receive), nothing_to_check)
FIXED = ThreadProgram(CircularBuffer, (send_in_turn, receive_in_turn), nothing_to_check)
