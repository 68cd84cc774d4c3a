"""`set_weight`: how much more often one task is to step than another, said by the program."""

from __future__ import annotations

from typing import Any

from detrun_scheduler import current


def set_weight(weight: Any, tasks: str | None = None) -> None:
    """Weigh the calling task, or all tasks whose paths match, from here on; a task without a weight has 1.

    Under ``strategy="weighted"`` each choice falls on a runnable task with a probability in proportion to its weight.
    Other strategies pay no attention. With a `Value` for a weight these probabilities have derivatives.

    Args:
        weight: a finite number above 0, or a `Value`.
        tasks: a path, or a pattern with ``*`` for any characters: ``"main/worker*"``; also for tasks to come.

    Raises:
        UsageError: outside of a run, or for another weight.
    """
    current.require("detrun.set_weight").set_weight(weight, tasks)
