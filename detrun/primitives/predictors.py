"""`baseline`: what the program knows that predicts the rest of its loss."""

from __future__ import annotations

import math
from typing import Any

from detrun_scheduler import current
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError

RESERVED = ("decision", "step", "time")


def baseline(**features: Any) -> None:
    """Name numbers that predict what is still to come of the loss: ``detrun.baseline(waiting=len(queue))``.

    Gradients of ``kind="policy"`` with ``baseline="linear"`` predict by them what each later decision answers for, and
    take that off: less variance, and no bias, since a decision does not know what came before it. Each number holds
    until the name is given again, by any task. Others pay no attention.

    Args:
        features: finite numbers; of a `Value` its number.

    Raises:
        UsageError: outside of a run, another value, or one of the names that every decision has besides: ``decision``
            (how many came before it), ``step`` and ``time``.
    """
    run: Any = current.require("detrun.baseline")
    known = dict(run.features)  # a copy: decisions keep what was known before them
    for name, feature in features.items():
        number = primal_of(feature)
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise UsageError(f"detrun.baseline: {name} is {feature!r:.80}; give a finite number")
        if name in RESERVED:
            raise UsageError(f"detrun.baseline: {name!r} is known of every decision; choose another name")
        known[name] = float(number)
    run.features = known
