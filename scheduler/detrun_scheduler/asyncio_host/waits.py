"""What a deadlock report says of an asyncio task: what it waits for, and the tasks that could let it go on.

Read off the suspended coroutine at the moment of the failure. A lock of asyncio does not say who holds it, so its
``acquire`` notes the task there, in runs only; the method is replaced for the life of the process, as are the ones
that note a notification in vain (`reports.missed_wakeups`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import wraps
from typing import Any

from detrun_scheduler import current
from detrun_scheduler.reports import missed_wakeups
from detrun_scheduler.reports.missed_wakeups import missed_wakeup

_OWNER = "_owner_in_run"  # of a lock: (serial of the run, number of the task)
_acquire = asyncio.Lock.acquire


@wraps(_acquire)
async def _owned(self: Any) -> Any:
    result = await _acquire(self)
    run = current.run
    if run is not None:
        setattr(self, _OWNER, (run.serial, run.current))
    return result


def _is_waited_for(condition: Any) -> bool:
    return bool(condition._waiters)


def install() -> None:
    """Replace the methods; further calls do nothing."""
    if asyncio.Lock.acquire is not _owned:
        asyncio.Lock.acquire = _owned  # type: ignore[method-assign]  # replaced on purpose
        asyncio.Condition.notify = missed_wakeups.noting(asyncio.Condition.notify, _is_waited_for)  # type: ignore[method-assign]  # replaced on purpose


def report_of(task: Any, lane: Any) -> tuple[str, tuple[int, ...]]:
    """What ``task``, whose steps ``lane`` takes, waits for, and the numbers of the tasks that could let it go on."""
    run = current.run
    for frame in reversed(lane.frames()):
        primitive, function = frame.f_locals.get("self"), frame.f_code.co_name
        kind = type(primitive).__name__
        match primitive:
            case asyncio.Lock():
                serial, owner = getattr(primitive, _OWNER, (0, 0))
                if run is not None and serial == run.serial and primitive.locked():
                    return "Lock held by", (owner,)
                return "Lock.acquire", ()
            case asyncio.Condition():
                return f"Condition.wait ({missed_wakeup(primitive) or 'not notified'})", ()
            case asyncio.Event():
                return "Event.wait (not set)", ()
            case asyncio.Semaphore():
                return f"{kind}.acquire (not released)", ()
            case asyncio.Queue():
                size = f"{primitive.qsize():,} items, maxsize {primitive.maxsize:,}"
                return f"{kind}.{function} ({size})", ()
            case asyncio.TaskGroup():
                children = list(primitive._tasks)
                return f"the end of its task group, where {_counted(children)} still live:", _numbers(
                    lane.loop, children
                )
    waited: Any = getattr(task, "_fut_waiter", None)
    children = getattr(waited, "_children", None) or ([waited] if isinstance(waited, asyncio.Task) else [])
    living = [one for one in children if isinstance(one, asyncio.Task) and not one.done()]
    if living:
        return "the end of", _numbers(lane.loop, living)
    return ("Future (without a result)" if waited is not None else "its turn"), ()


def _numbers(loop: Any, tasks: Iterable[Any]) -> tuple[int, ...]:
    lanes = (loop.lane_of(task) for task in tasks)
    numbers = (loop.run.host.numbers.get(lane.task) for lane in lanes if lane is not None)
    return tuple(sorted(number for number in numbers if number is not None))


def _counted(tasks: list[Any]) -> str:
    return f"{len(tasks):,} task" if len(tasks) == 1 else f"{len(tasks):,} tasks"
