"""token_ring: three threads pass a value around, a fourth expects that they have taken their turns.

Source: SCTBench, CS.token_ring_bad. Each step is atomic; nothing orders the steps. The bug: all three steps have been
taken when the checker looks, but not in the order of the ring.

Departures: the original's atomic sections are sections of one lock; main waits for the threads. The repair makes each
step wait for the one before it.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class Ring:
    """Three values, and who has taken a turn."""

    def __init__(self) -> None:
        self.x1, self.x2, self.x3 = 1, 2, 1
        self.flag1 = self.flag2 = self.flag3 = False
        self.turn = threading.Condition()


def first(ring: Ring) -> None:
    with ring.turn:
        ring.x1 = (ring.x3 + 1) % 4
        ring.flag1 = True


def second(ring: Ring) -> None:
    with ring.turn:
        ring.x2 = ring.x1
        ring.flag2 = True


def third(ring: Ring) -> None:
    with ring.turn:
        ring.x3 = ring.x2
        ring.flag3 = True


def look(ring: Ring) -> None:
    with ring.turn:
        if ring.flag1 and ring.flag2 and ring.flag3:
            assert ring.x1 == ring.x2 == ring.x3, "not passed around"


def first_in_turn(ring: Ring) -> None:
    first(ring)
    with ring.turn:
        ring.turn.notify_all()


def second_in_turn(ring: Ring) -> None:
    with ring.turn:
        ring.turn.wait_for(lambda: ring.flag1)
        ring.x2 = ring.x1
        ring.flag2 = True
        ring.turn.notify_all()


def third_in_turn(ring: Ring) -> None:
    with ring.turn:
        ring.turn.wait_for(lambda: ring.flag2)
        ring.x3 = ring.x2
        ring.flag3 = True


BUGGY = ThreadProgram(Ring, (first, second, third, look), nothing_to_check)
FIXED = ThreadProgram(Ring, (first_in_turn, second_in_turn, third_in_turn, look), nothing_to_check)
