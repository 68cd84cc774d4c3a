"""A task that blocks the event loop: the run goes on with threads only, until the task can.

In life a call such as ``threading.Lock.acquire`` in an async function stops every task, and threads run on. The loop is
entered a second time here, from within the blocked task's step.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit

from detrun_scheduler.acting import act, collecting_step
from detrun_scheduler.asyncio_host.lanes import Lane
from detrun_scheduler.clock import primal_of
from detrun_scheduler.journal import CHECKPOINT, append_varint
from detrun_scheduler.journaled_run import JournaledRun
from detrun_scheduler.reports.blocking import deadlock
from detrun_scheduler.run import Standing
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.trio_host.idleness import fire


def stand_still(run: JournaledRun, ready: Callable[[], bool], waits_for: Any) -> None:
    """The running task blocks the event loop, as by ``threading.Lock.acquire``: run threads only until ``ready()``.

    The task's step ends here, as at a schedule point. Other tasks stay runnable in the journal, as before a step of
    theirs, but none is stepped: an oracle that chooses one gets the next that may run, in cyclic order, and it is
    that one that is written down. A failure of the run goes through the task as `GreenletExit` and is raised by
    the loop.
    """
    if run.failure is not None:
        raise GreenletExit
    assert run.standing is None, "a task blocks the event loop while it is blocked"
    run.counts_anew, run.standing = True, Standing(run.current, waits_for, sys._getframe(2))
    host, journal, numbers = run.host, run.journal, run.host.queue.numbers
    waiting = number = run.current
    blocked, kind = host.by_number[waiting], CHECKPOINT
    coro: Any = blocked.coro
    loop = coro.loop if isinstance(coro, Lane) else None
    aside = None if loop is None else loop.stand_aside()  # for the threads that go on no loop of asyncio is running
    try:
        while True:
            if kind == CHECKPOINT:
                host.queue.put(numbers, number)
            allowed = _settle(run, waiting, ready, blocked.coro)
            run.close_record(kind)
            run.pause(journal.steps)
            index = 0
            if len(numbers) > 1:
                run.allowed = allowed
                wished = numbers[run.oracle.next_task(numbers, run.current)]
                number = allowed[bisect_left(allowed, wished) % len(allowed)]
                index = numbers.index(number)
                append_varint(journal.choices, index)
            number = run.current = numbers.pop(index)
            if number == waiting:
                host.enter_task(blocked)
                return
            task = host.by_number[number]
            kind = collecting_step(run, task) if run.collects else host.step(task)
    except BaseException as error:
        run.failure = error
        raise GreenletExit from None
    finally:
        if loop is not None:
            loop.leave(aside)
        run.standing = run.allowed = None
        run.timers.due = True  # the loop shall look at `failure` and count its steps anew


def _settle(run: JournaledRun, waiting: int, ready: Callable[[], bool], blocked: Any) -> list[int]:
    """As `RunLoop._settle` where the event loop stands still; the numbers of those that may run, at least one."""
    host, timers, numbers = run.host, run.timers, run.host.queue.numbers
    run.journal_wakes()
    while True:
        if timers.due:
            host.leave_task()
            fire(host, timers.pop_due(primal_of(host.clock.current_time())))
            run.journal_wakes()
            if run.acts:
                act(run)
        allowed = [
            number
            for number in numbers
            if (ready() if number == waiting else _runs_beside(host.by_number[number].coro, blocked))
        ]
        if allowed:
            return allowed
        host.leave_task()
        before = run.virtual_clock.time
        fired = timers.jump()
        if fired is None:
            raise deadlock(run)
        if run.virtual_clock.time != before:
            run.journal_time(run.virtual_clock.time)
        fire(host, fired)
        run.journal_wakes()


def _runs_beside(coro: Any, blocked: Any) -> bool:
    """Whether a task goes on while ``blocked`` blocks its event loop: a thread, or a task of another thread's loop."""
    return type(coro) is SimulatedThread or (
        isinstance(coro, Lane) and isinstance(blocked, Lane) and coro.loop is not blocked.loop
    )
