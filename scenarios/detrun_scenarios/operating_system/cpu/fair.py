"""Fair queues: every thread has a virtual runtime, its time on cores over its weight, and the least one goes next.

Source: Linux's CFS before 6.6 (`kernel/sched/fair.c`). Two departures: the list is searched, where Linux has a tree;
and a slice is set once, when a thread takes the core, where Linux looks at each tick.
"""

from __future__ import annotations

from typing import Any

import detrun
from detrun.ad.value import primal_of
from detrun_scenarios.operating_system.cpu.queues import RunQueue
from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.cpu.threads import WEIGHT_OF_NICE_0, Thread

NANOSECOND = 1e-9
ROUNDS = 5.0  # of a queue, that one who waits is patient for


class FairQueue(RunQueue):
    """See the module.

    Attributes:
        min_vruntime: never falls; close to the least virtual runtime of all who want this core. One who comes from
            sleep or from another core is placed beside it.
    """

    def __init__(self, settings: CpuSettings) -> None:
        super().__init__(settings)
        self.min_vruntime: Any = 0.0
        self.running: Thread | None = None  # or has run last

    def add(self, thread: Thread, woken: bool) -> None:
        """One who has slept keeps a credit of half a latency at most, however long it slept."""
        if woken:
            thread.vruntime = detrun.maximum(thread.vruntime, self.min_vruntime - 0.5 * self.settings.latency)
        super().add(thread, woken)

    def next(self) -> Thread | None:
        """See `RunQueue`. Of those that are equal to a nanosecond, the unit of Linux, the first that came."""
        best: Thread | None = None
        for thread in self.threads:
            if best is None or thread.vruntime < best.vruntime - NANOSECOND:
                best = thread
        return best

    def slice_of(self, thread: Thread) -> Any:
        """Its share of a period in which all run once."""
        self.running = thread
        settings, load = self.settings, thread.weight
        for other in self.threads:
            load = load + other.weight
        period = detrun.maximum(settings.latency, (len(self.threads) + 1) * settings.min_granularity)
        return detrun.maximum(period * thread.weight / load, settings.min_granularity)

    def preempts(self, new: Thread, running: Thread) -> bool:
        """If it lags by more than the granularity, in its own virtual time."""
        granularity = self.settings.wakeup_granularity * WEIGHT_OF_NICE_0 / new.weight
        return bool(running.vruntime - new.vruntime > granularity)

    def patience(self, thread: Thread) -> float:
        """Some rounds of the queue for each of its shares of the load, that of the one who runs included."""
        settings, present = self.settings, list(self.threads)
        if self.running is not None and self.running not in present:
            present.append(self.running)
        load = sum(primal_of(one.weight) for one in present)
        round_seconds = primal_of(settings.latency) + len(present) * primal_of(settings.min_granularity)
        return ROUNDS * round_seconds * load / primal_of(thread.weight)

    def charge(self, thread: Thread, seconds: Any) -> None:
        """Move its virtual runtime, and the least one of all."""
        thread.vruntime = thread.vruntime + seconds * WEIGHT_OF_NICE_0 / thread.weight
        self.advance(thread)

    def advance(self, running: Thread) -> None:
        """Let `min_vruntime` follow the least of all who want the core."""
        least, first = running.vruntime, self.next()
        if first is not None:
            least = detrun.minimum(least, first.vruntime)
        self.min_vruntime = detrun.maximum(self.min_vruntime, least)

    def leaves(self, thread: Thread) -> None:
        """It takes with it how far it is from the others."""
        thread.vruntime = thread.vruntime - self.min_vruntime

    def arrives(self, thread: Thread) -> None:
        """See `leaves`."""
        thread.vruntime = thread.vruntime + self.min_vruntime
