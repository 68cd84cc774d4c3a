"""The marks of the running step, the names of objects, and the wrappers that make marks around methods.

Objects are named by the task that made them and by how many that task had made before, which is the same in every
schedule that runs this task alike; objects made before the run keep one name through all runs of a watch. What a step
does outside of such objects, to plain attributes of a shared dict for instance, is not seen: a strategy that builds on
footprints covers the orders of declared operations only.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import FrameType
from typing import Any, TypeAlias

import trio

from detrun_scheduler import current
from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.footprints.accesses import AccessObserver
from detrun_scheduler.footprints.footprints import COMMUTE, READ, WRITE, Footprint, Key
from detrun_scheduler.trio_host.private import CONTEXT, cancel_status_of, channel_state, statuses_inside
from detrun_scheduler.user_code import is_user_file

Heard: TypeAlias = tuple[Key, int, str, str]
"""A mark: key, mode, ``file:line`` of the user's code that made it, and a verb, empty unless a listener adds one."""

_LOOP = os.path.join(os.path.dirname(current.__file__), "loop.py")

touched: Footprint = {}  # by the step that is running
covered: set[int] = set()  # numbers of objects whose operations mark them, so that events need not
_names: dict[int, tuple[object, Key]] = {}  # by address: objects made in this run, kept alive so that addresses last
_outside: dict[int, tuple[object, Key]] = {}  # those made before
_made: dict[str, int] = {}  # by task path: objects that the task has made
OUTSIDE: Key = ("outside",)
_heard: list[Heard] | None = None
_is_read = True  # in the run that goes on
_state_is_read = False  # also what `touch_state` marks


def attend(is_read: bool) -> None:
    """Whether the footprints of the steps that come are read: if not, operations do without marks."""
    global _is_read
    _is_read = is_read


def attend_to_state(is_read: bool) -> None:
    """Whether what `touch_state` marks is read, too."""
    global _state_is_read
    _state_is_read = is_read


def touch_state(key: Key, mode: int) -> None:
    """Mark a part of a simulated machine, a file on a disk for instance, where a search through all orders asks for it.

    Samplers do without, since there is much of it and most of it never matters; so do narrations, which hear of it by
    `note`.
    """
    if _state_is_read and mode >= touched.get(key, READ):
        touched[key] = mode


def touch(key: Key, mode: int) -> None:
    """Mark something as touched by the running step; the stronger mode counts."""
    if mode >= touched.get(key, READ):
        touched[key] = mode
    if _heard is not None:
        _heard.append((key, mode, innermost_user_line_of_call(sys._getframe(1)), ""))


def note(key: Key, mode: int, verb: str) -> None:
    """Have a narration hear of something that is of no footprint, with the line of the program that does it."""
    if _heard is not None:
        _heard.append((key, mode, innermost_user_line_of_call(sys._getframe(1)), verb))


def innermost_user_line_of_call(frame: FrameType | None) -> str:
    """``file:line`` of the nearest user code of the run that led to the running ``frame``, or an empty string.

    What the loop does by itself, a deadlock report for instance, is not done by the code that called for the run.
    """
    while frame is not None:
        file = frame.f_code.co_filename  # once: CPython raises an audit event for `f_code`
        if file == _LOOP:
            break
        if is_user_file(file):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def listen(heard: list[Heard] | None) -> None:
    """Have every mark added to ``heard``, with the line that makes it; None ends it."""
    global _heard
    _heard = heard


def made_objects() -> dict[Key, object]:
    """The objects that have footprints in the run so far, by name."""
    return {key: thing for thing, key in (*_outside.values(), *_names.values())}


def name_of(thing: object) -> Key:
    """The name of an object, given on first use if it was made before the run."""
    address = address_of(thing)
    entry = _names.get(address) or _outside.get(address)
    if entry is None:
        entry = _outside[address] = (thing, ("outside", len(_outside)))
    return entry[1]


def portable(footprint: Footprint) -> Footprint:
    """A footprint that means the same in other processes: objects made before the run count as one.

    Their numbers are those of this process, in which other runs may have met them in another order.
    """
    if not _outside:
        return footprint
    found: Footprint = {}
    for key, mode in footprint.items():
        name = OUTSIDE if type(key) is tuple and key[0] == "outside" else key
        found[name] = max(mode, found.get(name, READ))
    return found


def made_by_current(thing: object) -> None:
    """Name an object that the running task is making."""
    run = current.run
    if run is not None:
        path = run.paths.get(run.current, "")
        count = _made[path] = _made.get(path, 0) + 1
        _names[address_of(thing)] = (thing, (path, count))


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
        # A number that depends on who comes first would make more orders differ than there are cells.
        self._observer = AccessObserver(self, tells_cells_apart=False)
        self.labels: dict[Key, str] = {}  # what reports call the places accessed in this run

    def forget(self) -> None:
        """A run begins: objects are numbered anew."""
        if self._observer.objects:
            self._observer = AccessObserver(self, tells_cells_apart=False)
        self.labels = {}

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


# Which operations mark what.

Marker = Callable[..., None]


def marks_self(mode: int) -> Marker:
    def mark(self: object, *args: object, **kwargs: object) -> None:
        touch(name_of(self), mode)

    return mark


