"""What the parts of the machine want of each other: `Caller` from below, `Memory` and `Files` from above.

A system call runs in the task of the thread that makes it. When it has to wait it leaves its core for as long
(``async with caller.waits("…")``), and what the kernel computes on its behalf is charged to it (`Caller.spend`).
Seconds may be `Value`s.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class Caller(Protocol):
    """A thread that has called into the kernel; kernel threads such as the one that writes dirty pages are some, too.

    Attributes:
        owner: name of the process that it belongs to.
        core: index of the core that it runs on, or has run on last.
    """

    @property
    def owner(self) -> str: ...

    @property
    def core(self) -> int: ...

    def waits(self, why: str) -> AbstractAsyncContextManager[None]:
        """Off its core for as long as the block takes: at its end the thread queues for a core again."""
        ...

    def spend(self, seconds: Any) -> None:
        """The kernel has computed so long for it: its next stay on a core is longer."""
        ...


class AddressSpace(Protocol):
    """The pages of one process, from 0 on."""

    async def touch(self, caller: Caller, page: int, write: bool) -> int:
        """Read or write one page; its version, which every write increases by one.

        A page that is there costs no virtual time; a fault waits.
        """
        ...

    def end(self) -> None:
        """The process is over: its frames and swap slots are free."""
        ...


class Memory(Protocol):
    """The frames of a machine."""

    @property
    def major_faults(self) -> int:
        """Page faults that had to read from the disk, of all processes."""
        ...

    @property
    def minor_faults(self) -> int:
        """Those that had not."""
        ...

    def space(self, owner: str, pages: int) -> AddressSpace:
        """A new address space, of which no page is there yet."""
        ...

    async def run(self) -> None:
        """The kernel thread that keeps frames free; until it is cancelled."""
        ...

    def check(self) -> None:
        """Fail the run if frames are lost or held twice."""
        ...


class Files(Protocol):
    """Files, by name, through a cache of pages.

    Attributes:
        hits, misses: of reads, by pages.
    """

    hits: int
    misses: int

    def create(self, name: str, pages: int) -> None:
        """A file that has been on the disk for long, of so many pages."""
        ...

    async def read(self, caller: Caller, name: str, page: int) -> int:
        """The version of a page, 0 if it was never written."""
        ...

    async def write(self, caller: Caller, name: str, page: int) -> int:
        """Change a page in the cache; its new version. Waits where too many pages are dirty."""
        ...

    async def fsync(self, caller: Caller, name: str) -> None:
        """Return when all that was written to the file before is on the disk."""
        ...

    async def run(self) -> None:
        """The kernel thread that writes dirty pages; until it is cancelled."""
        ...

    def check(self) -> None:
        """Fail the run if a page of the disk or of the cache is older than it may be. Called at the end."""
        ...
