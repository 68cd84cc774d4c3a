"""`ProcessEnd`: the descriptor of a process that ``os.pidfd_open`` gives. It is readable once the process has ended.

Source: pidfd_open(2).
"""

from __future__ import annotations

import os
from typing import Any

from detrun.world.processes.held_ends import HeldEnd, Side


class ProcessEnd(HeldEnd):
    """A descriptor of one process.

    Args:
        target: the process.
    """

    kind = "process"

    def __init__(self, target: Any) -> None:
        super().__init__(target.services, Side(), os.O_RDWR)
        self.target = target
        target.changes.watch(self.readers.wake)

    def _released(self) -> None:
        self.target.changes.unwatch(self.readers.wake)
        super()._released()

    def is_readable(self) -> bool:
        """Whether the process has ended."""
        return not self.target.is_running

    def is_writable(self) -> bool:
        """Never."""
        return False

    def awaited(self, readable: bool) -> str:
        """What lets a wait go on."""
        return f"process {self.target.pid} goes on"
