"""The end of a run that failed inside the loop: it is cancelled and cleans up, and the process is fit for the next."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress

from detrun_scheduler.journal import CHECKPOINT, Journal
from detrun_scheduler.journaled_run import JournaledRun
from detrun_scheduler.trio_host.giving_up import cancel_everything, close_remaining
from detrun_scheduler.trio_host.idleness import fire, idle_on_foreign_clock

# Steps that a failed run may take to clean up before its coroutines are closed by force.
UNWINDING_STEPS = 100_000


def unwind(run: JournaledRun) -> None:
    """Cancel what is left of a failed run and let it clean up; close by force what does not end."""
    host, timers, numbers = run.host, run.timers, run.host.queue.numbers
    run.journal = Journal()  # what happens now is not part of the run
    host.kind_number = run.journal.kind_number
    timers.observer = run.arrived = None
    number = -1
    # Whatever fails now must not hide why the run failed.
    with suppress(Exception):
        assert run.threads is not None
        run.threads.kill_all()
        cancel_everything(host)
        for _ in range(UNWINDING_STEPS):
            host.queue.woken.clear()
            if numbers:
                # In turn, so that a task that polls does not starve the one that it polls for.
                number = numbers.pop(bisect_right(numbers, number) % len(numbers))
                if host.step(host.by_number[number]) == CHECKPOINT:
                    host.queue.put(numbers, number)
            elif not host.tasks:
                return
            elif run.foreign_clock is not None:
                if not idle_on_foreign_clock(host, timers):
                    break
            elif not host.wake_idle():
                fired = timers.jump()
                if fired is None:
                    break
                host.leave_task()
                fire(host, fired)
    close_remaining(host)
