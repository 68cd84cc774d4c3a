"""Positions of suspended tasks: the frames in which they stand, and the operation that each resumes from."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

import trio

from detrun_scheduler.trio_host.private import JOIN
from detrun_scheduler.user_code import innermost_user_frame, is_user_file

# Suspended in one of these, a coroutine tells how it waits and not why.
_MECHANISMS = {"_real_async_yield", "_async_yield", "wait_task_rescheduled", "cancel_shielded_checkpoint"}
# Calls that wait by calling another, which would be named instead.
_FRONTS = {
    "sleep_forever": {"sleep_until"},
    "sleep_until": {"sleep"},
    "ParkingLot.park": {"_LockImpl.acquire", "Condition.wait", "Semaphore.acquire", "CapacityLimiter.acquire"},
    "CapacityLimiter.acquire_on_behalf_of": {"CapacityLimiter.acquire"},
}
_FRAMES = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
SUSPENDABLE = (CoroutineType, GeneratorType, AsyncGeneratorType)
WRAPPERS = frozenset(("coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable"))
# Below these, a thread or a task of asyncio has not called anything yet, or is being switched.
_THREAD_MECHANISMS = {
    *("SimulatedThread.run", "SimulatedThread.schedule_point", "SimulatedThread.wait", "sleep", "wait_in_task"),
    *("_call_main", "_bootstrap", "Thread.run", "Tracing.call_body", "Tracing.untraced", "wait_for_end"),
    *("_start_thread_soon.<locals>.body", "Monitoring._callback.<locals>.on_event"),
    *("Tracing._by_opcode.<locals>.tracer_of.<locals>.on_opcode", "Tracing._by_line.<locals>.on_line"),
    *("TaskHandle._run_coro", "TaskGroup._run_wrapped_task"),  # of anyio
    *("_both.<locals>.on_call", "_both.<locals>.on_call.<locals>.on_event"),
}
_RENAMED = {
    f"Nursery.{JOIN}": "Nursery.__aexit__",
    "_LockImpl.acquire": "Lock.acquire",
    "_join": "Thread.join",
    "_start": "Thread.start",
    "_sleep": "time.sleep",
    "_is_alive": "Thread.is_alive",
    "_is_set": "Event.is_set",
    "run_program": "asyncio.run",
}


def await_frames(task: trio.lowlevel.Task) -> list[FrameType]:
    """The suspended frames of a task or simulated thread, outermost first."""
    coro: Any = task.coro
    if hasattr(coro, "frames"):
        return coro.frames()  # type: ignore[no-any-return]
    return [frame for frame, _ in task.iter_await_frames()]


def frames_of(awaited: Any) -> list[FrameType]:
    """The suspended frames of a coroutine and of what it awaits, asynchronous generators too, outermost first."""
    found: list[FrameType] = []
    while awaited is not None:
        for frame_of, next_of in _FRAMES:
            frame = getattr(awaited, frame_of, None)
            if frame is not None:
                found.append(frame)
                awaited = getattr(awaited, next_of)
                break
        else:
            awaited = _wrapped(awaited) if type(awaited).__name__ in WRAPPERS else None
    return found


def _wrapped(awaited: Any) -> Any:
    """What is in an object of the interpreter's that has no attribute for it, as ``anext`` of a generator has none."""
    inside = gc.get_referents(awaited)
    return next((one for one in inside if isinstance(one, SUSPENDABLE) or type(one).__name__ in WRAPPERS), None)


def line_that_waits(key: object) -> str | None:
    """``file:line`` of the user's code that stands where a timer's ``key`` has it wait, None if there is none.

    Args:
        key: a task, or a cancel scope, for which the first task in it stands, or in the scopes inside it. Other
            timers have no line.
    """
    if isinstance(key, trio.CancelScope):
        key = next(_tasks_below(key._cancel_status), None) if key._cancel_status is not None else None
    if not isinstance(key, trio.lowlevel.Task) or not key.coro.cr_suspended:
        return None
    frame = innermost_user_frame(await_frames(key))
    return None if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _tasks_below(status: Any) -> Iterator[trio.lowlevel.Task]:
    """Those that a cancel status cancels, its own first."""
    yield from status._tasks
    for child in status._children:
        yield from _tasks_below(child)


def pending_operation(task: trio.lowlevel.Task) -> str:
    """What a suspended task will resume from: ``start``, ``checkpoint``, or the call that waits, ``Event.wait``."""
    if not task.coro.cr_suspended:
        return "start"
    if hasattr(task.coro, "frames"):
        return operation_of_thread(await_frames(task)) or getattr(task.coro, "pending", "line")
    found = getattr(task.coro, "pending", "")
    frames = await_frames(task)
    for frame in reversed(frames):
        name = frame.f_code.co_qualname
        if is_user_file(frame.f_code.co_filename):
            break
        if frame.f_code.co_name not in _MECHANISMS and (not found or name in _FRONTS.get(found, ())):
            found = name
    if not found:
        found = "wait_task_rescheduled" if task._abort_func is not None else "checkpoint"
    return _RENAMED.get(found, found)


def operation_of_thread(frames: Sequence[FrameType]) -> str:
    """The library function that a suspended thread stands in, called by user code; empty if preempted in the latter.

    Of `queue.Queue.get`, `Condition.wait` and `Lock.acquire`, each called by the one before, the first says most.
    """
    found = ""
    for frame in frames:
        if is_user_file(frame.f_code.co_filename):
            found = ""
        elif not found and frame.f_code.co_qualname not in _THREAD_MECHANISMS:
            found = _RENAMED.get(frame.f_code.co_qualname, frame.f_code.co_qualname)
    return found


def wait_name(abort: Callable[..., object]) -> str:
    """The name of a wait by the function that aborts it: ``Event.wait``, ``Nursery.__aexit__``, ``sleep_forever``."""
    name = getattr(abort, "__qualname__", None) or type(abort).__qualname__
    name = name.removesuffix(".<lambda>").partition(".<locals>")[0]
    return "Nursery.__aexit__" if name == f"Nursery.{JOIN}" else name
