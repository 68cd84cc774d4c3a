"""The search for a legal order of concurrent operations, on which linearizability is decided.

The search goes down from the first moment: at each it takes an operation that was called before every operation not
yet ordered returned. It is the one of Wing and Gong (JPDC 1993), with the memo of Lowe ("Testing for linearizability",
2017): a set of ordered operations with the state they lead to is looked at once. Two reductions of our own, both
without loss: a legal operation which by the model never changes a state comes at once and has no alternatives, because
moving it to the front of any order changes nothing after it; and a pending operation that would change nothing is left
for later.

What is ordered is kept as a number of a few bits (`_Progress`), and the longest order by its difference to the present
one, so that time and memory for a history without conflict grow as its length. The problem is NP-complete, so a `Meter`
counts the steps of the model and the memory, and gives up at a limit.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from sys import getsizeof
from typing import Any

from detrun.checkers.histories import PENDING, Operation
from detrun.checkers.models import Model
from detrun_recorder.canonical import canonical
from detrun_scheduler.environment.originals import monotonic as real_seconds

LOOK_AT_CLOCK_EVERY = 256  # steps of the model
MEMORY_BYTES_MAX = 1 << 30  # of what a search remembers, unless it is told otherwise
CONFIGURATION_BYTES = 180  # of one remembered, beside its two parts: measured with tracemalloc, CPython 3.11
INITIAL: Any = object()  # the state of the model before the first operation


class OutOfBudgetError(Exception):
    """The search was given up."""


class Meter:
    """Counts steps of the model against a limit and the clock, and what is remembered against the memory."""

    __slots__ = ("bytes", "deadline", "limit", "memory", "steps")

    def __init__(self, limit: int | None, deadline: float | None, memory: int | None = MEMORY_BYTES_MAX) -> None:
        self.limit = limit
        self.deadline = deadline
        self.memory = memory
        self.steps = 0
        self.bytes = 0

    def step(self) -> None:
        """Count one."""
        self.steps += 1
        if self.limit is not None and self.steps > self.limit:
            raise OutOfBudgetError(f"the limit of {self.limit:,} steps of the model was reached")
        if self.deadline is not None and self.steps % LOOK_AT_CLOCK_EVERY == 0 and real_seconds() > self.deadline:
            raise OutOfBudgetError(f"the time was over after {self.steps:,} steps of the model")

    def remember(self, progress: int, state: Hashable) -> None:
        """Count what it takes to remember that a state was reached; an estimate, since states may share parts."""
        self.bytes += CONFIGURATION_BYTES + getsizeof(progress) + getsizeof(state)
        if self.memory is not None and self.bytes > self.memory:
            raise OutOfBudgetError(
                f"after {self.steps:,} steps of the model, what the search remembers would take more than "
                f"{self.memory >> 10:,} KiB; give it more memory, or check shorter histories or fewer clients at a time"
            )

    def forget(self) -> None:
        """Nothing is remembered: a search begins."""
        self.bytes = 0


def hashable(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:
        return canonical(value)
    return value  # type: ignore[no-any-return]


class _Entries:
    """Calls and returns of the operations not yet ordered, as a linked list in the order of time."""

    __slots__ = ("after", "before", "furthest", "operations")

    def __init__(self, operations: Sequence[Operation]) -> None:
        # Operation i is entry 2i + 1 where it is called and 2i + 2 where it returns; 0 is the head, and what follows
        # the last entry. Calls and returns of one history have distinct positions.
        self.operations = operations
        self.furthest = 0  # the latest moment of a return that an operation not yet ordered was looked for before
        moments = [(one.called, 2 * i + 1) for i, one in enumerate(operations)]
        moments += [(one.returned, 2 * i + 2) for i, one in enumerate(operations) if one.returned is not None]
        moments.sort()
        places = 2 * len(operations) + 1
        self.after, self.before = [0] * places, [0] * places
        last = 0
        for _, entry in moments:
            self.after[last], self.before[entry] = entry, last
            last = entry
        self.after[last], self.before[0] = 0, last

    def lift(self, index: int) -> None:
        """Take an operation out."""
        after, before = self.after, self.before
        for entry in self._of(index):
            after[before[entry]], before[after[entry]] = after[entry], before[entry]

    def put_back(self, index: int) -> None:
        """Undo the latest `lift` that was not undone."""
        after, before = self.after, self.before
        for entry in reversed(self._of(index)):
            after[before[entry]] = before[after[entry]] = entry

    def _of(self, index: int) -> tuple[int, ...]:
        call = 2 * index + 1
        return (call,) if self.operations[index].returned is None else (call, call + 1)

    def first(self) -> list[int]:
        """The operations that were called before any of those here returned."""
        found = []
        entry = self.after[0]
        while entry & 1:
            found.append(entry >> 1)
            entry = self.after[entry]
        if entry:
            self.furthest = max(self.furthest, self.operations[(entry >> 1) - 1].returned or 0)
        return found


class _Progress:
    """What is ordered, as one small number: how many returns in a row, and which of the calls that are open there.

    Let ``R`` be the first return whose operation is not ordered. Every operation that returned before ``R`` is ordered,
    none called after ``R`` is, and the others are open at ``R``. Operations that are open at one moment have *lanes* of
    their own, so that a bit for each lane tells which of those are ordered. So the number has as many bits as there
    are operations at a time, and pending ones, whatever the length of the history.
    """

    __slots__ = ("bits", "by_return", "lanes", "whole")

    def __init__(self, operations: Sequence[Operation]) -> None:
        moments = [(one.called, i, False) for i, one in enumerate(operations)]
        moments += [(one.returned, i, True) for i, one in enumerate(operations) if one.returned is not None]
        moments.sort()
        self.by_return = [i for _, i, returns in moments if returns]
        self.lanes = [0] * len(operations)
        self.bits = 0
        free: list[int] = []
        for _, index, returns in moments:
            if returns:
                free.append(self.lanes[index])
            elif free:
                self.lanes[index] = free.pop()
            else:
                self.lanes[index] = self.bits
                self.bits += 1
        self.whole = len(self.by_return) << self.bits  # and above: all that returned is ordered

    def with_ordered(self, progress: int, index: int) -> int:
        """``progress`` once operation ``index`` is ordered, too."""
        bits, by_return, lanes = self.bits, self.by_return, self.lanes
        progress |= 1 << lanes[index]
        count = progress >> bits
        while count < len(by_return) and progress >> lanes[by_return[count]] & 1:
            progress += (1 << bits) - (1 << lanes[by_return[count]])
            count += 1
        return progress


def legal_order(
    model: Model[Any], operations: Sequence[Operation], meter: Meter, state: Any = INITIAL
) -> tuple[bool, list[Operation], int]:
    """Whether there is a legal order; this order, or the longest legal beginning of one that was found; and the moment
    of the return that no such beginning came past.

    Args:
        state: before the first operation; that of the model by default.
    """
    if state is INITIAL:
        state = model.initial
    meter.forget()
    entries = _Entries(operations)
    measure = _Progress(operations)
    progress, whole = 0, measure.whole
    seen: set[tuple[int, Hashable]] = set()
    order: list[int] = []
    longest: list[int] = []
    common = 0  # how many operations ``order`` and ``longest`` begin with alike
    # For each operation in `order`: what there was before it, and what else could have come in its place.
    path: list[tuple[Any, int, list[tuple[int, Any]]]] = []
    while progress < whole:
        alternatives = _next_operations(model, operations, entries, state, meter)
        while True:
            while alternatives:
                index, after = alternatives.pop()
                further, key = measure.with_ordered(progress, index), hashable(after)
                if (further, key) not in seen:
                    break
            else:
                if not path:
                    return False, [operations[i] for i in longest], entries.furthest
                entries.put_back(order.pop())
                common = min(common, len(order))
                state, progress, alternatives = path.pop()
                continue
            break
        seen.add((further, key))
        meter.remember(further, key)
        entries.lift(index)
        order.append(index)
        path.append((state, progress, alternatives))
        state, progress = after, further
        if len(order) > len(longest):
            longest[common:] = order[common:]
            common = len(order)
    return True, [operations[i] for i in order], entries.furthest


def _next_operations(
    model: Model[Any], operations: Sequence[Operation], entries: _Entries, state: Any, meter: Meter
) -> list[tuple[int, Any]]:
    """What may come next in ``state``, with the state after it; the first to try comes last."""
    before = hashable(state)
    observers = getattr(model, "observers", ())
    found: list[tuple[int, Any]] = []
    for index in entries.first():
        operation = operations[index]
        meter.step()
        pending = operation.returned is None
        legal, after = model.step(state, operation, PENDING if pending else operation.result)
        if not legal:
            continue
        if not pending and operation.name in observers:
            return [(index, after)]
        # Only observers may go first whenever they are legal: write(1) leaves a 1 as it is, but after a write(0) that
        # goes on at the same time it is what a later read() → 1 needs.
        if not pending or before != hashable(after):
            found.append((index, after))
    # Tried from the end: in the order of their calls, pending ones last, since they need not have happened.
    found.reverse()
    found.sort(key=lambda item: operations[item[0]].returned is not None)
    return found
