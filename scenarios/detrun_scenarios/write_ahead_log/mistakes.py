"""Each mistake as a program of its own, to be explored:

    detrun explore scenarios/detrun_scenarios/write_ahead_log/mistakes.py:without_fsync

finds a moment at which the power must not go, shrinks the schedule that leads there, and says what was lost.
"""

from __future__ import annotations

from detrun_scenarios.write_ahead_log.crashes import main
from detrun_scenarios.write_ahead_log.store import CORRECT, WRONG


async def no_mistake() -> dict[bytes, int]:
    """The correct store, which passes."""
    return await main(CORRECT)


async def without_fsync() -> dict[bytes, int]:
    """Nothing is ever synced but the directory and the snapshot."""
    return await main(WRONG["without fsync"])


async def acknowledgement_before_fsync() -> dict[bytes, int]:
    """Clients are told that a write is safe before it is."""
    return await main(WRONG["acknowledgement before fsync"])


async def torn_tail_accepted() -> dict[bytes, int]:
    """Recovery takes the last record as it is, whole or not."""
    return await main(WRONG["torn tail accepted"])


async def directory_not_synced() -> dict[bytes, int]:
    """The files are durable, and nothing leads to them."""
    return await main(WRONG["directory not synced"])


async def snapshot_not_synced() -> dict[bytes, int]:
    """The snapshot takes its name before it has its content."""
    return await main(WRONG["snapshot not synced"])
