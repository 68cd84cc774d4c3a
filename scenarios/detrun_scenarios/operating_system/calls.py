"""`Caller`: a thread that has called into the kernel, as memory, files and pipes see it.

A system call runs in the task of the thread that makes it. When it has to wait it leaves its core for as long
(``async with caller.waits("…")``), and what the kernel computes on its behalf is charged to it (`Caller.spend`).
Seconds may be `Value`s.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class Caller(Protocol):
    """See the module.

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
