"""Who marks what a step touches: trio's primitives, cancellation and nurseries, and classes given to `observe`.

While a `Watch` is entered their methods are replaced by ones that mark their object (`footprints.touch`) and do what
they did. Watching costs about a microsecond for each operation, and nothing while no `Watch` is entered.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import trio

from detrun_scheduler import current
from detrun_scheduler.errors import UsageError
from detrun_scheduler.footprints.footprints import (
    COMMUTE,
    READ,
    READING,
    WRITE,
    Key,
    covered,
    forget_all,
    made_by_current,
    name_of,
    touch,
)
from detrun_scheduler.footprints.steps import StepReader
from detrun_scheduler.trio_host.channels import NumberedChannelState
from detrun_scheduler.trio_host.ordered import OrderedCancelStatus
from detrun_scheduler.trio_host.private import (
    CHILD_FINISHED,
    CLOSE_SCOPE,
    CONTEXT,
    JOIN,
    cancel_status_of,
    channel_state,
    statuses_inside,
)

_watching = False

# Which operations mark what.

Marker = Callable[..., None]


def _marks_self(mode: int) -> Marker:
    def mark(self: object, *args: object, **kwargs: object) -> None:
        touch(name_of(self), mode)

    return mark


def _marks_channel(mode: int) -> Marker:
    def mark(self: Any, *args: object, **kwargs: object) -> None:
        touch(name_of(channel_state(self)), mode)

    return mark


def _marks_reparking(self: object, new_lot: object, **kwargs: object) -> None:
    touch(name_of(self), WRITE)
    touch(name_of(new_lot), WRITE)


def _marks_spawn(self: Any, *args: object, **kwargs: object) -> None:
    # Siblings are numbered, and the child inherits whether the nursery is cancelled.
    touch(("children", _path_of(self.parent_task)), WRITE)
    touch(name_of(self), COMMUTE)
    touch(name_of(cancel_status_of(self)), READ)


def _marks_child_end(self: Any, task: object, result: Any) -> None:
    # Children that end well may do so in any order; of failures the first cancels the others.
    if hasattr(result, "value"):
        touch(name_of(self), COMMUTE)
    else:
        touch(name_of(self), WRITE)
        touch(name_of(self.cancel_scope), WRITE)


def _marks_entering(self: Any, *args: object) -> None:
    touch(name_of(self), READ)


def _marks_deadline(self: Any, *args: object) -> None:
    """Also whoever is inside: a deadline that has passed cancels them once the step is over."""
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
        # What cancelling does depends on whether the scope is still open, so both ends count.
        "__enter__": _marks_entering,
        CLOSE_SCOPE: _marks_entering,
    },
    trio.Nursery: {
        "start_soon": _marks_spawn,
        "start": _marks_spawn,
        "child_tasks": _marks_self(WRITE),
        CHILD_FINISHED: _marks_child_end,
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
    readers = READING | frozenset(reading)

    def marker(parts: Callable[..., Iterable[Key]] | None) -> Marker:
        def mark(self: object, operation: int, *args: object) -> None:
            mode, name = READ if operation in readers else WRITE, name_of(self)
            if parts is None:
                touch(name, mode)
            else:
                for part in parts(operation, *args):
                    touch((name, part), mode)
            covered.add(getattr(self, number))

        return mark

    _OBSERVED[kind] = {name: marker(parts) for name, parts in operations.items()}
    _MADE_HERE.add(kind)


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
        self._replace(trio.Nursery, JOIN, _joining(getattr(trio.Nursery, JOIN)))
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
        forget_all()


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
        made_by_current(self)
        original(self, *args, **kwargs)

    return made


def _recalculate(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Who is cancelled by it, or no longer is, was touched: its tasks look at that at every checkpoint."""

    def recalculate(self: Any) -> None:
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


def _joining(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def joining(self: Any, error: BaseException | None) -> Any:
        touch(name_of(self), WRITE)
        if error is not None:
            touch(name_of(self.cancel_scope), WRITE)
        result = await original(self, error)
        touch(name_of(self), WRITE)
        return result

    return joining
