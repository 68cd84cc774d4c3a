"""`Machine`: cores, memory, files and a disk together, with the kernel's own tasks, and processes that it starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import trio

from detrun_scenarios.operating_system.cpu.balancing import Balancing
from detrun_scenarios.operating_system.cpu.feedback import boost
from detrun_scenarios.operating_system.cpu.mutex import Mutex
from detrun_scenarios.operating_system.cpu.scheduler import QUEUES, Scheduler
from detrun_scenarios.operating_system.cpu.threads import WEIGHT_OF_NICE_0
from detrun_scenarios.operating_system.cpu.watchdog import Watchdog
from detrun_scenarios.operating_system.files.cached_files import CachedFiles
from detrun_scenarios.operating_system.ipc.signals import KilledError
from detrun_scenarios.operating_system.memory.memory import PagedMemory
from detrun_scenarios.operating_system.parts import RIGHT, Parts
from detrun_scenarios.operating_system.process import Process
from detrun_scenarios.operating_system.settings import Settings
from detrun_scenarios.operating_system.storage.device import BlockDevice

Simulated: TypeAlias = Callable[[Process], Awaitable[None]]


class Machine:
    """See the module.

    Attributes:
        processes: all that were started, in their order.
    """

    def __init__(self, settings: Settings, parts: Parts, users: trio.Nursery) -> None:
        self.settings = settings
        self.parts = parts
        queue = parts.fair if settings.cpu.policy == "fair" else QUEUES[settings.cpu.policy]
        self.scheduler = Scheduler(settings.cpu, queue)
        self.device = BlockDevice(settings.storage)
        self.memory = PagedMemory(settings.memory, self.device, settings.cpu.cores, parts.space)
        self.files = CachedFiles(settings.storage, self.memory, self.device, parts.write_back)
        self.processes: list[Process] = []
        self._users = users

    def start(
        self,
        name: str,
        program: Simulated,
        weight: Any = WEIGHT_OF_NICE_0,
        priority: int = 0,
        pages: int = 1,
    ) -> Process:
        """A new process, which runs until its program returns or a signal ends it."""
        process = Process(self, self.scheduler.new_thread(name, weight, priority), pages)
        self.processes.append(process)
        self._users.start_soon(self._live, process, program, name=name)
        return process

    def mutex(self, name: str) -> Mutex:
        """A new one, which is free."""
        return self.parts.mutex(self.scheduler, name)

    async def _live(self, process: Process, program: Simulated) -> None:
        try:
            await self.scheduler.take_core(process.thread)
            await program(process)
        except KilledError:
            pass
        process.ended = trio.current_time()
        self.scheduler.end(process.thread)
        process.space.end()

    def boot(self, kernel: trio.Nursery) -> None:
        """Start the kernel's own tasks."""
        for core in self.scheduler.cores:
            kernel.start_soon(self.parts.idle(self.scheduler, core).run, name=f"idle{core.index}")
        kernel.start_soon(Balancing(self.scheduler).run, name="balancing")
        kernel.start_soon(Watchdog(self.scheduler, self.settings.watch_interval).run, name="watchdog")
        if self.settings.cpu.policy == "feedback":
            kernel.start_soon(self._boost, name="boost")
        kernel.start_soon(self.device.run, name="disk")
        kernel.start_soon(self.memory.run, name="kswapd")
        kernel.start_soon(self.files.run, name="flusher")

    async def _boost(self) -> None:
        while True:
            await trio.sleep(self.settings.cpu.boost_period)
            boost(self.scheduler.threads)

    def check(self) -> None:
        """Fail the run unless all is as it should be when no process is left."""
        self.memory.check()
        self.files.check()


@asynccontextmanager
async def machine(settings: Settings, parts: Parts = RIGHT) -> AsyncIterator[Machine]:
    """A machine that runs until the processes that the block starts have ended."""
    async with trio.open_nursery() as kernel:
        async with trio.open_nursery() as users:
            found = Machine(settings, parts, users)
            found.boot(kernel)
            yield found
        found.check()
        kernel.cancel_scope.cancel()
