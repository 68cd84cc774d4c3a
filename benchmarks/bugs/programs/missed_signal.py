"""Missed signal: the flag is looked at before the lock is taken.

Source: Farchi, Nir, Ur, "Concurrent bug patterns and how to test them", IPDPS 2003 (lost notify). The bug: the waiting
thread has seen that nothing is ready; the other makes it ready and its notification meets no waiting thread; then the
first one waits forever.

Departures: none.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class Signal:
    """A flag and its condition."""

    def __init__(self) -> None:
        self.ready = False
        self.became_ready = threading.Condition()


def await_signal(signal: Signal) -> None:
    if not signal.ready:
        with signal.became_ready:
            signal.became_ready.wait()


def await_rightly(signal: Signal) -> None:
    with signal.became_ready:
        while not signal.ready:
            signal.became_ready.wait()


def send_signal(signal: Signal) -> None:
    with signal.became_ready:
        signal.ready = True
        signal.became_ready.notify()


BUGGY = ThreadProgram(Signal, (await_signal, send_signal), nothing_to_check)
FIXED = ThreadProgram(Signal, (await_rightly, send_signal), nothing_to_check)
