"""Which results of operations some sequence of other operations explains, whatever the times of either.

A read that returned 2 is explained by ``write(2)``, even if that came too late for it; where nothing wrote a 2, the
read is wrong by itself. No operation explains itself: of an add that returned 2, the 1 that it found was the work of
another. States are looked at breadth first, each once, and only so many of them: few operations explain a result, if
any do.

A sequence in which each operation returns what it did return explains most. Where an early result is wrong, none leads
to those after it, which are explained by a sequence of any results then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from detrun.checkers.histories import PENDING, Operation
from detrun.checkers.legal_order import Meter, hashable
from detrun.checkers.models import Model

EXPLAINING_STATES = 500  # a queue has as many as its items have orders; what few operations lead to comes first
EXPLAINING_STEPS = 200_000  # of the model; what is not explained by then counts as wrong by itself


@dataclass(frozen=True, slots=True)
class Explained:
    """Operations whose results some sequence of operations explains.

    Attributes:
        as_returned: by a sequence of the results that were returned.
        otherwise: only by one of other results.
        changing: operations that were seen to change the state.
    """

    as_returned: frozenset[Operation]
    otherwise: frozenset[Operation]
    changing: frozenset[Operation]

    @classmethod
    def of(cls, model: Model[Any], operations: Sequence[Operation], meter: Meter) -> Explained:
        """Those of the operations that the others explain."""
        as_returned, changing = explained_by(model, operations, operations, meter)
        left = [one for one in operations if one not in as_returned]
        otherwise, changing_too = explained_by(model, operations, left, meter, as_returned=False)
        return cls(frozenset(as_returned), frozenset(otherwise), frozenset(changing | changing_too))

    def holds(self, model: Model[Any], left: Sequence[Operation], meter: Meter) -> bool:
        """Whether each of the operations that are left is explained by them as it was by all."""
        return all(
            len(explained_by(model, left, wanted, meter, as_returned=as_returned)[0]) == len(wanted)
            for explained, as_returned in ((self.as_returned, True), (self.otherwise, False))
            if (wanted := [one for one in left if one in explained])
        )


def explained_by(
    model: Model[Any],
    operations: Sequence[Operation],
    wanted: Collection[Operation],
    meter: Meter,
    *,
    as_returned: bool = True,
) -> tuple[set[Operation], set[Operation]]:
    """Which of ``wanted`` have a result that is legal after some sequence of others of ``operations``, whatever their
    times; and operations that were seen to change the state.

    Args:
        as_returned: whether the results of the sequence are those that were returned, or any.
    """
    open_ones = dict.fromkeys(wanted)
    explained: set[Operation] = set()
    changing: set[Operation] = set()
    bits = {operation: 1 << index for index, operation in enumerate(operations)}
    themselves: dict[Any, list[Operation]] = {}  # by state: what it allows, and what was needed to come to it

    def arrive(state: Any, key: Any, used: int) -> None:
        for operation in list(open_ones):
            meter.step()
            if not model.step(state, operation, operation.result)[0]:
                continue
            if used & bits.get(operation, 0):
                themselves.setdefault(key, []).append(operation)
            else:
                explained.add(operation)
                del open_ones[operation]

    def arrive_again(key: Any, used: int) -> None:
        for operation in themselves.get(key, ()):
            if operation in open_ones and not used & bits[operation]:
                explained.add(operation)
                del open_ones[operation]

    last = meter.steps + EXPLAINING_STEPS
    arrive(model.initial, hashable(model.initial), 0)
    seen = {hashable(model.initial)}
    reached: list[tuple[Any, int]] = [(model.initial, 0)]
    for state, used in reached:  # which grows
        if not open_ones or len(seen) > EXPLAINING_STATES or meter.steps > last:
            break
        for index, operation in enumerate(operations):
            if used >> index & 1 or meter.steps > last:
                continue
            meter.step()
            legal, after = model.step(state, operation, operation.result if as_returned else PENDING)
            key = hashable(after)
            if legal and key != hashable(state):
                changing.add(operation)
                so_far = used | 1 << index
                if key in seen:
                    arrive_again(key, so_far)
                else:
                    seen.add(key)
                    reached.append((after, so_far))
                    arrive(after, key, so_far)
    return explained, changing
