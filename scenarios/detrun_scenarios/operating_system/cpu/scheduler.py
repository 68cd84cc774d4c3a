"""`Scheduler`: gives cores to threads. It chooses a core for one who wakes, and the next thread for a core.

The choice is made in the task of the thread that leaves, as in Linux's `schedule()`; a core that finds no thread, in
its queue or in another one, goes to its idle thread (`idle`), which halts it until it is kicked. A thread that is woken
goes to the core on which it ran, if that one is idle, else to any idle one, else to its own, where it may preempt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import trio

from detrun_scenarios.operating_system.cpu.core import Core
from detrun_scenarios.operating_system.cpu.fair import FairQueue
from detrun_scenarios.operating_system.cpu.feedback import FeedbackQueue
from detrun_scenarios.operating_system.cpu.fixed import FixedQueue
from detrun_scenarios.operating_system.cpu.queues import RunQueue
from detrun_scenarios.operating_system.cpu.settings import CpuSettings, PolicyName
from detrun_scenarios.operating_system.cpu.threads import WEIGHT_OF_NICE_0, State, Thread

QUEUES: Mapping[PolicyName, Callable[[CpuSettings], RunQueue]] = {
    "fair": FairQueue,
    "feedback": FeedbackQueue,
    "fixed": FixedQueue,
}


class Contended(Protocol):
    """A lock that some threads wait for."""

    @property
    def holder(self) -> Thread | None:
        """The one that has it."""

    @property
    def waiting(self) -> Mapping[Thread, object]:
        """Those that want it."""


class Scheduler:
    """All cores of a machine, and all threads.

    Attributes:
        threads: that have not ended, in the order in which they were made.
        contended: the mutexes that some thread waits for.
    """

    def __init__(self, settings: CpuSettings, queue: Callable[[CpuSettings], RunQueue] | None = None) -> None:
        made = QUEUES[settings.policy] if queue is None else queue
        self.settings = settings
        self.cores = [Core(index, made(settings)) for index in range(settings.cores)]
        self.threads: list[Thread] = []
        self.contended: dict[Contended, None] = {}
        self._made = 0

    def new_thread(self, owner: str, weight: Any = WEIGHT_OF_NICE_0, priority: int = 0) -> Thread:
        """A thread that has no core yet."""
        thread = Thread(self._made, owner, weight, priority)
        self._made += 1
        self.threads.append(thread)
        return thread

    # What a thread does, in its own task.

    async def compute(self, thread: Thread, seconds: Any) -> None:
        """Return when the thread has had a core for so long, besides what it owed, or has a signal to see to."""
        thread.left = thread.left + seconds
        if thread.state is not State.RUNNING:
            await self.take_core(thread)
        while thread.left > 0.0 and not thread.has_signal:
            core = self.cores[thread.core]
            await core.execute()
            if core.must_switch or core.slice_left <= 0.0:
                await self._give_way(thread, core)

    @asynccontextmanager
    async def off_core(self, thread: Thread, why: str) -> AsyncIterator[None]:
        """The thread waits for something, and then for a core."""
        self.leave_core(thread, why)
        try:
            yield
        finally:
            await self.take_core(thread)

    async def take_core(self, thread: Thread) -> None:
        """Queue, and return when the thread has a core."""
        self.wake(thread)
        await thread.has_core.wait()

    def leave_core(self, thread: Thread, why: str) -> None:
        """It wants no core now."""
        if thread.state is State.RUNNING:
            core = self.cores[thread.core]
            core.account()
            self._retire(thread, State.WAITING)
            self.dispatch(core)
        thread.why = why

    def end(self, thread: Thread) -> None:
        """It never wants one again."""
        if thread.state is State.QUEUED:
            self.cores[thread.core].queue.remove(thread)
        self.leave_core(thread, "nothing")
        thread.state = State.ENDED
        self.threads.remove(thread)

    async def _give_way(self, thread: Thread, core: Core) -> None:
        """Others have their turn, if there are any that should."""
        self._retire(thread, State.QUEUED)
        thread.passed_since = core.busy
        core.queue.add(thread, woken=False)
        self.dispatch(core)
        await thread.has_core.wait()

    def _retire(self, thread: Thread, state: State) -> None:
        thread.state, thread.has_core = state, trio.Event()

    # What is done to threads.

    def wake(self, thread: Thread) -> None:
        """It wants a core from now on."""
        assert thread.state is State.WAITING, f"{thread} is {thread.state.value}"
        core = self._place(thread)
        if core.current is not None:
            core.account()  # so that it is placed beside what the others have had by now
        self._move(thread, core)
        thread.state, thread.passed_since = State.QUEUED, core.busy
        core.queue.add(thread, woken=True)
        if core.current is None:
            self.kick(core)
        else:
            self.urge(thread)

    def urge(self, thread: Thread) -> None:
        """Let a queued thread take its core, if its claim is better than that of the one which runs there."""
        core = self.cores[thread.core]
        if thread.state is State.QUEUED and core.current is not None:
            core.account()
            if core.queue.preempts(thread, core.current):
                core.interrupt()

    def signal(self, thread: Thread) -> None:
        """It returns from what it computes, and keeps its core meanwhile."""
        thread.has_signal = True
        if thread.state is State.RUNNING:
            self.cores[thread.core].lot.unpark_all()

    def settle(self, thread: Thread) -> None:
        """The claim of one that may run has become less: let a better one that is queued take the core."""
        core = self.cores[thread.core]
        best = core.queue.next()
        if core.current is thread and best is not None:
            self.urge(best)

    def kick(self, core: Core) -> None:
        """Wake a core that is asleep; one that is awake looks at its queue by itself."""
        if core.is_asleep:
            core.kick.set()

    def dispatch(self, core: Core) -> None:
        """Give a core that has lost its thread to the next one, or to the idle thread."""
        thread = core.queue.next()
        if thread is None:
            thread = self._steal(core)
        if thread is None:
            core.current = None
            core.idles.set()
            return
        core.queue.remove(thread)
        if core.last is not thread:
            core.switches += 1
            thread.left = thread.left + self.settings.switch_seconds
        thread.state = State.RUNNING
        core.last = thread
        core.begin(thread, core.queue.slice_of(thread))
        thread.has_core.set()

    # Between cores.

    def _place(self, thread: Thread) -> Core:
        """The core to wake a thread on."""
        if thread.core < 0:
            return min(self.cores, key=lambda core: (core.current is not None) + len(core.queue))
        home = self.cores[thread.core]
        if home.is_idle:
            return home
        return next((core for core in self.cores if core.is_idle), home)

    def _move(self, thread: Thread, core: Core) -> None:
        """Of a thread that is in no queue."""
        if thread.core != core.index:
            if thread.core >= 0:
                self.cores[thread.core].queue.leaves(thread)
                thread.left = thread.left + self.settings.migration_seconds
                core.migrations += 1
            core.queue.arrives(thread)
            thread.core = core.index

    def pull(self, thread: Thread, core: Core) -> None:
        """Take a queued thread to the queue of another core."""
        self.cores[thread.core].queue.remove(thread)
        self._move(thread, core)
        thread.passed_since = core.busy
        core.queue.add(thread, woken=False)

    def _steal(self, core: Core) -> Thread | None:
        """One that waits elsewhere, where most do: the one that has waited longest and is the least warm there."""
        busiest = max(self.cores, key=lambda other: len(other.queue))
        if not busiest.queue.threads:
            return None
        thread = busiest.queue.threads[0]
        self.pull(thread, core)
        return thread
