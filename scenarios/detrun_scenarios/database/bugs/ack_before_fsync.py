"""A commitment is acknowledged while it is in memory only; a power loss takes it back (Gray and Reuter 1993, 9.4)."""

from __future__ import annotations

from detrun_scenarios.database.transactions.transaction import Transaction


class AckBeforeFsync(Transaction):
    """Leaves it to the next checkpoint, or to the next page that is written, to flush the log."""

    async def make_durable(self, lsn: int) -> None:
        """See `Transaction.make_durable`."""
        return  # right: await log.flush(lsn)
