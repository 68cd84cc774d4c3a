"""Linearizability: whether concurrent operations can be put in one order that respects time and the specification.

A history is linearizable if its operations can be ordered such that each takes effect at one moment between its call
and its return and each result is what the model allows there. Pending operations may take effect at any later moment,
or never (Herlihy and Wing, TOPLAS 1990).

Operations on independent parts are searched apart (P-compositionality: Horn and Kroening, FORTE 2015), the smallest
part first; the search itself is in `legal_order.py`, and `illegal_part.py` makes small what has no order.

The problem is NP-complete, so the answer may be ``unknown``: when ``timeout`` real seconds are over, or ``limit``
steps of the model, which unlike the former does not depend on the machine, or when ``memory`` is full.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from detrun.checkers.histories import Operation, timeline
from detrun.checkers.illegal_part import least_illegal_part
from detrun.checkers.inconclusive import InconclusiveError
from detrun.checkers.legal_order import MEMORY_BYTES_MAX, Meter, OutOfBudgetError, hashable, legal_order
from detrun.checkers.models import Model
from detrun_scheduler.environment.originals import monotonic as real_seconds
from detrun_scheduler.errors import DetrunError, UsageError

OK, ILLEGAL, UNKNOWN = "ok", "illegal", "unknown"


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
        states: the state of the model before this order and after each of its operations.
        whole: all operations of the partition that has no order, as they were called.
        reason: why the verdict is unknown.
    """

    verdict: str
    operations: int
    orders: dict[Hashable, tuple[Operation, ...]] = field(default_factory=dict)
    partition: Hashable = None
    illegal: tuple[Operation, ...] = ()
    longest: tuple[Operation, ...] = ()
    reason: str = ""
    states: tuple[Any, ...] = ()
    whole: tuple[Operation, ...] = ()

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

    @property
    def stuck(self) -> list[Operation]:
        """Those of the illegal operations that have returned and find no place behind the longest order."""
        done = set(self.longest)
        return [one for one in self.illegal if one not in done and one.returned is not None]

    def __str__(self) -> str:
        where = "" if self.partition is None else f" of {self.partition!r}"
        count = f"{self.operations:,} operation{'' if self.operations == 1 else 's'}"
        if self.verdict == OK:
            return f"linearizable: {count}"
        if self.verdict == UNKNOWN:
            return f"not known to be linearizable{where}: {self.reason} ({count})"
        lines = [f"not linearizable{where}: {len(self.illegal)} of {count} have no legal order"]
        lines += [f"  {line}" for line in timeline(self.illegal).splitlines()]
        rest = ", ".join(f"{one} by {one.process}" for one in self.stuck)
        before = f"after {', '.join(map(str, self.longest))}" if self.longest else "as the first operation"
        lines.append(f"  {before} there is no place left for {rest}")
        return "\n".join(lines)


def linearizable(
    model: Model[Any],
    history: Iterable[Operation],
    *,
    timeout: float | None = 10.0,
    limit: int | None = None,
    memory: int | None = MEMORY_BYTES_MAX,
) -> Linearizability:
    """Whether ``history`` is linearizable with respect to ``model``.

    Args:
        history: a `History`, or operations in any order. While it is recorded, what has not returned is pending.
        timeout: give up after so many real seconds; None for never.
        limit: give up after so many steps of the model; None for never.
        memory: give up before what the search remembers takes more bytes, as far as it can estimate that; 1 GiB by
            default, None for never.

    Raises:
        UsageError: an operation is not of the model, or ``timeout``, ``limit`` or ``memory`` is not positive.
    """
    for name, bound in (("timeout", timeout), ("limit", limit), ("memory", memory)):
        if bound is not None and not bound > 0:
            raise UsageError(f"linearizable: {name}={bound!r} must be positive, or None for no limit")
    operations = sorted(history, key=lambda one: one.called)
    meter = Meter(limit, None if timeout is None else real_seconds() + timeout, memory)
    partitions: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        partitions.setdefault(hashable(model.partition(operation)), []).append(operation)
    result = Linearizability(OK, len(operations))
    # The smallest first: one that takes too long must not hide that another is illegal.
    for key, part in sorted(partitions.items(), key=lambda item: len(item[1])):
        try:
            legal, order, stuck = legal_order(model, part, meter)
        except OutOfBudgetError as error:
            result.verdict, result.partition, result.reason = UNKNOWN, key, str(error)
            break
        if not legal:
            illegal = least_illegal_part(model, part, order, stuck)
            longest = legal_order(model, illegal, Meter(None, None))[1]
            result = Linearizability(ILLEGAL, len(operations), {}, key, tuple(illegal), tuple(longest))
            result.states, result.whole = _states(model, longest), tuple(part)
            return result
        result.orders[key] = tuple(order)
    return result


def _states(model: Model[Any], order: Sequence[Operation]) -> tuple[Any, ...]:
    """Before a legal order, and after each of its operations."""
    states = [model.initial]
    for one in order:
        states.append(model.step(states[-1], one, one.result)[1])
    return tuple(states)
