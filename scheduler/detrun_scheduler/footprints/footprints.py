"""What a step touched: the objects, and whether in a way that could matter to another task's step.

Two steps of different tasks are *dependent* if their footprints share a key on which they conflict; otherwise swapping
them, where they are neighbours, changes nothing. A read conflicts with a write, a write with everything, and marks of
kind `COMMUTE` (the end of a nursery's child) not with each other. Who cannot be understood conflicts with everybody
(`EVERYTHING`): a step that waits in, or wakes, a primitive of the user's own making.

Here are the marks of the running step and the names of objects. Who makes the marks is in `footprint_marks`, how they
become the footprint of a closed step in `step_footprints`. Objects are named by the task that made them and by how many
that task had made before, which is the same in every schedule that runs this task alike; objects made before the run
keep one name through all runs of a watch. What a step does outside of such objects, to plain attributes of a shared
dict for instance, is not seen: a strategy that builds on footprints covers the orders of declared operations only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import FrameType
from typing import Any, TypeAlias

from detrun_scheduler import current
from detrun_scheduler.footprints.accesses import AccessObserver
from detrun_scheduler.journal import OPERATIONS

Key: TypeAlias = Hashable
Footprint: TypeAlias = dict[Key, int]

READ, COMMUTE, WRITE = 0, 1, 2
EVERYTHING: Key = "everything"

# Who waits for a lock has only looked: its release wakes them all, in whatever order they came.
READING = frozenset(OPERATIONS.index(name) for name in ("load", "read", "compare_exchange_failed", "wait"))

touched: Footprint = {}  # by the step that is running
covered: set[int] = set()  # numbers of objects whose operations mark them, so that events need not
_names: dict[int, tuple[object, Key]] = {}  # by address: objects made in this run, kept alive so that addresses last
_outside: dict[int, tuple[object, Key]] = {}  # those made before
_made: dict[str, int] = {}  # by task path: objects that the task has made
_listener: Callable[[Key, int], None] | None = None


def touch(key: Key, mode: int) -> None:
    """Mark something as touched by the running step; the stronger mode counts."""
    if mode >= touched.get(key, READ):
        touched[key] = mode
    if _listener is not None:
        _listener(key, mode)


def listen(listener: Callable[[Key, int], None] | None) -> None:
    """Have every mark reported at once, while the code that makes it is on the stack; None ends it."""
    global _listener
    _listener = listener


def made_objects() -> dict[Key, object]:
    """The objects that have footprints in the run so far, by name."""
    return {key: thing for thing, key in (*_outside.values(), *_names.values())}


def conflict(first: Footprint, second: Footprint) -> bool:
    """Whether steps with these footprints are dependent."""
    if EVERYTHING in first or EVERYTHING in second:
        return True
    if len(first) > len(second):
        first, second = second, first
    for key, mode in first.items():
        other = second.get(key)
        if other is not None and modes_conflict(mode, other):
            return True
    return False


def modes_conflict(first: int, second: int) -> bool:
    """Whether touching one object in these two ways does not commute."""
    return first == WRITE or second == WRITE or first != second


def name_of(thing: object) -> Key:
    """The name of an object, given on first use if it was made before the run."""
    entry = _names.get(id(thing)) or _outside.get(id(thing))
    if entry is None:
        entry = _outside[id(thing)] = (thing, ("outside", len(_outside)))
    return entry[1]


def made_by_current(thing: object) -> None:
    """Name an object that the running task is making."""
    run = current.run
    if run is not None:
        path = run.paths.get(run.current, "")
        count = _made[path] = _made.get(path, 0) + 1
        _names[id(thing)] = (thing, (path, count))


def forget_run() -> None:
    """A run begins: nothing is touched, nothing made."""
    for table in (touched, covered, _names, _made):
        table.clear()
    OBSERVED_ACCESSES.forget()


def forget_all() -> None:
    """The watch is over: objects made before its runs need no names any more."""
    forget_run()
    _outside.clear()


class ObservedAccesses:
    """Marks what the watched code of threads reads and writes: the observer of a `Preemption` for many runs."""

    __slots__ = ("_observer", "labels")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """A run begins: objects are numbered anew."""
        self._observer = AccessObserver(self)
        self.labels: dict[Key, str] = {}  # what reports call the places accessed in this run

    def about_to_run(self, frame: FrameType, offset: int) -> None:
        """See `AccessObserver.about_to_run`."""
        objects = self._observer.objects
        known = len(objects)
        self._observer.about_to_run(frame, offset)
        if len(objects) > known:
            # Objects are numbered in the order in which they are found, which so becomes part of what the order of
            # steps decides.
            touch("found", WRITE)

    def access(self, key: Hashable, label: str, is_write: bool, line: str) -> None:
        """Called by the observer."""
        place = ("place", key)
        self.labels[place] = label
        touch(place, WRITE if is_write else READ)


OBSERVED_ACCESSES: Any = ObservedAccesses()
