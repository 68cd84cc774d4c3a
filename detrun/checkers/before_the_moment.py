"""What is wrong near the moment at which no order goes on, when all that came long before is one state.

The longest legal order that the search found is cut: the operations before the cut lead to a state, and few of them
lead to it as well. The others are the *window*. Where the window has no legal order from that state, those few and the
window usually have none either. A result in the window that operations before the cut explain needs these, too. The
window doubles until what comes together is wrong by itself; each size costs about one pass over the history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from detrun.checkers.ddmin import ddmin
from detrun.checkers.explanation import explained_by
from detrun.checkers.histories import Operation
from detrun.checkers.legal_order import Meter, OutOfBudgetError, hashable, legal_order
from detrun.checkers.models import Model

WINDOW_FIRST = 8  # operations before the end of the longest order
OPERATIONS_MIN = 100  # fewer are looked at all together
LOOKING_STEPS = 1_000_000  # of the model


def near_the_moment(
    model: Model[Any], operations: Sequence[Operation], longest: Sequence[Operation]
) -> list[Operation]:
    """A part of ``operations`` that has no legal order and explains itself; empty if none was found near the moment.

    Args:
        operations: which have no legal order, as they were at the moment that the search did not come past.
        longest: the longest legal beginning of an order that was found, of the same calls. None of them came after the
            moment: an operation is ordered only where it was called before the first return that is not.
    """
    if len(operations) < OPERATIONS_MIN:
        return []
    try:
        return _near_the_moment(model, operations, longest, Meter(LOOKING_STEPS, None))
    except OutOfBudgetError:
        return []


def _near_the_moment(
    model: Model[Any], operations: Sequence[Operation], longest: Sequence[Operation], meter: Meter
) -> list[Operation]:
    now = {one.called: one for one in operations}
    order = [now[one.called] for one in longest]
    states = _states(model, order, meter)
    size = WINDOW_FIRST
    while size < len(order):
        cut = len(order) - size
        before = set(order[:cut])
        window = [one for one in operations if one not in before]
        if not legal_order(model, window, meter, states[cut])[0]:
            few = _fewest(model, order[:cut], partial(_is_state, hashable(states[cut])), meter)
            found = _explaining_itself(model, order, states, window, few, meter)
            if len(found) < len(operations) and not legal_order(model, found, meter)[0]:
                return found
        size *= 2
    return []


def _is_state(wanted: object, state: object) -> bool:
    return hashable(state) == wanted


def _states(model: Model[Any], order: Sequence[Operation], meter: Meter) -> list[Any]:
    """The state before each operation of a legal order, and after the last."""
    states = [model.initial]
    for one in order:
        meter.step()
        states.append(model.step(states[-1], one, one.result)[1])
    return states


def _fewest(
    model: Model[Any], order: Sequence[Operation], is_wanted: Callable[[Any], bool], meter: Meter
) -> list[Operation]:
    """As few of a legal order as are legal in it, and lead to a state that is wanted, as all of them do."""
    kept = list(order)

    def still_leads_there(dropped: Sequence[Operation]) -> bool:
        nonlocal kept
        gone = set(dropped)
        left = [one for one in kept if one not in gone]
        state = model.initial
        for one in left:
            meter.step()
            legal, state = model.step(state, one, one.result)
            if not legal:
                return False
        if not is_wanted(state):
            return False
        kept = left
        return True

    ddmin(lambda: kept, still_leads_there, first_size=len(kept))
    return kept


def _explaining_itself(
    model: Model[Any],
    order: Sequence[Operation],
    states: Sequence[Any],
    window: Sequence[Operation],
    few: Sequence[Operation],
    meter: Meter,
) -> list[Operation]:
    """``few``, which explain themselves, the ``window``, and what explains the results of the window."""
    taken = {*few, *window}

    def in_time() -> list[Operation]:
        return sorted(taken, key=lambda one: one.called)

    open_ones = set(window) - explained_by(model, in_time(), window, meter)[0]
    for one in sorted(open_ones, key=lambda one: one.called):

        def allows(state: Any, one: Operation = one) -> bool:
            meter.step()
            return model.step(state, one, one.result)[0]

        # The latest such state: what led to it is most likely what was there before.
        at = next((at for at in reversed(range(len(states))) if allows(states[at])), None)
        if at is not None:
            taken.update(_fewest(model, order[:at], allows, meter))
    return in_time()
