"""The report of a step that does not end: the call that waits or computes, and where every task stands."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from types import FrameType

from detrun_scheduler.errors import StalledError
from detrun_scheduler.reports.blocking import TASKS_LISTED_MAX, describe_block, user_stack
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.trio_host.pending import pending_operation
from detrun_scheduler.user_code import is_user_file


def stalled(run: ActiveRun, innermost: FrameType | None, seconds: float, is_busy: bool) -> StalledError:
    """The error of the step that is running, for so many real seconds.

    Args:
        innermost: the frame that runs, or that has called what waits in C.
        is_busy: it has used the processor.
    """
    running = run.current
    call = "" if innermost is None else _place(innermost)
    what = "computes" if is_busy else "waits"
    lines = [
        f"step {run.step_index + 1} has taken {seconds:.3g} s of real time, virtual time {run.time:g} s: "
        f"task {running} ({run.paths.get(running, '')}) {what} in {call or 'C code'}"
    ]
    if innermost is not None:
        source = linecache.getline(innermost.f_code.co_filename, innermost.f_lineno).strip()
        lines += [f"    {source}"] if source else []
        lines += [f"    at {place}" for place in _user_lines(innermost)]
    others = [number for number in sorted(run.host.by_number) if number not in (0, running)]
    for number in others[:TASKS_LISTED_MAX]:
        task = run.host.by_number[number]
        if number in run.host.queue.numbers:
            lines.append(f"  task {number} ({run.path_of(number)}) could run, resuming from {pending_operation(task)}")
            lines += [f"    at {place}" for place in user_stack(task)]
        else:
            blocked = describe_block(run, task, number)
            lines.append(f"  task {number} ({blocked.path}) waits for {blocked.waits_for}")
            lines += [f"    at {place}" for place in blocked.stack]
    if len(others) > TASKS_LISTED_MAX:
        lines.append(f"  and {len(others) - TASKS_LISTED_MAX:,} more")
    if is_busy:
        lines.append("  give it more time with step_timeout=, or let it come to schedule points (preemption='line')")
    else:
        lines.append(
            "  while a step waits in C no other task runs, so it must not wait for one of them: replace the call, make "
            "it an effect (detrun.external), or give it more time with step_timeout="
        )
    error = StalledError("\n".join(lines))
    error.call = call
    return error


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"


def _user_lines(frame: FrameType) -> list[str]:
    return [
        f"{one.f_code.co_filename}:{one.f_lineno} in {one.f_code.co_qualname}"
        for one in _callers(frame)
        if is_user_file(one.f_code.co_filename)
    ][::-1]


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    # Up to the loop: what called the run is no part of the task.
    while frame is not None and frame.f_code.co_name != "step":
        yield frame
        frame = frame.f_back
