"""`Process`: what a simulated program may call. One thread, an address space, signals; files, pipes and mutexes.

A process is the `Caller` of the kernel's parts. What a call costs is charged to it and paid the next time it computes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import trio

from detrun_scenarios.operating_system.cpu.mutex import Mutex
from detrun_scenarios.operating_system.cpu.scheduler import Scheduler
from detrun_scenarios.operating_system.cpu.threads import Thread
from detrun_scenarios.operating_system.files.cached_files import CachedFiles
from detrun_scenarios.operating_system.ipc.pipe import Pipe
from detrun_scenarios.operating_system.ipc.signals import SignalName, Signals
from detrun_scenarios.operating_system.memory.memory import PagedMemory
from detrun_scenarios.operating_system.settings import Settings


class Kernel(Protocol):
    """What a process needs of the machine that it runs on."""

    settings: Settings
    scheduler: Scheduler
    memory: PagedMemory
    files: CachedFiles
    processes: list[Process]


class Process:
    """See the module.

    Attributes:
        asked: seconds of a core at frequency 1 that its program has asked for; a Value.
        began, ended: when it was started, and when it was over; None before.
    """

    def __init__(self, machine: Kernel, thread: Thread, pages: int) -> None:
        self.machine = machine
        self.thread = thread
        self.space = machine.memory.space(thread.owner, pages)
        self.signals = Signals()
        self.asked: Any = 0.0
        self.began: Any = trio.current_time()
        self.ended: Any = None

    # As the kernel sees it: `Caller`.

    @property
    def owner(self) -> str:
        """See `Caller`."""
        return self.thread.owner

    @property
    def core(self) -> int:
        """See `Caller`."""
        return self.thread.core

    def waits(self, why: str) -> AbstractAsyncContextManager[None]:
        """See `Caller`."""
        return self.machine.scheduler.off_core(self.thread, why)

    def spend(self, seconds: Any) -> None:
        """See `Caller`."""
        self.thread.left = self.thread.left + seconds

    # As its program sees it.

    async def compute(self, seconds: Any) -> None:
        """Use a core for so long, at frequency 1; a signal meanwhile is seen to at once.

        Raises:
            KilledError: it had no handler.
        """
        self.asked = self.asked + seconds
        thread = self.thread
        await self.machine.scheduler.compute(thread, seconds / self.machine.settings.cpu.frequency)
        while thread.has_signal:
            rest, thread.left, thread.has_signal = thread.left, 0.0, False
            await self.signals.see_to()
            await self.machine.scheduler.compute(thread, rest)

    async def sleep(self, seconds: Any) -> None:
        """Want nothing for so long.

        Raises:
            InterruptedError: a signal came; its handler has run.
        """
        async with self._call(), self.waits("time to pass"):
            with self.signals.interruptible():
                await trio.sleep(seconds)

    async def touch(self, page: int, write: bool = False) -> int:
        """Read or write a page of memory: its version."""
        return await self.space.touch(self, page, write)

    async def read(self, name: str, page: int) -> int:
        """A page of a file: its version."""
        async with self._call():
            return await self.machine.files.read(self, name, page)

    async def write(self, name: str, page: int) -> int:
        """Change a page of a file: its new version."""
        async with self._call():
            return await self.machine.files.write(self, name, page)

    async def fsync(self, name: str) -> None:
        """Return when what was written to a file is on the disk."""
        async with self._call():
            await self.machine.files.fsync(self, name)

    async def put(self, pipe: Pipe, data: bytes) -> None:
        """Write to a pipe."""
        async with self._call():
            await pipe.write(self, data)

    async def get(self, pipe: Pipe, most: int) -> bytes:
        """Read from a pipe."""
        async with self._call():
            return await pipe.read(self, most)

    @asynccontextmanager
    async def holding(self, mutex: Mutex) -> AsyncIterator[None]:
        """A block in which it holds a mutex."""
        await mutex.lock(self.thread)
        try:
            yield
        finally:
            mutex.unlock(self.thread)

    def kill(self, other: Process, signal: SignalName) -> None:
        """Send a signal to another process."""
        other.signals.send(signal)
        self.machine.scheduler.signal(other.thread)

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """A call into the kernel: it costs, and signals are seen to when it returns."""
        self.spend(self.machine.settings.call_seconds)
        try:
            yield
        finally:
            if self.signals.pending:
                self.thread.has_signal = False
                await self.signals.see_to()
