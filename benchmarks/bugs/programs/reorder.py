"""reorder: setters write two variables one after the other, and a checker must see both writes or none.

Source: SCTBench (Thomson, Donaldson, Betts, PPoPP 2014), CS.reorder_3_bad (2 setters, 1 checker), reorder_10_bad (9, 1)
and reorder_20_bad (10, 10); reorder_100 (99, 1) is not among its files, later papers made it the same way. The bug: a
setter has written ``a`` but not ``b``, no other setter has written ``b`` yet, and the checker looks. The more setters
there are, the fewer schedules keep all of them from ending before the checker has looked.

Departures: none but the language. Each read and write of a variable is one instruction, as in C.
"""

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class Pair:
    """The two variables."""

    def __init__(self) -> None:
        self.a = 0
        self.b = 0


def set_both(pair: Pair) -> None:
    pair.a = 1
    pair.b = -1


def check_both(pair: Pair) -> None:
    assert (pair.a == 0 and pair.b == 0) or (pair.a == 1 and pair.b == -1), "saw one write of two"


class AtomicPair:
    """The repair: both variables in one tuple, replaced and read at once."""

    def __init__(self) -> None:
        self.both = (0, 0)


def replace_both(pair: AtomicPair) -> None:
    pair.both = (1, -1)


def check_tuple(pair: AtomicPair) -> None:
    assert pair.both in ((0, 0), (1, -1)), "saw one write of two"


def buggy(setters: int, checkers: int) -> ThreadProgram:
    return ThreadProgram(Pair, (set_both,) * setters + (check_both,) * checkers, nothing_to_check)


def fixed(setters: int, checkers: int) -> ThreadProgram:
    return ThreadProgram(AtomicPair, (replace_both,) * setters + (check_tuple,) * checkers, nothing_to_check)
