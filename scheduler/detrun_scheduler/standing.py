"""A task that blocks its event loop: meanwhile the run steps only what in life would go on.

In life a call such as ``threading.Lock.acquire`` in an async function stops every task of its loop. Threads go on, and
so do the event loops that other threads run. Here the run loop is entered a second time, from within the blocked task's
step, until the task can go on. Steps of tasks are taken in greenlets of their own meanwhile, so that these can block as
well and go on in any order.

Invariant: the first task that stands does so on the stack of the run loop; every other has a greenlet.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from typing import Any

import sniffio
from greenlet import GreenletExit, getcurrent, greenlet

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
    """The running task blocks its event loop, as by ``threading.Lock.acquire``, until ``ready()``.

    The task's step ends here, as at a schedule point. Other tasks of its loop stay runnable in the journal, but are not
    stepped. Where the oracle chooses one of them, the next task that may run is taken in its place, in cyclic order,
    and written down. A failure of the run goes through the task as `GreenletExit`, and the loop raises it.
    """
    threads, number = run.threads, run.current
    assert threads is not None
    task = run.host.by_number[number]
    coro: Any = task.coro
    loop = coro.loop if isinstance(coro, Lane) else None
    if run.failure is not None or (loop is not None and loop.is_over):
        raise GreenletExit
    aside = None if loop is None else loop.stand_aside()  # for those that go on no step of this loop is running
    library, sniffio.thread_local.name = sniffio.thread_local.name, "trio"  # as between steps
    own = getcurrent()
    run.counts_anew = True
    run.standing[number] = Standing(number, waits_for, sys._getframe(2), ready, loop, own)
    try:
        if own is threads.hub:
            _stand_on_the_stack_of_the_loop(run, number)
        else:
            threads.hub.switch(CHECKPOINT)  # the result of the step, for who takes the others
        if run.failure is not None or (loop is not None and loop.is_over):
            raise GreenletExit
    finally:
        sniffio.thread_local.name = library
        if loop is not None:
            loop.leave(aside)
        del run.standing[number]
        run.allowed = None
        run.timers.due = True  # the loop shall look at `failure` and count its steps anew


def _stand_on_the_stack_of_the_loop(run: JournaledRun, number: int) -> None:
    try:
        run.host.queue.put(run.host.queue.numbers, number)
        kind = CHECKPOINT
        while True:
            current = _choose(run, _end_step(run, kind))
            if current == number:
                run.host.enter_task(run.host.by_number[number])
                return
            kind = _step(run, current)
    except BaseException as error:
        run.failure = error
        _end_those_that_stand(run)
        raise GreenletExit from None


def go_on_beside(run: JournaledRun, settle: Callable[[], bool]) -> bool:
    """Take steps in place of the loop: the task that stood on its stack has gone on, and others stand still.

    Args:
        settle: what the loop does after a step.

    Returns:
        What ``settle`` returned after the last step: whether the run goes on.
    """
    try:
        allowed = _settle(run)
        while True:
            kind = _step(run, _choose(run, allowed))
            if not run.standing:
                try:
                    return settle()
                finally:
                    run.close_record(kind)
                    run.pause(run.journal.steps)
            allowed = _end_step(run, kind)
    except BaseException as error:
        if run.standing:
            run.failure = error
            _end_those_that_stand(run)
        raise


def _end_those_that_stand(run: JournaledRun) -> None:
    """The run has failed: unwind the tasks that stand in greenlets of their own."""
    assert run.threads is not None
    for standing in list(run.standing.values()):
        if standing.greenlet is not run.threads.hub:
            run.current = standing.number
            standing.greenlet.throw(GreenletExit)


def _choose(run: JournaledRun, allowed: list[int]) -> int:
    """Take one of ``allowed`` off the queue, as the oracle wishes."""
    numbers = run.host.queue.numbers
    index = 0
    if len(numbers) > 1:
        run.allowed = allowed
        wished = numbers[run.oracle.next_task(numbers, run.current)]
        index = numbers.index(allowed[bisect_left(allowed, wished) % len(allowed)])
        append_varint(run.journal.choices, index)
    run.current = numbers.pop(index)
    return run.current


def _step(run: JournaledRun, number: int) -> int:
    """Take a step: of a thread, of a task of another loop, or the rest of the step of one that has stood.

    What goes on is queued again.
    """
    host, standing = run.host, run.standing.get(number)
    task = host.by_number[number]
    coro: Any = task.coro
    step: Callable[..., int] = partial(collecting_step, run) if run.collects else host.step
    if standing is not None:
        host.enter_task(task)
        kind: int = standing.greenlet.switch()  # what its step comes to
    elif type(coro) is SimulatedThread:
        kind = step(task)
    else:
        kind = greenlet(step).switch(task)
    if kind == CHECKPOINT:
        host.queue.put(host.queue.numbers, number)
    return kind


def _end_step(run: JournaledRun, kind: int) -> list[int]:
    """Close the record of a step after which tasks stand; the numbers of those that may run next."""
    allowed = _settle(run)
    run.close_record(kind)
    run.pause(run.journal.steps)
    return allowed


def _settle(run: JournaledRun) -> list[int]:
    """As `RunLoop._settle` while tasks stand; the numbers of those that may run, at least one."""
    host, timers = run.host, run.timers
    run.journal_wakes()
    while True:
        if timers.due:
            host.leave_task()
            fire(host, timers.pop_due(primal_of(host.clock.current_time())))
            run.journal_wakes()
            if run.acts:
                act(run)
        allowed = _allowed(run)
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


def _allowed(run: JournaledRun) -> list[int]:
    """Those that go on while others block their event loops: threads, and tasks of other loops.

    Before rules 8 no task of trio's went on beside one of asyncio's, nor the other way round.
    """
    standing, by_number = run.standing, run.host.by_number
    blocked = [one.loop for one in standing.values()]
    is_old = run.thread_rules < 8
    found = []
    for number in run.host.queue.numbers:
        own = standing.get(number)
        if own is not None:
            # The task of a process that was killed takes a last step: its stack has to go.
            may_run = own.ready() or (own.loop is not None and own.loop.is_over)
        else:
            coro: Any = by_number[number].coro
            loop = coro.loop if isinstance(coro, Lane) else None
            may_run = type(coro) is SimulatedThread or not any(
                one is loop or (is_old and (one is None or loop is None)) for one in blocked
            )
        if may_run:
            found.append(number)
    return found
