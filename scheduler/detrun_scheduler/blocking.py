"""Who waits for what, held by whom: the reports of a deadlock and of a livelock.

A run is deadlocked when nothing can run, no timer is set and nothing outside can wake anyone. The report names each
blocked task, what it waits for, who could let it go on, and where in the user's code it stands; and it names the
cycle, if the waits form one. Everything is read off the suspended coroutines and off trio's public statistics, at
the moment of the failure, so that a healthy run pays nothing.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from types import FrameType
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from detrun_scheduler.loop import RunLoop

_OWN_ROOT = os.path.dirname(os.path.abspath(__file__))
_LIBRARY_ROOTS = tuple(
    root + os.sep
    for root in {
        os.path.dirname(os.path.abspath(trio.__file__)),
        sysconfig.get_path("stdlib"),
        _OWN_ROOT,
        os.path.join(os.path.dirname(os.path.dirname(_OWN_ROOT)), "detrun"),
        os.path.join(os.path.dirname(_OWN_ROOT), "detrun"),
        os.path.join(os.path.dirname(_OWN_ROOT), "detrun_recorder"),
        os.path.join(os.path.dirname(os.path.dirname(_OWN_ROOT)), "recorder", "detrun_recorder"),
    }
)
_SITE_PACKAGES = os.sep + "site-packages" + os.sep
# Wait points that name the mechanism, not the reason.
_PLUMBING = {"_real_async_yield", "_async_yield", "wait_task_rescheduled", "cancel_shielded_checkpoint"}


@dataclass(frozen=True, slots=True)
class BlockedTask:
    """One task that cannot go on."""

    path: str
    number: int
    waits_for: str  # "Lock held by main/worker[1]", "Event.wait", …
    holders: tuple[int, ...] = ()  # tasks any of which could let it go on
    stack: tuple[str, ...] = field(default=())  # "file:line in function", outermost first, user code only


def is_user_file(filename: str) -> bool:
    """Whether a file is neither trio's, the standard library's nor detrun's own."""
    if filename.startswith("<") or filename.endswith(os.sep + "conftest.py"):
        return not filename.startswith("<frozen")
    path = os.path.abspath(filename)
    return _SITE_PACKAGES in path or not path.startswith(_LIBRARY_ROOTS)


def await_frames(task: trio.lowlevel.Task) -> list[FrameType]:
    """The suspended frames of a task, outermost first."""
    return [frame for frame, _ in task.iter_await_frames()]


def user_stack(task: trio.lowlevel.Task) -> tuple[str, ...]:
    """Where a suspended task stands in user code, outermost first: ``file:line in function``."""
    return tuple(
        f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        for frame in await_frames(task)
        if is_user_file(frame.f_code.co_filename)
    )


def pending_operation(task: trio.lowlevel.Task) -> str:
    """What a suspended task will resume from: ``start``, ``checkpoint``, or the call that waits, ``Event.wait``."""
    frames = await_frames(task)
    for frame in reversed(frames):
        if frame.f_code.co_name not in _PLUMBING:
            name = frame.f_code.co_qualname
            if is_user_file(frame.f_code.co_filename):
                return "start" if len(frames) == 1 and frame.f_lasti <= 4 else "checkpoint"
            return {"Nursery._nested_child_finished": "Nursery.__aexit__"}.get(name, name.removesuffix("._park"))
    return "checkpoint"


def describe_block(loop: RunLoop, task: trio.lowlevel.Task, number: int) -> BlockedTask:
    """What a blocked task waits for, and who holds it."""
    waits_for, holders = "", ()
    for frame in await_frames(task):
        waited_on = frame.f_locals.get("self")
        if is_user_file(frame.f_code.co_filename) or waited_on is None:
            continue
        found = _describe_primitive(waited_on, frame.f_code.co_name, task)
        if found is not None:
            waits_for, holders = found
    numbers = tuple(sorted(n for n in (loop.host.numbers.get(holder) for holder in holders) if n is not None))
    waits_for = waits_for or pending_operation(task)
    if numbers:
        waits_for += " by " + ", ".join(loop.path_of(n) for n in numbers)
    return BlockedTask(loop.path_of(number), number, waits_for, numbers, user_stack(task))


