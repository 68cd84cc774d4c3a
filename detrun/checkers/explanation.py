"""Which results of operations some sequence of other operations explains, whatever the times of either.

A read that returned 2 is explained by ``write(2)``, even if that came too late for it; where nothing wrote a 2, the
read is wrong by itself. States are looked at breadth first, each once, and only so many of them: few operations explain
a result, if any do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from detrun.checkers.histories import PENDING, Operation
from detrun.checkers.legal_order import Meter, hashable
from detrun.checkers.models import Model

EXPLAINING_STATES = 500  # a queue has as many as its items have orders; what few operations lead to comes first
EXPLAINING_STEPS = 200_000  # of the model; what is not explained by then counts as wrong by itself


def explained_by(
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

    last = meter.steps + EXPLAINING_STEPS
    arrive(model.initial)
    seen = {hashable(model.initial)}
    reached: list[tuple[Any, int]] = [(model.initial, 0)]
    for state, used in reached:  # which grows
        if not open_ones or len(seen) > EXPLAINING_STATES or meter.steps > last:
            break
        for index, operation in enumerate(operations):
            if used >> index & 1 or meter.steps > last:
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
