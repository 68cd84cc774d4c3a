"""Deadlines of cancel scopes that keep their derivatives: a `Value` assigned to one stays a `Value`."""

from __future__ import annotations

import functools
import math
from typing import Any

import trio

from detrun_scheduler.trio_host.check import PROPERTIES
from detrun_scheduler.trio_host.private import CONTEXT, RUN_MODULE


def _number(deadline: Any) -> Any:
    """Stands for ``float`` where trio stores a deadline that a program assigns: a number keeps its history."""
    return deadline if hasattr(deadline, "primal") else float(deadline)


def _keeping_history(setting: property) -> property:
    """A setter that also takes over another history of the same number, where trio sees nothing to change."""
    assert setting.fset is not None
    original = setting.fset

    @functools.wraps(original)
    def assign(scope: trio.CancelScope, deadline: Any) -> None:
        before = scope._registered_deadline
        original(scope, deadline)
        after = scope._deadline
        unchanged = scope._registered_deadline is before is not after and before != math.inf
        if unchanged and (hasattr(before, "primal") or hasattr(after, "primal")):
            scope._registered_deadline = after
            CONTEXT.runner.deadlines.renew(after, scope)  # type: ignore[attr-defined]

    return property(setting.fget, assign, setting.fdel, setting.__doc__)


def install() -> None:
    """Let cancel scopes keep the history of what is assigned to them, for the life of the process; called once."""
    # The setters of `CancelScope` would cut the history of a deadline by ``float(new_deadline)``, without a trace.
    RUN_MODULE.float = _number
    for name in PROPERTIES["trio._core._run.CancelScope"]:
        setattr(trio.CancelScope, name, _keeping_history(getattr(trio.CancelScope, name)))