def _describe_primitive(
    waited_on: Any, function: str, task: trio.lowlevel.Task
) -> tuple[str, Sequence[trio.lowlevel.Task]] | None:
    kind = type(waited_on).__name__
    if isinstance(waited_on, trio.Lock | trio.StrictFIFOLock):
        owner = waited_on.statistics().owner
        return f"{kind} held", [owner] if owner is not None else []
    if isinstance(waited_on, trio.Condition):
        return f"{kind}.wait (nobody has called notify)", []
    if isinstance(waited_on, trio.CapacityLimiter):
        statistics = waited_on.statistics()
        borrowers = [one for one in statistics.borrowers if isinstance(one, trio.lowlevel.Task)]
        return f"CapacityLimiter of {statistics.total_tokens:g} tokens, all borrowed", borrowers
    if isinstance(waited_on, trio.Semaphore):
        return f"Semaphore at {waited_on.value}", []
    if isinstance(waited_on, trio.Event):
        return "Event.wait (nobody has set it)", []
    if isinstance(waited_on, trio.MemoryReceiveChannel):
        statistics = waited_on.statistics()
        return f"MemoryReceiveChannel.receive ({statistics.open_send_channels} open send channel(s), no message)", []
    if isinstance(waited_on, trio.MemorySendChannel):
        statistics = waited_on.statistics()
        return (
            f"MemorySendChannel.send (buffer full at {statistics.max_buffer_size:g}, "
            f"{statistics.open_receive_channels} open receive channel(s))",
            [],
        )
    if function == "_nested_child_finished":
        children = list(task.child_nurseries[-1].child_tasks)
        return f"the end of a nursery: {len(children)} child task(s) held up", children
    return None


def blocked_tasks(loop: RunLoop) -> list[BlockedTask]:
    """Every blocked user task of a quiescent run, by number."""
    living = sorted(loop.host.by_number.items())
    return [
        describe_block(loop, task, number)
        for number, task in living
        if number and task is not loop.host.entry_task and user_stack(task)
    ]


def wait_cycle(blocked: Sequence[BlockedTask]) -> list[str]:
    """Paths along a cycle of tasks each of which waits for the next, or an empty list."""
    sorter: TopologicalSorter[int] = TopologicalSorter()
    paths = {one.number: one.path for one in blocked}
    for one in blocked:
        sorter.add(one.number, *(holder for holder in one.holders if holder in paths))
    try:
        sorter.prepare()
    except CycleError as error:
        # graphlib gives the cycle from holder to waiter.
        return [paths[number] for number in reversed(error.args[1])]
    return []


def deadlock_report(loop: RunLoop) -> str:
    """The message of a `DeadlockError`."""
    blocked = blocked_tasks(loop)
    lines = [
        f"deadlock at step {loop.step_index + 1}, virtual time {loop.time:g} s: "
        f"{len(blocked)} task(s) blocked, none runnable, no timer set"
    ]
    for one in blocked:
        lines.append(f"  task {one.number} ({one.path}) waits for {one.waits_for}")
        lines.extend(f"    at {place}" for place in one.stack)
    cycle = wait_cycle(blocked)
    if cycle:
        lines.append("  cycle: " + " -> ".join(cycle))
    return "\n".join(lines)


def most_run_tasks(loop: RunLoop, most: int = 5) -> str:
    """The message of a `StepLimitError`: the tasks that took most of the steps."""
    tasks = sorted(loop.host.by_number.items(), key=lambda item: (-item[1]._schedule_points, item[0]))
    lines = [
        f"the run took more than max_steps={loop.max_steps} steps (virtual time {loop.time:g} s): "
        "a livelock, or the limit is too low; the living tasks with the most steps:"
    ]
    for number, task in tasks[:most]:
        lines.append(f"  {task._schedule_points:>10,} steps  task {number} ({loop.path_of(number)})")
        lines.extend(f"               at {place}" for place in user_stack(task)[-2:])
    return "\n".join(lines)


def innermost_user_line(task: trio.lowlevel.Task) -> str:
    """``file:line`` of the innermost user frame of a suspended task, or an empty string."""
    for frame in reversed(await_frames(task)):
        if is_user_file(frame.f_code.co_filename):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return ""


def innermost_user_frame(frames: Iterator[FrameType] | Sequence[FrameType]) -> FrameType | None:
    """The last frame of ``frames``, given outermost first, that is user code."""
    found = None
    for frame in frames:
        if is_user_file(frame.f_code.co_filename):
            found = frame
    return found
