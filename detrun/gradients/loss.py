"""The loss: the one number that a differentiated program returns."""

from __future__ import annotations

from typing import Any

import outcome

from detrun.ad.torch_bridge import is_tensor, number_of
from detrun.ad.value import Value
from detrun.execution.program import Main
from detrun_scheduler.errors import NotDifferentiableError


def loss_of(main: Main, ended: outcome.Outcome[Any]) -> Value | float:
    """The number that the program returned; raises what it raised.

    Raises:
        NotDifferentiableError: it returned something else.
    """
    loss = ended.unwrap()
    if is_tensor(loss) and loss.numel() == 1:
        return number_of(loss)
    if isinstance(loss, Value) or (isinstance(loss, int | float) and not isinstance(loss, bool)):
        return loss
    name = getattr(main, "__qualname__", repr(main))
    if loss is None:
        raise NotDifferentiableError(
            f"{name} returned None and declared no cost; to be differentiated it must return one number, the loss, or "
            "declare it with detrun.cost: return 0.0 if some runs declare none"
        )
    raise NotDifferentiableError(f"{name} returned {loss!r}; to be differentiated it must return one number, the loss")
