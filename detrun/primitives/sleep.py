"""`sleep`: a timer without the cancel scope that makes ``trio.sleep`` ten times as expensive."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import trio

from detrun.ad.outer_sites import site
from detrun_scheduler import current
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.running_loop import running_loop


async def sleep(seconds: Any) -> None:
    """Sleep for ``seconds`` of virtual time, which may be a `Value`; a checkpoint even for 0.

    Goes straight to the run's timer heap; otherwise the same as ``trio.sleep``, also in being cancellable.

    Raises:
        UsageError: ``seconds`` is negative or not a number, or no run is active.
    """
    run = current.require("detrun.sleep")
    local_time = run.host.local_time
    if local_time is not None:
        seconds = local_time.true_seconds(seconds)
    await sleep_true(seconds)


async def sleep_true(seconds: Any) -> None:
    """Sleep for ``seconds`` of the run's own time, whatever clock the calling code has."""
    run = current.require("detrun.sleep")
    primal = primal_of(seconds)
    if not isinstance(primal, Real) or not primal >= 0:
        raise UsageError(f"detrun.sleep: seconds={primal!r} must be a number of at least 0")
    loop = running_loop()
    if primal == 0:
        await (trio.lowlevel.checkpoint() if loop is None else loop.checkpoint())
        if primal is not seconds:
            # A little longer and it would have waited: the clock takes on what it owes to `seconds`.
            site("sleep", None, seconds, 0.0)
            run.virtual_clock.advance(seconds)
        return
    if loop is not None:
        await loop.sleep_true(seconds)
        return
    if primal == math.inf:
        await trio.sleep_forever()
    timers = run.timers
    task = trio.lowlevel.current_task()
    deadline = run.virtual_clock.now + seconds
    timers.add(deadline, task)

    def abort(_: object) -> trio.lowlevel.Abort:
        timers.remove(deadline, task)
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)
