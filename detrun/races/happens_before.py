"""Happens-before tracking: reports every synchronization of a run to a `RaceDetector`.

These release in one task and acquire in another: a spawn and the child's first step; the end of a child and the exit of
its nursery; whatever makes a blocked task go on, and that task; `trio.Event` set and seen set; locks, semaphores and
limiters, given back and taken; a message sent and received, a channel closed and found closed; a cancellation and the
`Cancelled` that it raises; a callback handed to the run and called; locks and queues of threads, the end of a thread
and a join of it; and every operation of an `Atomic`, of which loads acquire, stores release and the others do both.
Everything that happened before the run went idle comes before what waited for that (`wait_all_tasks_blocked`).

Time orders nothing: a task that sleeps longer than another is not ordered after it, nor is one that is stepped later.

Accesses are reads and writes of `Shared`, of elements of a `Buffer`, and of whatever calls `HappensBefore.access`, as
`detrun_scheduler.footprints.accesses` does for the attributes and elements that watched code touches.

trio's methods are wrapped, on their classes, for the length of one run; the run itself tells of its own operations.
"""

from __future__ import annotations

import functools
import inspect
import sys
from array import array
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any

import outcome
import trio

from detrun.races.detector import RaceDetector
from detrun.races.published import Published
from detrun.races.synchronization import TrioPrimitives
from detrun_scheduler.footprints.marks import innermost_user_line_of_call
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.run import ActiveRun

_ACQUIRING = {"load", "compare_exchange_failed", "read", "acquire", "join"}
_RELEASING = {"store", "release", "notify"}
_BOTH = {"exchange", "fetch_add", "fetch_sub", "fetch_mul", "fetch_max", "fetch_min", "compare_exchange"}
_PLAIN = {"Shared", "Buffer"}  # kinds of objects whose reads and writes order nothing
_LOCKS = {"Lock", "RLock"}
_DONE = {
    "store": "stored in",
    "release": "released",
    "notify": "notified",
    "exchange": "exchanged the content of",
    "put": "put something in",
}


class HappensBefore:
    """Watches one run, as a `RunWatcher` of its hooks; enter it around the run.

    Attributes:
        kinds: of the objects in the journal, by number.
    """

    def __init__(self) -> None:
        self.kinds: dict[int, str] = {}
        self._restored: list[tuple[type, str, Any, bool]] = []

    def begin(self, run: ActiveRun) -> RaceDetector:
        """The run is built, and about to start; returns who decides what is a race."""
        self.run = run
        self.published = Published(run)
        self.detector = self.published.detector
        for kind, methods in TrioPrimitives(self.published).wrappers().items():
            for name, wrap in methods.items():
                original = inspect.getattr_static(kind, name)
                wrapped: Any = functools.wraps(original)(wrap(original))
                self._restored.append((kind, name, vars(kind).get(name), name in vars(kind)))
                setattr(kind, name, trio.lowlevel.enable_ki_protection(wrapped))
        return self.detector

    def end(self) -> None:
        """Give trio its methods back."""
        for owner, name, original, own in reversed(self._restored):
            if own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)
        self._restored.clear()

    def access(self, key: Hashable, label: str, is_write: bool, line: str) -> None:
        """The running task reads or writes a variable; see `detrun_scheduler.footprints.accesses.AccessListener`."""
        if self.published.in_step():
            self.detector.access(self.run.current, key, label, is_write, line)

    # See `RunWatcher`.

    def registered(self, number: int, kind: str) -> None:
        """Remember what it is."""
        self.kinds[number] = kind

    def operated(self, number: int, code: int, value: Any) -> None:
        """An operation on one of detrun's own objects, or on a lock or queue of threads."""
        kind, name = self.kinds.get(number, ""), OPERATIONS[code]
        label = self.run.object_labels[number]
        published = self.published
        if kind in _PLAIN:
            line = innermost_user_line_of_call(sys._getframe(2))
            if kind == "Shared":
                self.access(number, label, name == "write", line)
                return
            for offset in array("q", value[: len(value) // 16 * 8]):  # offsets, then as many numbers of eight bytes
                key = (number, offset)
                if name == "fetch_add":
                    published.acquire(key)
                self.access(key, f"{label}[{offset}]", name != "read", line)
                if name == "fetch_add":
                    published.release(key, f"added to {label}[{offset}]")
        elif name == "put":
            waiting = published.messages.setdefault(number, deque())
            waiting.append(self.detector.release(self.run.current, None, f"put something in {label}"))
        elif name == "get":
            if published.messages.get(number):
                self.detector.acquire(self.run.current, published.messages[number].popleft())
        else:
            if name in _ACQUIRING or name in _BOTH:
                published.acquire(number)
            if name in _RELEASING or name in _BOTH:
                published.release(number, "ended" if kind == "Thread" else f"{_DONE.get(name, 'changed')} {label}")
            if kind in _LOCKS and name == "acquire":
                self.detector.took(self.run.current, label)
            elif kind in _LOCKS and name == "release":
                self.detector.gave_back(label)

    def passed(self, lock: object, operation: int) -> None:
        """A library's lock has been taken or given back, which orders what it guards."""
        if OPERATIONS[operation] == "acquire":
            self.published.acquire(lock)
        else:
            self.published.release(lock, "released a library's lock")

    def rescheduled(self, number: int, is_new: bool, sent: Any) -> None:
        """The running task has started or woken another, or was cancelled itself."""
        if not self.published.in_step():
            return  # a timer has
        run = self.run
        if number != run.current:
            what = f"{'started' if is_new else 'woke'} {run.path_of(number)}"
            self.detector.acquire(number, self.detector.release(run.current, None, what))
        elif _is_cancelled(sent):
            self.published.acquire("cancellation")

    def idle_awaited(self, numbers: Sequence[int]) -> None:
        """Those that have waited for it have seen everything so far."""
        detector = self.detector
        for number in numbers:
            for clock in list(detector.clocks.values()):
                detector.acquire(number, clock)
        # Their own epochs are taken in whole, so all tasks begin a new one.
        for task in list(detector.clocks) if numbers else ():
            detector.release(task, None, "left the run idle")


def _is_cancelled(sent: Any) -> bool:
    return isinstance(sent, outcome.Error) and isinstance(sent.error, trio.Cancelled)
