"""Read-write lock: a value read under the read lock is acted on under the write lock without another look.

Source: Goetz et al., Java Concurrency in Practice, 2006, chapter 4.4 (put-if-absent as check-then-act); the lock is
that of Courtois, Heymans, Parnas, "Concurrent control with readers and writers", CACM 1971. The bug: two threads find
the key missing before either writes it; the value is made twice.

Departures: written for this benchmark.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.bugs.thread_program import ThreadProgram


class ReadWriteLock:
    """Many readers or one writer."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.readers = 0
        self.writing = False

    @contextmanager
    def read(self) -> Iterator[None]:
        with self.changed:
            while self.writing:
                self.changed.wait()
            self.readers += 1
        yield
        with self.changed:
            self.readers -= 1
            self.changed.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        with self.changed:
            while self.writing or self.readers:
                self.changed.wait()
            self.writing = True
        yield
        with self.changed:
            self.writing = False
            self.changed.notify_all()


class Cache:
    """Values that are made when they are first wanted."""

    def __init__(self) -> None:
        self.lock = ReadWriteLock()
        self.values: dict[str, int] = {}
        self.made = 0

    def make(self, key: str) -> None:
        self.made += 1
        self.values[key] = self.made


def look_up(cache: Cache) -> None:
    with cache.lock.read():
        missing = "key" not in cache.values
    if missing:
        with cache.lock.write():
            cache.make("key")


def look_up_again(cache: Cache) -> None:
    """The repair."""
    with cache.lock.read():
        missing = "key" not in cache.values
    if missing:
        with cache.lock.write():
            if "key" not in cache.values:
                cache.make("key")


def check(cache: Cache) -> None:
    assert cache.made == 1, f"made {cache.made} times"


BUGGY = ThreadProgram(Cache, (look_up, look_up), check)
FIXED = ThreadProgram(Cache, (look_up_again, look_up_again), check)
