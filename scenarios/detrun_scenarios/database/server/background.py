"""What a server does beside its clients' work: it writes dirty pages ahead, and takes checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import detrun
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.recovery import checkpoint, cut_log
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.vacuum import vacuum


async def write_ahead(pool: BufferPool, interval: Any, pages: int) -> None:
    """Write some dirty pages that are not in use, so often: those with the oldest changes, where redo would begin.

    A task that wants a place in the pool then finds a clean page to drop, and need not wait for log and disk.
    """
    while True:
        await detrun.sleep(interval)
        dirty = [frame for frame in pool.frames.values() if frame.recovery_lsn is not None and not frame.pins]
        dirty.sort(key=lambda frame: frame.recovery_lsn or 0)
        for frame in dirty[:pages]:
            await pool.write(frame)


async def keep_clean(store: Store, interval: Any) -> None:
    """Remove, so often, versions that are past for all transactions."""
    while True:
        await detrun.sleep(interval)
        await vacuum(store)


async def take_checkpoints(changes: Changes, interval: Any, keep_from: Callable[[], int]) -> None:
    """Take checkpoints, each so long after the one before it, and free the log that is not needed any more.

    Args:
        keep_from: a position from which others need it.
    """
    before = await checkpoint(changes)
    while True:
        await detrun.sleep(interval)
        before = await checkpoint(changes, write_before=before)
        await cut_log(changes, keep_from())
