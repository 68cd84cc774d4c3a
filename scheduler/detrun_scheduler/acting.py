"""What a run does by itself between two steps, as its `Actor` decides: a timer fires early, the collector runs.

A step takes no virtual time, so without this a time-out could never strike while another task is busy, and with the
collector off no finalizer of garbage in cycles could run in the middle of anything. Each action is written into the
column of choices (`detrun_scheduler.choices`), so a replay repeats it; runs without an actor pay nothing.

*Early timers*: the clock moves to the next timer as if the last step had taken so long, and everything that is due then
fires. Where nothing can run it would have done so anyway: that is no action.

*Collections*: ``gc.collect()`` at the beginning of a step, within the thread or task whose step it is and at the point
where that stands, so that what finalizers and callbacks do is done by it. The run has begun with a collection, and what
existed then is frozen: what the collector finds depends on the run alone.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from greenlet import GreenletExit, getcurrent
from trio.lowlevel import Task

from detrun_scheduler import current
from detrun_scheduler.choices import ATTENDS, COLLECT, COLLECTS, FIRE, action_number
from detrun_scheduler.frozen_heap import frozen_heap
from detrun_scheduler.journal import append_varint
from detrun_scheduler.journaled_run import JournaledRun
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.threads.threads import Threads
from detrun_scheduler.trio_host.idleness import fire
from detrun_scheduler.trio_host.private import CONTEXT, go_on_by, goes_on_by


@contextmanager
def acting(run: JournaledRun, threads: Threads) -> Iterator[None]:
    """A run with an actor, from before its first step to its end."""
    actor: Any = run.actor
    if actor is not run.oracle:
        actor.new_run(run)
    run.arm_at = actor.next_action(0) - 1
    if actor.attends and run.preemption is not None:
        append_varint(run.journal.choices, action_number(0, ATTENDS))
        threads.attended = run.timers.live
    if not actor.collects:
        yield
        return
    append_varint(run.journal.choices, action_number(0, COLLECTS))
    # What is left of earlier runs is finalized outside of this one.
    current.run = None
    gc.collect()
    current.run = run
    hook = sys.unraisablehook
    threads.give_way = _Collecting(threads)
    sys.unraisablehook = partial(_unless_killed, hook)
    try:
        with frozen_heap():
            yield
    finally:
        sys.unraisablehook = hook


def act(run: JournaledRun) -> None:
    """Do what the actor wants done after the step that is about to be closed; called where it has asked for that."""
    actor, timers, clock = run.actor, run.timers, run.virtual_clock
    assert actor is not None
    run.acts = False
    steps = run.journal.steps + 1
    following: float = steps
    while following <= steps:
        kind = actor.action(steps, bool(run.host.queue.numbers and timers.live))
        if kind == FIRE:
            append_varint(run.journal.choices, action_number(steps, FIRE))
            run.host.leave_task()
            before = clock.time
            fired = timers.jump()
            assert fired is not None
            if clock.time != before:
                run.journal_time(clock.time)
            fire(run.host, fired)
            run.journal_wakes()
        elif kind == COLLECT:
            append_varint(run.journal.choices, action_number(steps, COLLECT))
            run.collects = True
        following = actor.next_action(steps)
    run.arm_at = following - 1
    run.counts_anew = True


def collecting_step(run: JournaledRun, task: Task) -> int:
    """Step a task, which collects garbage first."""
    run.collects = False
    thread: Any = task.coro
    if type(thread) is not SimulatedThread:
        function, message = goes_on_by(task)
        go_on_by(task, partial(_collected_before, function), message)
    elif thread.has_begun:
        assert run.threads is not None
        run.threads.is_collecting = True
    else:
        thread.function, thread.arguments = _collected_before, (thread.function, *thread.arguments)
    return run.host.step(task)


def collect() -> None:
    """Collect garbage. What the collector runs is called from here, by which a narration knows it."""
    gc.collect()


def _collected_before(function: Any, *arguments: Any) -> Any:
    collect()
    return function(*arguments)


class _Collecting:
    """Gives way in a thread, and collects where the thread goes on if it is told to."""

    def __init__(self, threads: Threads) -> None:
        self.threads = threads
        self.switch = threads.hub.switch

    def __call__(self, trap: Any) -> Any:
        message = self.switch(trap)
        if self.threads.is_collecting:
            self.threads.is_collecting = False
            thread: Any = getcurrent()
            # A finalizer may come to schedule points and wait in the midst of what the thread does there.
            waits_for, deadline, task = thread.waits_for, thread.deadline, CONTEXT.task
            thread.deadline = None
            del CONTEXT.task
            collect()
            if thread.dying:
                raise GreenletExit
            thread.waits_for, thread.deadline, CONTEXT.task = waits_for, deadline, task
        return message


def _unless_killed(hook: Any, unraisable: Any) -> None:
    """A thread that is killed within a finalizer says nothing about it."""
    if unraisable.exc_type is not GreenletExit:
        hook(unraisable)
