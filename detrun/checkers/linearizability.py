"""Linearizability: whether concurrent operations can be put in one order that respects time and the specification.

A history is linearizable if its operations can be ordered such that each takes effect at one moment between its call
and its return and each result is what the model allows there. Pending operations may take effect at any later moment,
or never (Herlihy and Wing, TOPLAS 1990).

The search goes down from the first moment: at each it takes an operation that was called before every operation not
yet ordered returned. It is the one of Wing and Gong (JPDC 1993), with the memo of Lowe ("Testing for linearizability",
2017): a set of ordered operations with the state they lead to is looked at once. Operations on independent parts are
searched apart (P-compositionality: Horn and Kroening, FORTE 2015). Two reductions of our own, both without loss: a
legal operation which by the model never changes a state comes at once and has no alternatives, because moving it to the
front of any order changes nothing after it; and a pending operation that would change nothing is left for later.

The question is NP-complete, so the answer may be ``unknown``: when ``timeout`` real seconds are over, or ``limit``
steps of the model, which unlike the former does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic as real_seconds  # imported by name: inside a run `time.monotonic` is virtual
from typing import Any

from detrun.checkers.histories import PENDING, Operation, timeline
from detrun.checkers.inconclusive import InconclusiveError
from detrun.checkers.models import Model
from detrun_recorder.canonical import canonical
from detrun_scheduler.errors import DetrunError, UsageError

OK, ILLEGAL, UNKNOWN = "ok", "illegal", "unknown"
LOOK_AT_CLOCK_EVERY = 256  # steps of the model
MINIMIZING_STEPS = 2_000_000  # of the model; a count, so that what is reported does not depend on the machine
EXPLAINING_STATES = 500  # a queue has as many as its items have orders; what few operations lead to comes first


class NotLinearizableError(DetrunError, AssertionError):
    """A history has no legal order; the smallest part of it that was found to have none is in ``linearizability``."""

    def __init__(self, linearizability: Linearizability) -> None:
        super().__init__(str(linearizability))
        self.linearizability = linearizability


@dataclass(slots=True)
class Linearizability:
    """What `linearizable` found; true only if the verdict is ``"ok"``.

    Attributes:
        verdict: ``"ok"``, ``"illegal"`` or ``"unknown"``.
        operations: how many were looked at.
        orders: if ok, a legal order of the operations of each partition; pending ones that took no effect are left out.
        partition: if illegal, the one that has no order; if unknown, the first that was given up.
        illegal: operations of this partition which together have no legal order, as few as were found.
        longest: the longest legal order of some of them that the search came to.
        reason: why the verdict is unknown.
    """

    verdict: str
    operations: int
    orders: dict[Hashable, tuple[Operation, ...]] = field(default_factory=dict)
    partition: Hashable = None
    illegal: tuple[Operation, ...] = ()
    longest: tuple[Operation, ...] = ()
    reason: str = ""

    def __bool__(self) -> bool:
        return self.verdict == OK

    def raise_on_failure(self) -> Linearizability:
        """Return the result if it is ok.

        Raises:
            NotLinearizableError: the verdict is illegal.
            InconclusiveError: it is unknown.
        """
        if self.verdict == ILLEGAL:
            raise NotLinearizableError(self)
        if self.verdict == UNKNOWN:
            raise InconclusiveError(str(self))
        return self

    def __str__(self) -> str:
        where = "" if self.partition is None else f" of {self.partition!r}"
        count = f"{self.operations:,} operation{'' if self.operations == 1 else 's'}"
        if self.verdict == OK:
            return f"linearizable: {count}"
        if self.verdict == UNKNOWN:
            return f"not known to be linearizable{where}: {self.reason} ({count})"
        lines = [f"not linearizable{where}: {len(self.illegal)} of {count} have no legal order"]
        lines += [f"  {line}" for line in timeline(self.illegal).splitlines()]
        done = set(self.longest)
        rest = ", ".join(f"{one} by {one.process}" for one in self.illegal if one not in done and one.returned)
        before = f"after {', '.join(map(str, self.longest))}" if self.longest else "as the first operation"
        lines.append(f"  {before} there is no place left for {rest}")
        return "\n".join(lines)


def linearizable(
    model: Model[Any],
    history: Iterable[Operation],
    *,
    timeout: float | None = 10.0,
    limit: int | None = None,
) -> Linearizability:
    """Whether ``history`` is linearizable with respect to ``model``.

    Args:
        history: a `History`, or operations in any order. While it is recorded, what has not returned is pending.
        timeout: give up after so many real seconds; None for never.
        limit: give up after so many steps of the model; None for never.

    Raises:
        UsageError: an operation is not of the model, or ``timeout`` or ``limit`` is not positive.
    """
    for name, bound in (("timeout", timeout), ("limit", limit)):
        if bound is not None and not bound > 0:
            raise UsageError(f"linearizable: {name}={bound!r} must be positive, or None for no limit")
    operations = sorted(history, key=lambda one: one.called)
    meter = _Meter(limit, None if timeout is None else real_seconds() + timeout)
    partitions: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        partitions.setdefault(_hashable(model.partition(operation)), []).append(operation)
    result = Linearizability(OK, len(operations))
    # The smallest first: one that takes too long must not hide that another is illegal.
    for key, part in sorted(partitions.items(), key=lambda item: len(item[1])):
        try:
            legal, order, stuck = _search(model, part, meter)
        except _OutOfBudgetError as error:
            result.verdict, result.partition, result.reason = UNKNOWN, key, str(error)
            break
        if not legal:
            illegal = _minimal(model, part, stuck)
            longest = _search(model, illegal, _Meter(None, None))[1]
            return Linearizability(ILLEGAL, len(operations), {}, key, tuple(illegal), tuple(longest))
        result.orders[key] = tuple(order)
    return result


class _OutOfBudgetError(Exception):
    """The search was given up."""


class _Meter:
    """Counts steps of the model against a limit and the clock."""

    __slots__ = ("deadline", "limit", "steps")

    def __init__(self, limit: int | None, deadline: float | None) -> None:
        self.limit = limit
        self.deadline = deadline
        self.steps = 0

    def step(self) -> None:
        """Count one."""
        self.steps += 1
        if self.limit is not None and self.steps > self.limit:
            raise _OutOfBudgetError(f"the limit of {self.limit:,} steps of the model was reached")
        if self.deadline is not None and self.steps % LOOK_AT_CLOCK_EVERY == 0 and real_seconds() > self.deadline:
            raise _OutOfBudgetError(f"the time was over after {self.steps:,} steps of the model")


def _hashable(value: Any) -> Hashable:
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
        self.after = [0] * (2 * len(operations) + 1)
        self.before = [0] * (2 * len(operations) + 1)
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


def _search(model: Model[Any], operations: Sequence[Operation], meter: _Meter) -> tuple[bool, list[Operation], int]:
    """Whether there is a legal order; this order, or the longest legal beginning of one that was found; and the moment
    of the return that no such beginning came past.
    """
    entries = _Entries(operations)
    missing = sum(one.returned is not None for one in operations)  # returned, and not ordered
    state: Any = model.initial
    ordered = 0  # bit i: operation i is in `order`
    seen: set[tuple[int, Hashable]] = set()
    order: list[int] = []
    longest: list[int] = []
    # For each operation in `order`: the state before it, and what else could have come in its place.
    path: list[tuple[Any, list[tuple[int, Any]]]] = []
    while missing:
        alternatives = _next_operations(model, operations, entries, state, meter)
        while True:
            while alternatives:
                index, after = alternatives.pop()
                configuration = (ordered | 1 << index, _hashable(after))
                if configuration not in seen:
                    break
            else:
                if not path:
                    return False, [operations[i] for i in longest], entries.furthest
                index = order.pop()
                entries.put_back(index)
                ordered ^= 1 << index
                missing += operations[index].returned is not None
                state, alternatives = path.pop()
                continue
            break
        seen.add(configuration)
        entries.lift(index)
        ordered |= 1 << index
        missing -= operations[index].returned is not None
        order.append(index)
        path.append((state, alternatives))
        state = after
        if len(order) > len(longest):
            longest = order[:] if missing else order
    return True, [operations[i] for i in order], entries.furthest


def _next_operations(
    model: Model[Any], operations: Sequence[Operation], entries: _Entries, state: Any, meter: _Meter
) -> list[tuple[int, Any]]:
    """What may come next in ``state``, with the state after it; the first to try comes last."""
    before = _hashable(state)
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
        if not pending or before != _hashable(after):
            found.append((index, after))
    # Tried from the end: in the order of their calls, pending ones last, since they need not have happened.
    found.reverse()
    found.sort(key=lambda item: operations[item[0]].returned is not None)
    return found


# The smallest illegal part of a history.


def _minimal(model: Model[Any], operations: Sequence[Operation], stuck: int) -> list[Operation]:
    """As few of ``operations``, which have no legal order, as still have none and still explain themselves.

    Dropping a write can make a read illegal that saw it, so that a read alone would be left: illegal, and misleading,
    since it was not what was wrong. So a result that some sequence of operations leads to must stay one to which some
    sequence of those that are left leads.

    Args:
        stuck: the moment of the return that the search for a legal order did not come past.
    """
    meter = _Meter(MINIMIZING_STEPS, None)
    kept = list(operations)
    try:
        kept = _last_ones(model, _prefix(kept, stuck), stuck, meter) or _shortest_prefix(model, kept, stuck, meter)
        explained, changing = _explained(model, kept, kept, meter)
        # What never changes the state goes first: no other result needs it, and there is less to explain afterwards.
        for candidates in ([one for one in kept if one not in changing], [one for one in kept if one in changing]):
            for dropped in _pieces(candidates):
                left = [one for one in kept if one not in dropped]
                wanted = [one for one in left if one in explained]
                if _is_illegal_by_itself(model, left, wanted, meter):
                    kept = left
                    candidates[:] = [one for one in candidates if one not in dropped]
    except _OutOfBudgetError:
        pass  # what is kept has no legal order, only there may be less of it
    return kept


def _pieces(candidates: list[Operation]) -> Iterator[set[Operation]]:
    """Halves, quarters, … and single ones of a list from which whoever iterates takes pieces that it can do without."""
    size = max(len(candidates) // 2, 1)
    while candidates:
        start = 0
        while start < len(candidates):
            before = len(candidates)
            yield set(candidates[start : start + size])
            if len(candidates) == before:
                start += size
        if size == 1:
            return
        size //= 2


def _is_illegal(model: Model[Any], operations: Sequence[Operation], meter: _Meter) -> bool:
    return not _search(model, operations, meter)[0]


def _is_illegal_by_itself(
    model: Model[Any], operations: Sequence[Operation], wanted: Sequence[Operation], meter: _Meter
) -> bool:
    """Whether they have no legal order, and not because what explains the results of ``wanted`` is not among them."""
    return _is_illegal(model, operations, meter) and len(_explained(model, operations, wanted, meter)[0]) == len(wanted)


def _last_ones(model: Model[Any], operations: list[Operation], stuck: int, meter: _Meter) -> list[Operation]:
    """As few as possible of those called last, if they alone have no legal order; empty if all are needed.

    With many operations at a time, to see that a long history has no order takes as long as all that follows; and what
    is wrong is rarely far from where the search gets stuck.
    """
    explained = _explained(model, operations, operations, meter)[0]
    nearest = sorted(operations, key=lambda one: (one.returned == stuck, one.called))
    count = 1
    while count < len(operations):
        chosen = set(nearest[-count:])
        left = [one for one in operations if one in chosen]
        if _is_illegal_by_itself(model, left, [one for one in left if one in explained], meter):
            return left
        count *= 2
    return []


def _shortest_prefix(model: Model[Any], operations: list[Operation], stuck: int, meter: _Meter) -> list[Operation]:
    """The history up to the first return at which it has no legal order; what goes on at that moment is pending.

    Not before ``stuck``, since the order that came that far is one of what had returned; and as a rule right there. To
    see that there is no order takes long, so what is looked at first is the least of which that may be true.
    """
    returns = sorted(one.returned for one in operations if one.returned is not None and one.returned >= stuck)
    low, step = 0, 1
    while low < len(returns) - 1 and not _is_illegal(model, _prefix(operations, returns[low]), meter):
        low, step = min(low + step, len(returns) - 1), 2 * step
    high, low = low, max(low - step // 2, 0) + 1
    while low < high:
        middle = (low + high) // 2
        if _is_illegal(model, _prefix(operations, returns[middle]), meter):
            high = middle
        else:
            low = middle + 1
    return _prefix(operations, returns[high])


def _prefix(operations: Iterable[Operation], end: int) -> list[Operation]:
    return [
        one if one.returned is None or one.returned <= end else _forgotten(one)
        for one in operations
        if one.called <= end
    ]


def _forgotten(operation: Operation) -> Operation:
    """``operation`` as it was before it returned."""
    return Operation(
        operation.name, operation.arguments, operation.process, operation.called, step_called=operation.step_called
    )


def _explained(
    model: Model[Any], operations: Sequence[Operation], wanted: Iterable[Operation], meter: _Meter
) -> tuple[set[Operation], set[Operation]]:
    """Which of ``wanted`` have a result that is legal after some sequence of ``operations``, whatever their times; and
    operations that were seen to change the state. Each state is looked at once, by the first sequence that leads to it.
    """
    open_ones = dict.fromkeys(wanted)
    explained: set[Operation] = set()
    changing: set[Operation] = set()

    def arrive(state: Any) -> None:
        for operation in list(open_ones):
            meter.step()
            if model.step(state, operation, operation.result)[0]:
                explained.add(operation)
                del open_ones[operation]

    arrive(model.initial)
    seen = {_hashable(model.initial)}
    reached: list[tuple[Any, int]] = [(model.initial, 0)]
    for state, used in reached:  # which grows
        if not open_ones or len(seen) > EXPLAINING_STATES:
            break
        for index, operation in enumerate(operations):
            if used >> index & 1:
                continue
            meter.step()
            legal, after = model.step(state, operation, PENDING)
            key = _hashable(after)
            if legal and key != _hashable(state):
                changing.add(operation)
                if key not in seen:
                    seen.add(key)
                    reached.append((after, used | 1 << index))
                    arrive(after)
    return explained, changing
