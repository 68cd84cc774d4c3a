"""`Watch`: while it is entered, operations on trio's primitives and on observed classes make marks (`marks.py`).

Cancellation and nurseries are among them; further classes are given to `observe`. Their methods are replaced by ones
that mark their object and do what they did. Watching costs about a microsecond for each operation, and nothing while no
`Watch` is entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import trio

from detrun_scheduler.errors import UsageError
from detrun_scheduler.footprints.footprints import READING, WRITE, Key
from detrun_scheduler.footprints.marks import (
    CHANNEL_READS,
    CHANNEL_WRITES,
    READS,
    WRITES,
    Marker,
    attend,
    attend_to_state,
    forget_all,
    joining_marks,
    marks_child_end,
    marks_deadline,
    marks_entering,
    marks_parts,
    marks_reparking,
    marks_self,
    marks_spawn,
    recalculating,
    wrapped,
)
from detrun_scheduler.footprints.steps import StepReader
from detrun_scheduler.trio_host.channels import NumberedChannelState
from detrun_scheduler.trio_host.ordered import OrderedCancelStatus
from detrun_scheduler.trio_host.private import CHILD_FINISHED, CLOSE_SCOPE, JOIN

_watching = False

_LOCK = {"acquire_nowait": WRITES, "release": WRITES, "locked": READS, "statistics": READS}
_LOT = dict.fromkeys(("park", "unpark", "unpark_all", "break_lot"), WRITES)
# Waiting on a primitive parks on its lot or goes through its `…_nowait`, so these are all that is needed.
_OPERATIONS: dict[type, dict[str, Marker]] = {
    trio.Event: {"set": WRITES, "is_set": READS, "wait": READS, "statistics": READS},
    trio.Lock: _LOCK,
    trio.StrictFIFOLock: _LOCK,
    trio.Semaphore: {"acquire_nowait": WRITES, "release": WRITES, "value": READS, "statistics": READS},
    trio.CapacityLimiter: {
        "acquire_on_behalf_of_nowait": WRITES,
        "release_on_behalf_of": WRITES,
        "total_tokens": WRITES,
        "borrowed_tokens": READS,
        "available_tokens": READS,
        "statistics": READS,
    },
    trio.lowlevel.ParkingLot: {
        **_LOT,
        "repark": marks_reparking,
        "repark_all": marks_reparking,
        "statistics": READS,
        "__len__": READS,
        "__bool__": READS,
    },
    trio.MemorySendChannel: {
        "send_nowait": CHANNEL_WRITES,
        "close": CHANNEL_WRITES,
        "clone": CHANNEL_WRITES,
        "statistics": CHANNEL_READS,
    },
    trio.MemoryReceiveChannel: {
        "receive_nowait": CHANNEL_WRITES,
        "close": CHANNEL_WRITES,
        "clone": CHANNEL_WRITES,
        "statistics": CHANNEL_READS,
    },
    trio.CancelScope: {
        "cancel": WRITES,
        "cancel_called": READS,
        "deadline": marks_deadline,
        "relative_deadline": marks_deadline,
        "shield": WRITES,
        # What cancelling does depends on whether the scope is still open, so both ends count.
        "__enter__": marks_entering,
        CLOSE_SCOPE: marks_entering,
    },
    trio.Nursery: {
        "start_soon": marks_spawn,
        "start": marks_spawn,
        "child_tasks": marks_self(WRITE),
        CHILD_FINISHED: marks_child_end,
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
    _OBSERVED[kind] = {name: marks_parts(parts, number, readers) for name, parts in operations.items()}
    _MADE_HERE.add(kind)


class Watch:
    """While entered, steps have footprints. Not reentrant; one per process, like a run.

    Args:
        with_state: what steps touch of simulated machines is in them, too (`marks.touch_state`).
    """

    __slots__ = ("_restored", "step", "with_state")

    def __init__(self, *, with_state: bool = False) -> None:
        self.with_state = with_state
        self._restored: list[tuple[type, str, Any, bool]] = []
        self.step = StepReader()

    def __enter__(self) -> Watch:
        global _watching
        if _watching:
            raise UsageError("footprints are watched already in this process: campaigns neither nest nor overlap")
        _watching = True
        attend_to_state(self.with_state)
        for kind, name, replacement in wrapped(_OPERATIONS, _OBSERVED, _MADE_HERE):
            self._replace(kind, name, replacement)
        self._replace(OrderedCancelStatus, "recalculate", recalculating(OrderedCancelStatus.recalculate))
        self._replace(trio.Nursery, JOIN, joining_marks(getattr(trio.Nursery, JOIN)))
        return self

    def attend(self, is_read: bool) -> None:
        """Whether the footprints of a run, or of its next steps, are going to be read. If not, nothing is marked."""
        attend(is_read)

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
        attend(True)
        attend_to_state(False)
        forget_all()
