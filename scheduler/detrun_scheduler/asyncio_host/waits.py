"""What a deadlock report says of an asyncio task: what it waits for, and the tasks that could let it go on.

It is read off the suspended coroutine at the moment of the failure. A lock of asyncio does not know who holds it, so in
runs its ``acquire`` notes the task there. That method is replaced for the life of the process, as are the methods that
note a notification to which no task listened (`reports.missed_wakeups`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import wraps
from typing import Any

from detrun_scheduler import current
from detrun_scheduler.reports import missed_wakeups
from detrun_scheduler.reports.missed_wakeups import missed_wakeup
from detrun_scheduler.trio_host.pending import operation_of_thread

_OWNER = "_owner_in_run"  # of a lock: (serial of the run, number of the task)
_acquire = asyncio.Lock.acquire
_ANYIO = "anyio._backends._asyncio"
_SLEEP = asyncio.sleep.__code__


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
    frames = lane.frames()
    for frame in reversed(frames):
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
                operation = operation_of_thread(frames)
                needing = "" if operation in ("", "Event.wait", "wait_for") else f"{operation}, which needs "
                return f"{needing}Event.wait (not set)", ()
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
        if type(primitive).__module__ == _ANYIO:
            return _of_anyio(primitive, function, lane.loop)
    waited: Any = getattr(task, "_fut_waiter", None)
    children = getattr(waited, "_children", None) or ([waited] if isinstance(waited, asyncio.Task) else [])
    living = [one for one in children if isinstance(one, asyncio.Task) and not one.done()]
    if living:
        return "the end of", _numbers(lane.loop, living)
    if waited is None:
        return "its turn", ()
    operation = operation_of_thread(frames)
    return f"{operation} (a future without a result)" if operation else "Future (without a result)", ()


def _of_anyio(primitive: Any, function: str, loop: Any) -> tuple[str, tuple[int, ...]]:
    """What an object of anyio's is waited for, which stands on futures of asyncio's."""
    kind = type(primitive).__name__
    if kind == "TaskGroup":
        children = [one for one in primitive._tasks if not one.done()]
        return f"the end of its task group, where {_counted(children)} still live:", _numbers(loop, children)
    owner = primitive.statistics().owner if kind == "Lock" else None
    if owner is None:
        return f"{kind}.{function} (not released)", ()
    # anyio says who it is by the address of the task, which leads to a path here and is shown nowhere.
    owners = [task for lane in loop.lanes if id(task := lane.asyncio_task) == owner.id]
    return ("Lock held by", _numbers(loop, owners)) if owners else ("Lock.acquire (held by a task that has ended)", ())


def pending_of(task: Any, lane: Any) -> str:
    """What ``task`` awaits, as listings say it where no lock or queue does: ``asyncio.gather``, a kind of future."""
    if any(frame.f_code is _SLEEP for frame in lane.frames()):
        return "asyncio.sleep"
    waited: Any = getattr(task, "_fut_waiter", None)
    if waited is None:
        return "checkpoint"
    if getattr(waited, "_children", None) is not None:
        return "asyncio.gather"
    return "asyncio.Task" if isinstance(waited, asyncio.Task) else "asyncio.Future"


def _numbers(loop: Any, tasks: Iterable[Any]) -> tuple[int, ...]:
    lanes = (loop.lane_of(task) for task in tasks)
    numbers = (loop.run.host.numbers.get(lane.task) for lane in lanes if lane is not None)
    return tuple(sorted(number for number in numbers if number is not None))


def _counted(tasks: list[Any]) -> str:
    return f"{len(tasks):,} task" if len(tasks) == 1 else f"{len(tasks):,} tasks"
