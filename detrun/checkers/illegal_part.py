"""The least part of a history that has no legal order, for the report of a history that is not linearizable.

First the moment is looked for at which no order goes on, then operations are taken out by delta debugging. Everything
counts steps of the model against one budget, so that what is reported does not depend on the machine; when it is used
up, the least part so far is the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from detrun.checkers.ddmin import ddmin
from detrun.checkers.histories import PENDING, Operation
from detrun.checkers.legal_order import Meter, OutOfBudgetError, hashable, legal_order
from detrun.checkers.models import Model

MINIMIZING_STEPS = 2_000_000  # of the model; a count, so that what is reported does not depend on the machine
EXPLAINING_STATES = 500  # a queue has as many as its items have orders; what few operations lead to comes first


def least_illegal_part(model: Model[Any], operations: Sequence[Operation], stuck: int) -> list[Operation]:
    """As few of ``operations``, which have no legal order, as still have none and still explain themselves.

    Dropping a write can make a read illegal that saw it, so that a read alone would be left: illegal, and misleading,
    since it was not what was wrong. So a result that some sequence of operations leads to must stay one to which some
    sequence of those that are left leads.

    Args:
        stuck: the moment of the return that the search for a legal order did not come past.
    """
    meter = Meter(MINIMIZING_STEPS, None)
    kept = list(operations)
    try:
        kept = _last_ones(model, _prefix(kept, stuck), stuck, meter) or _shortest_prefix(model, kept, stuck, meter)
        explained, changing = _explained(model, kept, kept, meter)

        def stays_illegal(dropped: Sequence[Operation]) -> bool:
            nonlocal kept
            gone = set(dropped)
            left = [one for one in kept if one not in gone]
            wanted = [one for one in left if one in explained]
            if not _is_illegal_by_itself(model, left, wanted, meter):
                return False
            kept = left
            return True

        def unchanging() -> list[Operation]:
            return [one for one in kept if one not in changing]

        # What never changes the state goes first: no other result needs it, and there is less to explain afterwards.
        ddmin(unchanging, stays_illegal, first_size=max(len(unchanging()) // 2, 1))
        ddmin(
            lambda: [one for one in kept if one in changing],
            stays_illegal,
            first_size=max((len(kept) - len(unchanging())) // 2, 1),
        )
    except OutOfBudgetError:
        pass  # what is kept has no legal order, only there may be less of it
    return kept


def _is_illegal(model: Model[Any], operations: Sequence[Operation], meter: Meter) -> bool:
    return not legal_order(model, operations, meter)[0]


def _is_illegal_by_itself(
    model: Model[Any], operations: Sequence[Operation], wanted: Sequence[Operation], meter: Meter
) -> bool:
    """Whether they have no legal order, and not because what explains the results of ``wanted`` is not among them."""
    return _is_illegal(model, operations, meter) and len(_explained(model, operations, wanted, meter)[0]) == len(wanted)


def _last_ones(model: Model[Any], operations: list[Operation], stuck: int, meter: Meter) -> list[Operation]:
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


def _shortest_prefix(model: Model[Any], operations: list[Operation], stuck: int, meter: Meter) -> list[Operation]:
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
    model: Model[Any], operations: Sequence[Operation], wanted: Iterable[Operation], meter: Meter
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
    seen = {hashable(model.initial)}
    reached: list[tuple[Any, int]] = [(model.initial, 0)]
    for state, used in reached:  # which grows
        if not open_ones or len(seen) > EXPLAINING_STATES:
            break
        for index, operation in enumerate(operations):
            if used >> index & 1:
                continue
            meter.step()
            legal, after = model.step(state, operation, PENDING)
            key = hashable(after)
            if legal and key != hashable(state):
                changing.add(operation)
                if key not in seen:
                    seen.add(key)
                    reached.append((after, used | 1 << index))
                    arrive(after)
    return explained, changing
