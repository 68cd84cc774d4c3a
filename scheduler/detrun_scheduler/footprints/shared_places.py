"""`SharedPlaces`: learns which lines touch what several threads touch, so that only those need be preempted.

It observes a few runs of a `Preemption` at opcodes. What counts is an attribute, a global, a closure variable, or a
list, dictionary, set, deque or other built-in container as a whole: touched by two threads of one run, at least once to
change it, while both may have been alive. Every line that touches such a thing is a place. A container's methods count
(``append`` changes it, ``get`` does not; a method that is not known does), and so does reading it off an attribute.

The rule: preempting a thread elsewhere commutes with what other threads do, as far as the observed runs tell and the
observer sees (`accesses`, `contents`). An object that comes out of a call (``find(x).count += 1``) is not known; such a
line counts if any object's attribute of that name is changed. Not seen: what most C code does with containers that it
is given as arguments, and code that ran in no observed run.

An observed run keeps objects alive that the program lets go of, so that finalizers may come later in it.

Use::

    shared = SharedPlaces()
    with Preemption("opcode", include, observer=shared) as preemption:
        ...  # some runs
    Preemption("opcode", include, only_at=shared.places())  # for the others

Source: the idea is that of Sen, "Race directed random testing of concurrent programs", PLDI 2008, where an analysis of
some runs says at which statements threads are to be interfered with. Departures: what is learnt are lines and not
pairs of statements, and locks do not clear an access: what a lock guards in one schedule it may not guard in the next.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

from detrun_scheduler import current
from detrun_scheduler.footprints.contents import ContentsObserver, is_container
from detrun_scheduler.footprints.footprints import READ
from detrun_scheduler.footprints.places import place
from detrun_scheduler.footprints.recipes import MISSING, follow
from detrun_scheduler.footprints.symbolic_execution import Access, accesses_of, contents_of

_READING = frozenset(
    {"copy", "count", "difference", "fromkeys", "get", "index", "intersection", "isdisjoint", "issubset", "issuperset"}
    | {"items", "keys", "symmetric_difference", "union", "values", "__contains__", "__iter__", "__len__", "__getitem__"}
)


class FilesWatched(Protocol):
    """Code under test, as files."""

    def __contains__(self, filename: str, /) -> bool:
        """Whether code compiled from there is meant."""


Line = tuple[str, str, int]  # as `place` takes it: hashing a code object costs microseconds


@dataclass(slots=True)
class _Touched:
    """Who touched a thing in the present run, and where."""

    tasks: set[int] = field(default_factory=set)
    is_changed: bool = False
    lines: set[Line] = field(default_factory=set)

    def add(self, other: _Touched) -> None:
        """Take in what is known of the same thing under another name."""
        self.tasks |= other.tasks
        self.is_changed = self.is_changed or other.is_changed


class SharedPlaces:
    """An observer for a `Preemption` at opcodes, and what it has learnt from the runs so far.

    Args:
        instructions_max: how many accesses of a run are looked at; of what comes after them nothing is learnt.
    """

    def __init__(self, instructions_max: float = math.inf) -> None:
        self._learnt: set[Line] = set()
        self._where: Line | None = None  # that runs now
        self._is_blind = False
        self._most = instructions_max
        self._begin(-1)

    def _begin(self, serial: int) -> None:
        self._serial = serial
        self._left = self._most
        self._observer = ContentsObserver(self)  # numbers the objects of one run
        self._things: dict[Hashable, _Touched] = {}
        self._unknown: dict[str, _Touched] = {}  # by name: attributes of objects that are not known
        self._by_name: dict[str, _Touched] = {}  # all attributes of that name

    def places(self) -> frozenset[str] | None:
        """The places learnt so far, for `Preemption`'s ``only_at``. None: all that is watched.

        It is None when a run had tasks besides its threads: what those touch is not observed.
        """
        self._fold()
        return None if self._is_blind else frozenset(place(*line) for line in self._learnt)

    def places_in(self, watched: FilesWatched) -> frozenset[str]:
        """Those in some code; none where all that is watched counts."""
        self._fold()
        known = () if self._is_blind else self._learnt
        return frozenset(place(*line) for line in known if line[0] in watched)

    def about_to_run(self, frame: FrameType, offset: int) -> None:
        """See `AccessObserver.about_to_run`."""
        access, run = accesses_of(frame.f_code).get(offset), current.run
        if run is None or (access is None and offset not in contents_of(frame.f_code)):
            return
        if run.serial != self._serial:
            self._fold()
            self._begin(run.serial)
            main = run.host.main_task
            self._is_blind = self._is_blind or not (main is not None and hasattr(main.coro, "gr_frame"))
        threads: Any = run.threads
        if len(threads.living) < 2:
            return  # before the first thread starts, and after the last has been joined, all is ordered
        self._left -= 1
        if self._left < 0:
            return
        code = frame.f_code
        self._where = code.co_filename, code.co_qualname, frame.f_lineno - code.co_firstlineno
        self._observer.about_to_run(frame, offset)
        if access is not None:
            self._container(access, frame)

    def access(self, key: Hashable, label: str, is_write: bool, line: str) -> None:
        """Called by the observer of accesses."""
        self._touch(self._things, key, is_write)
        if isinstance(key, tuple) and isinstance(key[-1], str):
            self._touch(self._by_name, key[-1], is_write)

    def marked(self, key: Hashable, label: str, mode: int, line: str) -> None:
        """Called by the observer of contents: a container is one thing, whichever part of it is touched."""
        self._touch(self._things, (key[0], "contents"), mode != READ)  # type: ignore[index]

    def _container(self, access: Access, frame: FrameType) -> None:
        """Touch the container that the instruction uses or reads, or an attribute of what is not known."""
        owner: Any = MISSING
        if access.kind in ("attribute", "element"):
            owner, name = follow(access.owner, frame), follow(access.name, frame)
            if is_container(owner):
                changes = access.is_write if access.kind == "element" else name not in _READING
                self._touch(self._things, (self._observer.label_of(owner), "contents"), changes)
                return
            if owner is MISSING and access.kind == "attribute":
                self._touch(self._unknown, name, access.is_write)
        if access.is_write:
            return
        value = _value_of(access, owner, frame)
        if is_container(value):
            self._touch(self._things, (self._observer.label_of(value), "contents"), False)

    def _touch(self, things: dict[Any, _Touched], key: Hashable, changes: bool) -> None:
        found = things.get(key)
        if found is None:
            found = things[key] = _Touched()
        assert current.run is not None
        assert self._where is not None
        found.tasks.add(current.run.current)
        found.is_changed = found.is_changed or changes
        found.lines.add(self._where)

    def _fold(self) -> None:
        """The run is over: learn from it."""
        for name, touched in self._unknown.items():
            if name in self._by_name:
                touched.add(self._by_name[name])
        for touched in (*self._things.values(), *self._unknown.values()):
            if touched.is_changed and len(touched.tasks) > 1:
                self._learnt |= touched.lines
        self._begin(-1)


def _value_of(access: Access, owner: Any, frame: FrameType) -> Any:
    """What a load is about to find."""
    match access.kind:
        case "attribute":
            return MISSING if owner is MISSING else follow(("attribute", access.owner, access.name[1]), frame)  # type: ignore[index]
        case "global":
            return follow(("global", access.name[1]), frame)  # type: ignore[index]
        case "closure":
            return follow(("local", access.name[1]), frame)  # type: ignore[index]
    return MISSING
