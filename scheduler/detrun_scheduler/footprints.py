"""What a step touched: the objects, and whether in a way that could matter to another task's step.

Two steps of different tasks are *dependent* if their footprints share a key on which they conflict; otherwise swapping
them, where they are neighbours, changes nothing. A read conflicts with a write, a write with everything, and marks of
kind `COMMUTE` (the end of a nursery's child) not with each other. Who cannot be understood conflicts with everybody
(`EVERYTHING`): a step that waits in, or wakes, a primitive of the user's own making.

While a `Watch` is entered, the operations of trio's primitives, of cancellation and nurseries, and of whatever classes
were given to `observe` mark the object that they touch. Objects are named by the task that made them and by how many
that task had made before, which is the same in every schedule that runs this task alike; objects made before the run
keep one name through all runs of a watch. What a step does outside of such objects, to plain attributes of a shared
dict for instance, is not seen: a strategy that builds on footprints covers the orders of declared operations only.

Watching costs about a microsecond for each operation and nothing while no `Watch` is entered.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import FrameType, TracebackType
from typing import Any, TypeAlias

import trio

from detrun_scheduler import current
from detrun_scheduler.accesses import AccessObserver
from detrun_scheduler.errors import UsageError
from detrun_scheduler.journal import (
    EFFECT,
    END,
    EVENT_ARGUMENTS,
    FIRST_WAIT,
    KIND_MASK,
    OPERATION,
    OPERATIONS,
    SPAWN,
    TIME,
    WAKE,
)
from detrun_scheduler.trio_host import CONTEXT, NumberedChannelState, OrderedCancelStatus
from detrun_scheduler.user_code import is_user_file

Key: TypeAlias = Hashable
Footprint: TypeAlias = dict[Key, int]

READ, COMMUTE, WRITE = 0, 1, 2
EVERYTHING: Key = "everything"
IDLE_WAIT = "wait_all_tasks_blocked"

# Who waits for a lock has only looked: its release wakes them all, in whatever order they came.
_READING = frozenset(OPERATIONS.index(name) for name in ("load", "read", "compare_exchange_failed", "wait"))
_touched: Footprint = {}  # by the step that is running
_names: dict[int, tuple[object, Key]] = {}  # by address: objects made in this run, kept alive so that addresses last
_outside: dict[int, tuple[object, Key]] = {}  # those made before
_made: dict[str, int] = {}  # by task path: objects that the task has made
_covered: set[int] = set()  # numbers of objects whose operations mark them, so that events need not
_watching = False
_listener: Callable[[Key, int], None] | None = None


def touch(key: Key, mode: int) -> None:
    """Mark something as touched by the running step; the stronger mode counts."""
    if mode >= _touched.get(key, READ):
        _touched[key] = mode
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


def _named(thing: object) -> Key:
    entry = _names.get(id(thing)) or _outside.get(id(thing))
    if entry is None:
        entry = _outside[id(thing)] = (thing, ("outside", len(_outside)))
    return entry[1]


def _made_by_current(thing: object) -> None:
    run = current.run
    if run is not None:
        path = run.paths.get(run.current, "")
        count = _made[path] = _made.get(path, 0) + 1
        _names[id(thing)] = (thing, (path, count))


# Which operations mark what.

Marker = Callable[..., None]


def _marks_self(mode: int) -> Marker:
    def mark(self: object, *args: object, **kwargs: object) -> None:
        touch(_named(self), mode)

    return mark


def _marks_channel(mode: int) -> Marker:
    def mark(self: Any, *args: object, **kwargs: object) -> None:
        touch(_named(self._state), mode)

    return mark


def _marks_reparking(self: object, new_lot: object, **kwargs: object) -> None:
    touch(_named(self), WRITE)
    touch(_named(new_lot), WRITE)


def _marks_spawn(self: Any, *args: object, **kwargs: object) -> None:
    # Siblings are numbered, and the child inherits whether the nursery is cancelled.
    touch(("children", _path_of(self._parent_task)), WRITE)
    touch(_named(self), COMMUTE)
    touch(_named(self._cancel_status), READ)


def _marks_child_end(self: Any, task: object, result: Any) -> None:
    # Children that end well may do so in any order; of failures the first cancels the others.
    if hasattr(result, "value"):
        touch(_named(self), COMMUTE)
    else:
        touch(_named(self), WRITE)
        touch(_named(self.cancel_scope), WRITE)


def _marks_entering(self: Any, *args: object) -> None:
    touch(_named(self), READ)


def _marks_deadline(self: Any, *args: object) -> None:
    touch(_named(self), WRITE)
    if self._cancel_status is not None:
        touch(_named(self._cancel_status), WRITE)


def _path_of(task: Any) -> str:
    run = current.run
    return "" if run is None else run.paths.get(run.host.numbers.get(task, -1), "")


_WRITE, _READ = _marks_self(WRITE), _marks_self(READ)
_CHANNEL_WRITE, _CHANNEL_READ = _marks_channel(WRITE), _marks_channel(READ)
_LOCK = {"acquire_nowait": _WRITE, "release": _WRITE, "locked": _READ, "statistics": _READ}
_LOT = dict.fromkeys(("park", "unpark", "unpark_all", "break_lot"), _WRITE)
# Waiting on a primitive parks on its lot or goes through its `…_nowait`, so these are all that is needed.
_OPERATIONS: dict[type, dict[str, Marker]] = {
    trio.Event: {"set": _WRITE, "is_set": _READ, "wait": _READ, "statistics": _READ},
    trio.Lock: _LOCK,
    trio.StrictFIFOLock: _LOCK,
    trio.Semaphore: {"acquire_nowait": _WRITE, "release": _WRITE, "value": _READ, "statistics": _READ},
    trio.CapacityLimiter: {
        "acquire_on_behalf_of_nowait": _WRITE,
        "release_on_behalf_of": _WRITE,
        "total_tokens": _WRITE,
        "borrowed_tokens": _READ,
        "available_tokens": _READ,
        "statistics": _READ,
    },
    trio.lowlevel.ParkingLot: {
        **_LOT,
        "repark": _marks_reparking,
        "repark_all": _marks_reparking,
        "statistics": _READ,
        "__len__": _READ,
        "__bool__": _READ,
    },
    trio.MemorySendChannel: {
        "send_nowait": _CHANNEL_WRITE,
        "close": _CHANNEL_WRITE,
        "clone": _CHANNEL_WRITE,
        "statistics": _CHANNEL_READ,
    },
    trio.MemoryReceiveChannel: {
        "receive_nowait": _CHANNEL_WRITE,
        "close": _CHANNEL_WRITE,
        "clone": _CHANNEL_WRITE,
        "statistics": _CHANNEL_READ,
    },
    trio.CancelScope: {
        "cancel": _WRITE,
        "cancel_called": _READ,
        "deadline": _marks_deadline,
        "relative_deadline": _marks_deadline,
        "shield": _WRITE,
        "__enter__": _marks_entering,
    },
    trio.Nursery: {
        "start_soon": _marks_spawn,
        "start": _marks_spawn,
        "child_tasks": _marks_self(WRITE),
        "_child_finished": _marks_child_end,
    },
}
_OBSERVED: dict[type, dict[str, Marker]] = {}  # marked after the operation: only then the object has a number
_MADE_HERE: set[type] = {
    trio.Event,
    trio.Lock,
    trio.StrictFIFOLock,
    trio.Semaphore,
    trio.CapacityLimiter,
    trio.lowlevel.ParkingLot,
    trio.CancelScope,
    trio.Nursery,
    NumberedChannelState,
    OrderedCancelStatus,
}


def observe(
    kind: type, operations: Mapping[str, Callable[..., Iterable[Key]] | None], number: str, reading: Iterable[int] = ()
) -> None:
    """Let the operations of a class of detrun's own mark their object; called once, when the class is imported.

    Args:
        kind: the class; its ``__init__`` names the object.
        operations: methods whose first argument is an index into `OPERATIONS`; for each a function that takes the
            method's arguments and names the parts of the object that are touched, or None for the whole.
        number: the attribute with the object's number in the run's journal, set by the operation if it is the first.
        reading: further indices that only read.
    """
    readers = _READING | frozenset(reading)

    def marker(parts: Callable[..., Iterable[Key]] | None) -> Marker:
        def mark(self: object, operation: int, *args: object) -> None:
            mode, name = READ if operation in readers else WRITE, _named(self)
            if parts is None:
                touch(name, mode)
            else:
                for part in parts(operation, *args):
                    touch((name, part), mode)
            _covered.add(getattr(self, number))

        return mark

    _OBSERVED[kind] = {name: marker(parts) for name, parts in operations.items()}
    _MADE_HERE.add(kind)


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


class Watch:
    """While entered, steps have footprints. Not reentrant; one per process, like a run."""

    __slots__ = ("_restored", "step")

    def __init__(self) -> None:
        self._restored: list[tuple[type, str, Any, bool]] = []
        self.step = StepReader()

    def __enter__(self) -> Watch:
        global _watching
        if _watching:
            raise UsageError("footprints are watched already in this process: campaigns neither nest nor overlap")
        _watching = True
        for kind, operations in _OPERATIONS.items():
            for name, marker in operations.items():
                self._replace(kind, name, _marked(inspect.getattr_static(kind, name), marker))
        for kind, operations in _OBSERVED.items():
            for name, marker in operations.items():
                self._replace(kind, name, _marked_after(getattr(kind, name), marker))
        for kind in _MADE_HERE:
            self._replace(kind, "__init__", _naming(kind.__init__))  # type: ignore[misc]
        self._replace(OrderedCancelStatus, "recalculate", _recalculate(OrderedCancelStatus.recalculate))
        waiting = trio.Nursery._nested_child_finished
        self._replace(trio.Nursery, "_nested_child_finished", _joining(waiting))
        return self

    def _replace(self, kind: type, name: str, replacement: object) -> None:
        own = name in vars(kind)
        self._restored.append((kind, name, vars(kind).get(name), own))
        setattr(kind, name, replacement)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _watching
        _watching = False
        for owner, name, original, own in reversed(self._restored):
            if own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)
        self._restored.clear()
        self.step.forget()
        _outside.clear()


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
            marker(self, *args, **kwargs)
            return await original(self, *args, **kwargs)

        return awaiting

    @functools.wraps(original)
    def marking(self: Any, *args: Any, **kwargs: Any) -> Any:
        marker(self, *args, **kwargs)
        return original(self, *args, **kwargs)

    protected: Any = trio.lowlevel.enable_ki_protection
    return protected(marking)


def _marked_after(original: Callable[..., Any], marker: Marker) -> Callable[..., Any]:
    @functools.wraps(original)
    def marking(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        marker(self, *args, **kwargs)
        return result

    return marking


def _only_reading(marker: Marker) -> Marker:
    return _marks_self(READ) if marker in (_WRITE, _marks_deadline) else marker


def _naming(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        _made_by_current(self)
        original(self, *args, **kwargs)

    return made


def _recalculate(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Who is cancelled by it, or no longer is, was touched: its tasks look at that at every checkpoint."""

    def recalculate(self: Any) -> None:
        below, todo = [], [self]
        while todo:
            status = todo.pop()
            below.append((status, status.effectively_cancelled))
            todo.extend(status._children)
        original(self)
        if hasattr(CONTEXT, "task"):  # not when time did it
            for status, before in below:
                if status.effectively_cancelled != before:
                    touch(_named(status), WRITE)

    return recalculate


