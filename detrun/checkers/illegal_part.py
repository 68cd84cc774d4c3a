"""The least part of a history that has no legal order, for the report of a history that is not linearizable.

First the moment is looked for at which no order goes on, and what `before_the_moment.py` finds to be wrong near it.
Where that is not wrong by itself, the last operations before that moment are, or all. From these operations are taken
out by delta debugging. Everything counts steps of the model against one budget, so that what is reported does not
depend on the machine; when it is used up, the least part so far is the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detrun.checkers.before_the_moment import near_the_moment
from detrun.checkers.ddmin import ddmin
from detrun.checkers.explanation import Explained
from detrun.checkers.histories import Operation, until
from detrun.checkers.legal_order import Meter, OutOfBudgetError, legal_order
from detrun.checkers.models import Model

MINIMIZING_STEPS = 2_000_000  # of the model; a count, so that what is reported does not depend on the machine


def least_illegal_part(
    model: Model[Any], operations: Sequence[Operation], longest: Sequence[Operation], stuck: int
) -> list[Operation]:
    """As few of ``operations``, which have no legal order, as still have none and still explain themselves.

    Dropping a write can make a read illegal that saw it, so that a read alone would be left: illegal, and misleading,
    since it was not what was wrong. So a result that some sequence of operations leads to must stay one to which some
    sequence of those that are left leads.

    Args:
        longest: the longest legal beginning of an order that the search came to.
        stuck: the moment of the return that it did not come past.
    """
    meter = Meter(MINIMIZING_STEPS, None)
    kept = until(operations, stuck)
    try:
        near = near_the_moment(model, kept, longest)
        kept = near or _last_ones(model, kept, stuck, meter) or _shortest_prefix(model, list(operations), stuck, meter)
        explained = Explained.of(model, kept, meter)

        def stays_illegal(dropped: Sequence[Operation]) -> bool:
            nonlocal kept
            gone = set(dropped)
            left = [one for one in kept if one not in gone]
            if not _is_illegal_by_itself(model, left, explained, meter):
                return False
            kept = left
            return True

        def unchanging() -> list[Operation]:
            return [one for one in kept if one not in explained.changing]

        # What never changes the state goes first: no other result needs it, and there is less to explain afterwards.
        ddmin(unchanging, stays_illegal, first_size=max(len(unchanging()) // 2, 1))
        ddmin(
            lambda: [one for one in kept if one in explained.changing],
            stays_illegal,
            first_size=max((len(kept) - len(unchanging())) // 2, 1),
            until_minimal=True,  # what explained another goes once that has gone
        )
    except OutOfBudgetError:
        pass  # what is kept has no legal order, only there may be less of it
    return kept


def _is_illegal(model: Model[Any], operations: Sequence[Operation], meter: Meter) -> bool:
    return not legal_order(model, operations, meter)[0]


def _is_illegal_by_itself(
    model: Model[Any], operations: Sequence[Operation], explained: Explained, meter: Meter
) -> bool:
    """Whether they have no legal order, and not because what explains their results is not among them."""
    return _is_illegal(model, operations, meter) and explained.holds(model, operations, meter)


def _last_ones(model: Model[Any], operations: list[Operation], stuck: int, meter: Meter) -> list[Operation]:
    """As few as possible of those called last, if they alone have no legal order; empty if all are needed.

    With many operations at a time, to see that a long history has no order takes as long as all that follows; and what
    is wrong is rarely far from where the search gets stuck.
    """
    explained = Explained.of(model, operations, meter)
    nearest = sorted(operations, key=lambda one: (one.returned == stuck, one.called))
    count = 1
    while count < len(operations):
        chosen = set(nearest[-count:])
        left = [one for one in operations if one in chosen]
        if _is_illegal_by_itself(model, left, explained, meter):
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
    while low < len(returns) - 1 and not _is_illegal(model, until(operations, returns[low]), meter):
        low, step = min(low + step, len(returns) - 1), 2 * step
    high, low = low, max(low - step // 2, 0) + 1
    while low < high:
        middle = (low + high) // 2
        if _is_illegal(model, until(operations, returns[middle]), meter):
            high = middle
        else:
            low = middle + 1
    return until(operations, returns[high])
