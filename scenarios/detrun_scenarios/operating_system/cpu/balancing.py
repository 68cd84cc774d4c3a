"""`Balancing`: a busy core looks at the queues of others from time to time, and takes a thread from the busiest one.

Idle cores need none: they take a thread at the moment when they run out of theirs, and threads wake on idle cores.

Source: Linux, `load_balance` in `kernel/sched/fair.c`; here one thread moves at a time, and cores are all alike.
"""

from __future__ import annotations

import trio

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.operating_system.cpu.core import Core
from detrun_scenarios.operating_system.cpu.scheduler import Scheduler
from detrun_scenarios.operating_system.cpu.threads import Thread

LESS = 1.0 - 1e-9  # a thread that is the whole difference stays, however the loads were rounded

DIGITS = 6  # of weights that count: where two threads would do equally well, the one that came first moves


class Balancing:
    """See the module."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    async def run(self) -> None:
        """Until cancelled; a look at each core in turn, each once in an interval."""
        cores = self.scheduler.cores
        while len(cores) > 1:
            for core in cores:
                await trio.sleep(self.scheduler.settings.balance_interval / len(cores))
                if core.current is not None:
                    self.balance(core)

    def balance(self, core: Core) -> None:
        """Take the thread that makes the two loads the most alike, if one does."""
        busiest = max(self.scheduler.cores, key=lambda other: other.load)
        excess = busiest.load - core.load
        movable: list[Thread] = [one for one in busiest.queue.threads if one.weight < excess * LESS]
        if busiest is not core and movable:
            chosen = min(movable, key=lambda one: round(abs(plain(one.weight - 0.5 * excess)), DIGITS))
            self.scheduler.pull(chosen, core)
            self.scheduler.urge(chosen)