def _joining(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def joining(self: Any, error: BaseException | None) -> Any:
        touch(_named(self), WRITE)
        if error is not None:
            touch(_named(self.cancel_scope), WRITE)
        result = await original(self, error)
        touch(_named(self), WRITE)
        return result

    return joining


class StepReader:
    """Reads the footprint of each closed step, and whom it woke, off the marks and the step's record.

    Attributes:
        woken: tasks that the last step made or woke itself; not those that time woke after it.
        barrier: nothing could run after the last step, and then time or idleness woke somebody.
    """

    __slots__ = ("barrier", "idle", "kinds", "registered", "statuses", "unknown", "woken")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """A run begins, or the watch ends."""
        _touched.clear()
        _names.clear()
        _made.clear()
        _covered.clear()
        OBSERVED_ACCESSES.forget()
        self.statuses: dict[int, Key] = {}  # by task: the cancel status that it had after its last step
        self.registered = 0  # objects in the journal so far
        self.kinds: dict[int, str] = {}  # by wait kind: `_KNOWN`, `_IDLE` or `_UNKNOWN`
        self.unknown: set[int] = set()  # tasks that wait in something of the user's own
        self.idle: set[int] = set()  # tasks that wait until nobody can run
        self.woken: list[int] = []
        self.barrier = False

    def read(self, loop: Any, task: int, outcome_byte: int, record: bytes) -> Footprint:
        """The footprint of the step just closed; sets `woken` and `barrier`."""
        footprint = dict(_touched)
        _touched.clear()
        self._statuses(loop, task, footprint)
        self._events(loop, record, footprint)
        self._registrations(loop, footprint)
        self.unknown.discard(task)
        self.idle.discard(task)
        kind = outcome_byte & KIND_MASK
        if kind >= FIRST_WAIT:
            what = self.kinds.get(kind) or self._kind(loop, kind)
            if what == _UNKNOWN:
                self.unknown.add(task)
                footprint[EVERYTHING] = WRITE
            elif what == _IDLE:
                self.idle.add(task)
        if loop.paths.get(task, "").startswith("<system>"):
            footprint[EVERYTHING] = WRITE  # callbacks of run_sync_soon and the like
        return footprint

    def _statuses(self, loop: Any, task: int, footprint: Footprint) -> None:
        """Every schedule point looks at whether the task is cancelled: where the step began, and where it ended."""
        before = self.statuses.get(task)
        if before is not None:
            footprint.setdefault(before, READ)
        living = loop.host.by_number.get(task)
        if living is not None and living._cancel_status is not None:
            status = self.statuses[task] = _named(living._cancel_status)
            footprint.setdefault(status, READ)

    def _registrations(self, loop: Any, footprint: Footprint) -> None:
        """Labels that count are given in the order of first use, which so becomes part of what the order of steps
        decides; objects that mark themselves have better names.
        """
        labels = loop.object_labels
        for number in range(self.registered, len(labels)):
            kind = labels[number].partition("[")[0]
            if number not in _covered and kind != "channel":
                footprint[("registered", kind)] = WRITE
        self.registered = len(labels)

    def _events(self, loop: Any, record: bytes, footprint: Footprint) -> None:
        self.woken, self.barrier = [], False
        position = 0
        while position < len(record):
            code = record[position]
            position += 1
            if code == END:
                break
            arguments = []
            for _ in range(EVENT_ARGUMENTS[code]):
                number = shift = 0
                while True:
                    byte = record[position]
                    position += 1
                    number |= (byte & 0x7F) << shift
                    if byte < 0x80:
                        break
                    shift += 7
                arguments.append(number)
            if code == TIME:
                self.barrier = True
            elif code == SPAWN:
                self.woken.append(arguments[0])
            elif code == WAKE:
                woken = arguments[0]
                self.barrier = self.barrier or woken in self.idle
                if not self.barrier:
                    self.woken.append(woken)
                    if woken in self.unknown:
                        footprint[EVERYTHING] = WRITE
            elif code == OPERATION and arguments[0] not in _covered:
                mode = READ if arguments[1] in _READING else WRITE
                key = ("operation", loop.object_labels[arguments[0]])
                footprint[key] = max(mode, footprint.get(key, READ))
            elif code == EFFECT:
                footprint["effect"] = WRITE

    def _kind(self, loop: Any, kind: int) -> str:
        host = loop.host
        names = [name for name, number in loop.journal.kind_numbers.items() if number == kind]
        codes = [code for code in host.kept_codes if host.kinds.get(id(code)) == kind]
        if any(IDLE_WAIT in name for name in names):
            what = _IDLE
        elif any(is_user_file(code.co_filename) for code in codes) or not names:
            what = _UNKNOWN
        else:
            what = _KNOWN
        self.kinds[kind] = what
        return what


_KNOWN, _IDLE, _UNKNOWN = "known", "idle", "unknown"


def place_of(loop: Any, task: int) -> str:
    """Where a living task goes on: file and instruction of its innermost user frame; the same in every process."""
    awaited: Any = loop.host.by_number[task].coro
    found: FrameType | None = None
    while awaited is not None:
        frame = next((one for one in (getattr(awaited, name, None) for name in _FRAMES) if one is not None), None)
        # A simulated thread shows its innermost frame only, whose callers may be the user's.
        while frame is not None and not is_user_file(frame.f_code.co_filename):
            frame = frame.f_back
        found = frame or found
        awaited = next((one for one in (getattr(awaited, name, None) for name in _AWAITED) if one is not None), None)
    return "" if found is None else f"{found.f_code.co_filename}:{found.f_code.co_qualname}:{found.f_lasti}"


_FRAMES = ("cr_frame", "ag_frame", "gi_frame")
_AWAITED = ("cr_await", "ag_await", "gi_yieldfrom")