def marks_channel(mode: int) -> Marker:
    def mark(self: Any, *args: object, **kwargs: object) -> None:
        touch(name_of(channel_state(self)), mode)

    return mark


def marks_reparking(self: object, new_lot: object, **kwargs: object) -> None:
    touch(name_of(self), WRITE)
    touch(name_of(new_lot), WRITE)


def marks_spawn(self: Any, *args: object, **kwargs: object) -> None:
    # Siblings are numbered, and the child inherits whether the nursery is cancelled.
    touch(("children", _path_of(self.parent_task)), WRITE)
    touch(name_of(self), COMMUTE)
    touch(name_of(cancel_status_of(self)), READ)


def marks_child_end(self: Any, task: object, result: Any) -> None:
    # Children that end well may do so in any order; of failures the first cancels the others.
    if hasattr(result, "value"):
        touch(name_of(self), COMMUTE)
    else:
        touch(name_of(self), WRITE)
        touch(name_of(self.cancel_scope), WRITE)


def marks_entering(self: Any, *args: object) -> None:
    touch(name_of(self), READ)


def marks_deadline(self: Any, *args: object) -> None:
    """Also what is inside: a deadline that has passed cancels its tasks once the step is over."""
    touch(name_of(self), WRITE)
    status = cancel_status_of(self)
    todo = [] if status is None else [status]
    while todo:
        status = todo.pop()
        touch(name_of(status), WRITE)
        todo.extend(statuses_inside(status))


def _path_of(task: Any) -> str:
    run = current.run
    return "" if run is None else run.paths.get(run.host.numbers.get(task, -1), "")


def marks_parts(parts: Callable[..., Iterable[Key]] | None, number: str, readers: frozenset[int]) -> Marker:
    """For an operation that is told its index in `OPERATIONS`: marks the object, or the parts that ``parts`` names."""

    def mark(self: object, operation: int, *args: object) -> None:
        mode, name = READ if operation in readers else WRITE, name_of(self)
        if parts is None:
            touch(name, mode)
        else:
            for part in parts(operation, *args):
                touch((name, part), mode)
        covered.add(getattr(self, number))

    return mark


WRITES, READS = marks_self(WRITE), marks_self(READ)
CHANNEL_WRITES, CHANNEL_READS = marks_channel(WRITE), marks_channel(READ)


# Methods with a mark before or after what they do.


def wrapped(
    operations: Mapping[type, Mapping[str, Marker]],
    observed: Mapping[type, Mapping[str, Marker]],
    made: Iterable[type],
) -> list[tuple[type, str, object]]:
    """(class, name, wrapper of the method) of methods that mark before, or after, what they do, and of ``__init__``."""
    found: list[tuple[type, str, object]] = []
    for kind, markers in operations.items():
        found += [(kind, name, _marked(inspect.getattr_static(kind, name), one)) for name, one in markers.items()]
    for kind, markers in observed.items():
        found += [(kind, name, _marked_after(getattr(kind, name), one)) for name, one in markers.items()]
    return [*found, *((kind, "__init__", _naming(kind.__init__)) for kind in made)]  # type: ignore[misc]  # of the class itself


def _marked(original: Any, marker: Marker) -> Any:
    if isinstance(original, property):
        return property(
            None if original.fget is None else _marked(original.fget, _only_reading(marker)),
            None if original.fset is None else _marked(original.fset, marker),
        )

    if inspect.iscoroutinefunction(original):
        # A coroutine may be made in one step and begin in another, as in ``start_soon(event.wait)``.
        @functools.wraps(original)
        async def awaiting(self: Any, *args: Any, **kwargs: Any) -> Any:
            if _is_read:
                marker(self, *args, **kwargs)
            return await original(self, *args, **kwargs)

        return awaiting

    @functools.wraps(original)
    def marking(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _is_read:
            marker(self, *args, **kwargs)
        return original(self, *args, **kwargs)

    protected: Any = trio.lowlevel.enable_ki_protection
    return protected(marking)


def _marked_after(original: Callable[..., Any], marker: Marker) -> Callable[..., Any]:
    @functools.wraps(original)
    def marking(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if _is_read:
            marker(self, *args, **kwargs)
        return result

    return marking


def _only_reading(marker: Marker) -> Marker:
    return marks_self(READ) if marker in (WRITES, marks_deadline) else marker


def _naming(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        if _is_read:
            made_by_current(self)
        original(self, *args, **kwargs)

    return made


def recalculating(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Who is cancelled by it, or no longer is, was touched: its tasks look at that at every checkpoint."""

    def recalculate(self: Any) -> None:
        if not _is_read:
            original(self)
            return
        below, todo = [], [self]
        while todo:
            status = todo.pop()
            below.append((status, status.effectively_cancelled))
            todo.extend(statuses_inside(status))
        original(self)
        if hasattr(CONTEXT, "task"):  # not when time did it
            for status, before in below:
                if status.effectively_cancelled != before:
                    touch(name_of(status), WRITE)

    return recalculate


def joining_marks(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def joining(self: Any, error: BaseException | None) -> Any:
        if _is_read:
            touch(name_of(self), WRITE)
            if error is not None:
                touch(name_of(self.cancel_scope), WRITE)
        result = await original(self, error)
        if _is_read:  # a narration of a part may begin, or end, while it waits
            touch(name_of(self), WRITE)
        return result

    return joining
