"""Memory, files and a disk without cores: callers that wait for nothing but them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import trio

import detrun
from detrun_scenarios.operating_system.files.cached_files import CachedFiles
from detrun_scenarios.operating_system.memory.memory import PagedMemory
from detrun_scenarios.operating_system.memory.settings import MemorySettings
from detrun_scenarios.operating_system.storage.device import BlockDevice
from detrun_scenarios.operating_system.storage.settings import StorageSettings


class Alone:
    """A caller that has a core whenever it wants one."""

    def __init__(self, owner: str, core: int = 0) -> None:
        self.owner = owner
        self.core = core
        self.waited_for: list[str] = []

    @asynccontextmanager
    async def waits(self, why: str) -> AsyncIterator[None]:
        self.waited_for.append(why)
        yield

    def spend(self, seconds: Any) -> None:
        pass


class Parts:
    """What a machine has below its cores."""

    def __init__(self, memory: MemorySettings, storage: StorageSettings) -> None:
        self.device = BlockDevice(storage)
        self.memory = PagedMemory(memory, self.device, 2)
        self.files = CachedFiles(storage, self.memory, self.device)


def on_parts(
    body: Callable[[Parts], Coroutine[Any, Any, Any]],
    memory: MemorySettings | None = None,
    storage: StorageSettings | None = None,
    seed: int = 0,
) -> Any:
    """What the body returns, in a recorded run in which the kernel's tasks run, too."""

    async def main() -> Any:
        parts = Parts(memory or MemorySettings(), storage or StorageSettings())
        async with trio.open_nursery() as kernel:
            for one in (parts.device, parts.memory, parts.files):
                kernel.start_soon(one.run)
            result = await body(parts)
            parts.memory.check()
            parts.files.check()
            kernel.cancel_scope.cancel()
        return result

    return detrun.record(main, seed=seed, max_steps=50_000).result
