"""`Watchdog`: looks at all cores from time to time, and fails the run if the kernel neglects a thread.

It goes by what has been decided, and by seconds of cores, so that no delay of the watched or of itself makes it bark.

Source: Linux, `kernel/hung_task.c` and `kernel/watchdog.c`, which can only go by time.
"""

from __future__ import annotations

import trio

from detrun.ad.value import primal_of
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.operating_system.cpu.core import Core
from detrun_scenarios.operating_system.cpu.scheduler import Scheduler
from detrun_scenarios.operating_system.cpu.threads import State
from detrun_scenarios.operating_system.invariants import NO_INVERSION, NO_STARVATION, WORK_CONSERVED


class Watchdog:
    """See the module."""

    def __init__(self, scheduler: Scheduler, interval: float) -> None:
        self.scheduler = scheduler
        self.interval = interval

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(self.interval)
            self.look()

    def look(self) -> None:
        """At everything."""
        for core in self.scheduler.cores:
            waiting = core.queue.threads
            is_forgotten = core.is_halted and not core.kick.is_set() and bool(waiting)
            require(not is_forgotten, WORK_CONSERVED, f"core {core.index} has halted, and {waiting} wait for it")
            self.look_at_queue(core)
        self.look_at_locks()

    def look_at_queue(self, core: Core) -> None:
        """For a thread that is passed over by others for too long."""
        for thread in core.queue.threads:
            passed = primal_of(core.busy - thread.passed_since)
            patience = core.queue.patience(thread)
            detail = f"{thread} waits for core {core.index} while others have had {passed:.3f} s of it"
            require(passed <= patience, NO_STARVATION, detail)

    def look_at_locks(self) -> None:
        """For one who keeps off a more urgent one, by way of a lock that a third one holds. Fixed priorities only."""
        if self.scheduler.settings.policy != "fixed":
            return
        for lock in self.scheduler.contended:
            holder, kept_off = lock.holder, max(lock.waiting, key=lambda one: one.priority)
            assert holder is not None
            core = self.scheduler.cores[holder.core]
            running = core.current
            is_kept_off = holder.state is State.QUEUED and not core.must_switch and running is not None
            is_fine = not is_kept_off or running is None or running.priority >= kept_off.priority
            detail = f"{running} runs, {kept_off} is more urgent and waits for a lock of {holder}, who is queued"
            require(is_fine, NO_INVERSION, detail)
