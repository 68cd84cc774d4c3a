"""The reports of a deadlock and of a livelock: each task, what it waits for, and the tasks that hold it.

A run is deadlocked when nothing can run, no timer is set and nothing outside can wake a task. The report names each
blocked task, what it waits for, who could let it go on, and where in the user's code it stands; and it names the
cycle, if the waits form one. Everything is read off the suspended coroutines and off trio's public statistics, at
the moment of the failure, so that a healthy run pays nothing. No address appears in a report, and tasks come in
spawn order, so equal runs give equal reports.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from traceback import walk_tb
from types import FrameType
from typing import Any, NamedTuple

import trio

from detrun_scheduler.errors import DeadlockError
from detrun_scheduler.reports import missed_wakeups
from detrun_scheduler.reports.missed_wakeups import missed_wakeup
from detrun_scheduler.run import ActiveRun, ThreadFailure
from detrun_scheduler.trio_host.pending import await_frames, operation_of_thread, pending_operation
from detrun_scheduler.trio_host.private import JOIN, steps_of
from detrun_scheduler.user_code import innermost_user_frame, is_user_file

TASKS_NAMED_MAX = 8
TASKS_LISTED_MAX = 50
TASKS_ALIKE_LISTED_MAX = 3
NOT_WOKEN = " (not woken)"
missed_wakeups.install()


class BlockedTask(NamedTuple):
    """One task that cannot go on."""

    path: str
    number: int
    waits_for: str  # "Lock held by main/worker[1]", "Event.wait (not set)", …
    holders: tuple[int, ...] = ()  # tasks any of which could let it go on, ascending
    stack: tuple[str, ...] = ()  # "file:line in function", outermost first, user code only
    blocks_loop: bool = False  # from within a step, as by ``threading.Lock.acquire`` in an async function


def user_stack(task: trio.lowlevel.Task) -> tuple[str, ...]:
    """Where a suspended task stands in user code, outermost first: ``file:line in function``."""
    return _lines_of(await_frames(task))


def raised_in(error: BaseException) -> tuple[str, ...]:
    """The lines of user code that an exception came through, outermost first."""
    return tuple(
        f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"
        for frame, line in walk_tb(error.__traceback__)
        if is_user_file(frame.f_code.co_filename)
    )


def _lines_of(frames: Iterable[FrameType]) -> tuple[str, ...]:
    return tuple(
        f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        for frame in frames
        if is_user_file(frame.f_code.co_filename)
    )


def innermost_user_line(task: trio.lowlevel.Task) -> str:
    """``file:line`` of the innermost user frame of a suspended task, or an empty string."""
    frame = innermost_user_frame(await_frames(task))
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def describe_block(run: ActiveRun, task: trio.lowlevel.Task, number: int) -> BlockedTask:
    """What a blocked task waits for, and who holds it."""
    waits_for = ""
    coro: Any = task.coro
    standing = run.standing.get(number)
    if standing is not None:
        return _describe_thread(run, standing.waits_for, standing.frames(), number, blocks_loop=True)
    if run.standing and number in run.host.queue.numbers:
        loop = getattr(coro, "loop", None)
        blocker = next((one.number for one in run.standing.values() if one.loop is loop), next(iter(run.standing)))
        waits_for = _with_holders(run, "the event loop, blocked by", (blocker,))
        return BlockedTask(run.path_of(number), number, waits_for, (blocker,), user_stack(task))
    if hasattr(coro, "frames"):
        return _describe_thread(run, coro.waits_for, coro.frames(), number)
    holders: Iterable[trio.lowlevel.Task] = ()
    # The innermost primitive is what it waits for: Condition.wait may have been notified and stand in Lock.acquire.
    for frame in await_frames(task):
        primitive = frame.f_locals.get("self")
        if primitive is not None and not is_user_file(frame.f_code.co_filename):
            found = _describe_primitive(primitive, frame.f_code.co_name)
            if found is not None:
                starting = waits_for.startswith("Nursery.start")  # which waits in a nursery of its own
                waits_for, holders = (waits_for, found[1]) if starting else found
    numbers = tuple(sorted(n for n in (run.host.numbers.get(holder) for holder in holders) if n is not None))
    waits_for = waits_for or f"{pending_operation(task)}{NOT_WOKEN}"
    return BlockedTask(run.path_of(number), number, _with_holders(run, waits_for, numbers), numbers, user_stack(task))


def _named(run: ActiveRun, number: int) -> str:
    # A thread may end and keep a lock; its path is forgotten some time later.
    ended = "" if number in run.host.by_number else ", which has ended"
    return run.paths.get(number, f"task {number}") + ended


def _with_holders(run: ActiveRun, waits_for: str, numbers: Sequence[int]) -> str:
    if numbers:
        named = [_named(run, one) for one in numbers[:TASKS_NAMED_MAX]]
        if len(numbers) > TASKS_NAMED_MAX:
            named.append(f"{len(numbers) - TASKS_NAMED_MAX} more")
        waits_for += " " + ", ".join(named)
    return waits_for


def _describe_thread(
    run: ActiveRun, waits_for: Any, frames: Sequence[FrameType], number: int, *, blocks_loop: bool = False
) -> BlockedTask:
    """What a simulated thread waits for, or a task that blocks the event loop as a thread would."""
    text, holders = waits_for.blocking_report() if waits_for is not None else ("", ())
    operation = operation_of_thread(frames)
    if not text:
        text = f"{operation}{NOT_WOKEN}"
    elif getattr(waits_for, "says_all", False):
        pass
    elif operation and not operation.endswith("acquire") and not text.startswith(operation):
        text = f"{operation}, which needs {text}"
    conditions = [one for frame in frames if isinstance(one := frame.f_locals.get("self"), threading.Condition)]
    missed = missed_wakeup(conditions[-1]) if conditions and not holders else ""
    if missed:
        text = f"{text.removesuffix(NOT_WOKEN)} ({missed})"
    text = _with_holders(run, text, holders) + (", and blocks the event loop" if blocks_loop else "")
    return BlockedTask(run.path_of(number), number, text, holders, _lines_of(frames), blocks_loop)


def _describe_primitive(primitive: Any, function: str) -> tuple[str, Iterable[trio.lowlevel.Task]] | None:
    """What a task waits for that stands in ``primitive.function``, and the tasks that could let it go on."""
    kind = type(primitive).__name__
    match primitive:
        case trio.Lock() | trio.StrictFIFOLock():
            owner = primitive.statistics().owner
            return (f"{kind} held by", [owner]) if owner is not None else (f"{kind}.acquire", [])
        case trio.Condition():
            return f"Condition.wait ({missed_wakeup(primitive) or 'not notified'})", []
        case trio.CapacityLimiter():
            limiter = primitive.statistics()
            borrowers = [one for one in limiter.borrowers if isinstance(one, trio.lowlevel.Task)]
            tokens = _counted(limiter.total_tokens, "token")
            return f"CapacityLimiter, all of its {tokens} borrowed" + (" by" if borrowers else ""), borrowers
        case trio.Semaphore():
            return f"Semaphore at {primitive.value} (not released)", []
        case trio.Event():
            return "Event.wait (not set)", []
        case trio.MemoryReceiveChannel():
            senders = _counted(primitive.statistics().open_send_channels, "open send channel")
            return f"MemoryReceiveChannel.receive (no message; {senders})", []
        case trio.MemorySendChannel():
            channel = primitive.statistics()
            buffer = f"its buffer of {channel.max_buffer_size} full" if channel.max_buffer_size else "no buffer"
            receivers = _counted(channel.open_receive_channels, "open receive channel")
            return f"MemorySendChannel.send (no task receives, {buffer}; {receivers})", []
        case trio.Nursery() if function == "start":
            return "Nursery.start, until task_status.started() is called by", []
        case trio.Nursery() if function == JOIN:
            children = primitive.child_tasks
            return f"the end of its nursery, where {_counted(len(children), 'task')} still live:", children
    # Primitives that this layer does not know say it themselves: a mailbox, a simulated socket.
    report = getattr(type(primitive), "waiting_report", None)
    return None if report is None else (report(primitive, function), [])


def blocked_tasks(run: ActiveRun) -> list[BlockedTask]:
    """Every task of a quiescent run but the loop's own two, by number."""
    own = (run.host.init_task, run.host.entry_task)
    return [
        describe_block(run, task, number)
        for number, task in sorted(run.host.by_number.items())
        if task not in own and not getattr(task.coro, "is_idle", False)
    ]


