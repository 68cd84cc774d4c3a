"""A page leaves memory while a task works with it, and what the task does is lost (Effelsberg and Härder 1984)."""

from __future__ import annotations

from detrun_scenarios.database.storage.buffer import BufferPool, Frame


class EvictedWhilePinned(BufferPool):
    """Asks the replacement policy alone."""

    def may_go(self, frame: Frame) -> bool:
        """See `BufferPool.may_go`."""
        return True  # right: not frame.pins
