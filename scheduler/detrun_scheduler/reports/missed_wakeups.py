"""Lost wake-ups: a condition was notified while no task waited on it, and the tasks that wait on it now wait for good.

`trio.Condition` and `threading.Condition` forget a notification that finds no waiter, which is what makes the bug: the
waiter looked at the state, was overtaken by the notifier, and went to sleep. A deadlock report then says who notified
in vain, and when. An `Event` remembers, so it has no such entry, unless a `threading.Event` was cleared in between: it
is a condition inside.

The methods are replaced for the life of the process; outside a run they do nothing more than before. Inside, a notify
costs half a microsecond more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

import trio

from detrun_scheduler import current

# The latest notification of a condition, if no task waited: (serial of the run, path of the task, step).
_in_vain: WeakKeyDictionary[Any, tuple[int, str, int]] = WeakKeyDictionary()


def missed_wakeup(condition: Any) -> str:
    """What a deadlock report says of a condition whose latest notification reached no task; empty if it reached one."""
    run = current.run
    found = _in_vain.get(condition)
    if run is None or found is None or found[0] != run.serial:
        return ""
    return f"a lost wake-up: the last notify, by {found[1]} at step {found[2]}, came when no task waited"


def noting(original: Callable[..., Any], is_waited_for: Callable[[Any], bool]) -> Callable[..., Any]:
    """``original``, a ``notify``, which also notes when no task waited."""

    @wraps(original)
    def notify(self: Any, *args: Any, **kwargs: Any) -> Any:
        run = current.run
        if run is None:
            return original(self, *args, **kwargs)
        waited_for = is_waited_for(self)
        result = original(self, *args, **kwargs)  # first, since it raises if the caller does not hold the lock
        if not waited_for:
            _in_vain[self] = (run.serial, run.paths.get(run.current, ""), run.step_index)
        elif _in_vain:
            _in_vain.pop(self, None)
        return result

    return notify


def _is_waited_for_by_task(condition: trio.Condition) -> bool:
    return condition.statistics().tasks_waiting > 0


def _is_waited_for_by_thread(condition: Any) -> bool:
    return bool(condition._waiters)


def install() -> None:
    """Replace the methods; further calls do nothing."""
    if hasattr(threading.Condition.notify, "__wrapped__"):
        return
    for name in ("notify", "notify_all"):
        original = getattr(trio.Condition, name)
        setattr(trio.Condition, name, trio.lowlevel.enable_ki_protection(noting(original, _is_waited_for_by_task)))
    # `notify_all` of a thread's condition calls `notify`.
    threading.Condition.notify = noting(threading.Condition.notify, _is_waited_for_by_thread)  # type: ignore[method-assign]
