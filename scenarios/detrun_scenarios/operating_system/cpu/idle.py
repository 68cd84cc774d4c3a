"""`Idle`: the idle thread of a core, which halts it while there is nothing to run.

To halt and to wake take time. A thread may be woken for this core meanwhile, and the wake-up kicks only a core that
is asleep. So the core says that it is asleep before it looks at its queue for the last time (`prepare`): a wake-up
before the look is seen, and one after it kicks.

Source: Linux, `kernel/sched/idle.c`, `do_idle`, and the ordering of `TIF_POLLING_NRFLAG` and `need_resched`.
"""

from __future__ import annotations

import trio

from detrun_scenarios.operating_system.cpu.core import Core
from detrun_scenarios.operating_system.cpu.scheduler import Scheduler


class Idle:
    """See the module."""

    def __init__(self, scheduler: Scheduler, core: Core) -> None:
        self.scheduler = scheduler
        self.core = core

    async def run(self) -> None:
        """Until cancelled."""
        core = self.core
        while True:
            await core.idles.wait()
            if await self.prepare():
                core.is_halted = True
                await core.kick.wait()
                core.is_halted = False
                await trio.sleep(self.scheduler.settings.idle_seconds)
            core.is_asleep, core.kick = False, trio.Event()
            core.idles = trio.Event()
            self.scheduler.dispatch(core)

    async def prepare(self) -> bool:
        """Whether the core may halt: it is asleep, and has nothing to run."""
        self.core.is_asleep = True
        await trio.sleep(self.scheduler.settings.idle_seconds)
        return not self.core.queue.threads