def wait_cycle(blocked: Sequence[BlockedTask]) -> list[str]:
    """Paths along a cycle of tasks each of which waits for the next, the first again at the end, or an empty list."""
    sorter: TopologicalSorter[int] = TopologicalSorter()
    paths = {one.number: one.path for one in blocked}
    for one in blocked:
        sorter.add(one.number, *(holder for holder in one.holders if holder in paths))
    try:
        sorter.prepare()
    except CycleError as error:
        # graphlib gives the cycle from holder to waiter, beginning anywhere; ours begins at the oldest task.
        cycle = error.args[1][:0:-1]
        start = cycle.index(min(cycle))
        return [paths[number] for number in (*cycle[start:], *cycle[: start + 1])]
    return []


def deadlock(run: ActiveRun) -> DeadlockError:
    """The error that says who waits for what."""
    blocked = blocked_tasks(run)
    cycle = wait_cycle(blocked)
    lines = [
        f"deadlock at step {run.step_index + 1}, virtual time {run.time:g} s: "
        f"{_counted(len(blocked), 'task')} blocked, none can run, no timer is set"
    ]
    listed = _worth_listing(blocked)
    for one in listed:
        lines.append(f"  task {one.number} ({one.path}) waits for {one.waits_for}")
        lines.extend(f"    at {place}" for place in one.stack)
    if len(listed) < len(blocked):
        lines.append(f"  and {len(blocked) - len(listed):,} more; all are in the error's attribute `blocked`")
    if cycle:
        # A cycle of n tasks has n + 1 names, the first again at the end.
        cut = len(cycle) - 1 - TASKS_NAMED_MAX
        named = [*cycle[: TASKS_NAMED_MAX // 2], f"… ({cut:,} more) …", *cycle[-TASKS_NAMED_MAX // 2 - 1 :]]
        lines.append("  cycle: " + " waits for ".join(named if cut > 0 else cycle))
    for failure in run.thread_failures:
        lines.extend(f"  {line}" for line in ended_thread(failure))
    error = DeadlockError("\n".join(lines))
    error.blocked, error.cycle = tuple(blocked), tuple(cycle)
    return error


def _worth_listing(blocked: Sequence[BlockedTask]) -> list[BlockedTask]:
    """The tasks to list in a report: all, or of many the first few of those that wait alike at one place."""
    if len(blocked) <= TASKS_LISTED_MAX:
        return list(blocked)
    alike: Counter[tuple[str, tuple[str, ...]]] = Counter()
    listed = []
    for one in blocked:
        alike[one.waits_for, one.stack] += 1
        if alike[one.waits_for, one.stack] <= TASKS_ALIKE_LISTED_MAX:
            listed.append(one)
    return listed[:TASKS_LISTED_MAX]


def ended_thread(failure: ThreadFailure) -> list[str]:
    """The lines about an exception that has ended a thread, since others may wait for that thread in vain."""
    error = failure.error
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    places = [
        f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"
        for frame, line in walk_tb(error.__traceback__)
        if is_user_file(frame.f_code.co_filename)
    ]
    return [
        f"{failure.origin} has ended by {text}, which was not caught",
        *(f"  at {place}" for place in places),
    ]


def most_run_tasks(run: ActiveRun, most: int = 5) -> str:
    """The message of a `StepLimitError`: the tasks that took most of the steps."""
    tasks = sorted(run.host.by_number.items(), key=lambda item: (-steps_of(item[1]), item[0]))
    lines = [
        f"the run took more than max_steps={run.max_steps} steps (virtual time {run.time:g} s): "
        "a livelock, or the limit is too low",
        "  the living tasks with the most steps:",
    ]
    for number, task in tasks[:most]:
        count = steps_of(task)
        if not count or task is run.host.init_task:
            continue
        steps = f"{count:,} step{'' if count == 1 else 's'}"
        where = pending_operation(task)
        lines.append(f"    {steps:>14}  task {number} ({run.path_of(number)}), resuming from {where}")
        lines.extend(f"                    at {place}" for place in user_stack(task)[-2:])
    return "\n".join(lines)


def _counted(number: float, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
