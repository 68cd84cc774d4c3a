"""Lazy initialization: two threads find nothing there, and each makes its own.

Source: Goetz et al., Java Concurrency in Practice, 2006, listing 2.3 (LazyInitRace). The bug: the second thread tests
for the instance after the first has tested and before it has assigned.

Departures: none.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram


class Expensive:
    """The object that is meant to exist once."""


class Lazy:
    """Makes the instance when it is first wanted."""

    def __init__(self) -> None:
        self.instance: Expensive | None = None
        self.handed_out: list[Expensive] = []
        self.lock = threading.Lock()

    def get(self) -> Expensive:
        if self.instance is None:
            self.instance = Expensive()
        return self.instance

    def get_locked(self) -> Expensive:
        """The repair."""
        with self.lock:
            if self.instance is None:
                self.instance = Expensive()
            return self.instance


def use(lazy: Lazy) -> None:
    lazy.handed_out.append(lazy.get())


def use_locked(lazy: Lazy) -> None:
    lazy.handed_out.append(lazy.get_locked())


def check(lazy: Lazy) -> None:
    first, second = lazy.handed_out
    assert first is second, "two instances"


BUGGY = ThreadProgram(Lazy, (use, use), check)
FIXED = ThreadProgram(Lazy, (use_locked, use_locked), check)
