"""`cost`: a part of the loss, declared where it arises.

The loss of a run is the sum of its costs, plus what the program returns, which may then be None. So the result of a run
with costs is its loss, for `detrun.record` as for every kind of gradient. What a cost adds is its place: gradients of
kind ``"policy"`` multiply the score of a decision only with costs that come after it in the run, and with
``depends_on`` only with those that it may affect (`detrun.gradients.policy.reach`).

A cost is no schedule point and draws nothing: a program with costs takes the steps that it takes without them. Its
digest covers the sum, as it covers every result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import outcome

from detrun.ad.functions import sum as sum_of
from detrun.ad.torch_bridge import is_tensor, number_of
from detrun.ad.value import Value, primal_of
from detrun_scheduler import current
from detrun_scheduler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Cost:
    """One declared part of the loss.

    Attributes:
        value: a number, or in a differentiated run a `Value`.
        name: as declared.
        task: the path of the task that declared it.
        step: in which it did.
        depends_on: patterns of the tasks whose decisions may affect it; None: every task's.
    """

    value: Any
    name: str
    task: str
    step: int
    depends_on: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"{self.name} {primal_of(self.value):g} by {self.task}, step {self.step:,}"


def cost(value: Any, name: str = "cost", *, depends_on: str | Sequence[str] | None = None) -> None:
    """Add ``value`` to the loss of the run, here and now.

    Args:
        value: a finite number, a `Value`, or a tensor with one element; True counts 1.
        name: what reports call it.
        depends_on: the tasks whose draws and effects can affect this cost, by path or by pattern with ``*`` for any
            characters: ``"main/shop[1]*"``. A statement about the program, for less variance: it has to name every
            task that could affect the cost in some run, also by something that it then does *not* do. Tasks that are
            seen to affect it, by messages, wake-ups or objects of detrun and trio, count besides. None: any task.

    Raises:
        UsageError: outside of a run, or another value.
    """
    run = current.require("detrun.cost")
    number = number_of(value) if is_tensor(value) else value
    if not isinstance(number, Value | int | float) or not math.isfinite(primal_of(number)):
        raise UsageError(f"detrun.cost: {name} is {value!r:.80}; a cost is a finite number, or a Value")
    patterns = (depends_on,) if isinstance(depends_on, str) else None if depends_on is None else tuple(depends_on)
    if patterns is not None and not all(isinstance(one, str) for one in patterns):
        raise UsageError(f"detrun.cost: depends_on={depends_on!r:.80} names tasks by their paths, such as 'main/shop*'")
    run.costs.append(Cost(number, name, run.paths.get(run.current, ""), run.step_index, patterns))


def with_costs(costs: Sequence[Cost], ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
    """How a run ended, its loss in place of what the program returned."""
    if not isinstance(ended, outcome.Value):
        return ended
    returned = number_of(ended.value) if is_tensor(ended.value) and ended.value.numel() == 1 else ended.value
    if returned is None:
        returned = 0.0
    if not isinstance(returned, Value | int | float) or isinstance(returned, bool):
        return outcome.Error(
            UsageError(
                f"the program declares costs, whose sum is its loss, and returns {returned!r:.80}; return a number, "
                "which is added, or None"
            )
        )
    return outcome.Value(sum_of([returned, *(one.value for one in costs)]))
