"""A row that another one has changed since it was read is written over, by what was read (Berenson et al. 1995, P4)."""

from __future__ import annotations

from contextlib import aclosing

from detrun_scenarios.database.transactions.table import Table
from detrun_scenarios.database.transactions.transaction import Found, Transaction
from detrun_scenarios.database.transactions.versions import Row
from detrun_scenarios.database.tree.keys import Address, end_of


class LostUpdate(Transaction):
    """Puts the new row in place of the newest version, whichever one it has read."""

    async def update(self, table: Table, found: Found, row: Row) -> Address:
        """See `Transaction.update`."""
        newest = await self._newest(table, found)
        return await super().update(table, newest, row)  # right: in place of found

    async def _newest(self, table: Table, found: Found) -> Found:
        snapshot, self.snapshot = self.snapshot, self.store.snapshot(self.number)
        index = next(one for one in table.indexes.values() if one.forbids_another(found.row))
        key = index.key(found.row)
        async with aclosing(self._each_leaf(table, index, key, end_of(key))) as leaves:
            newest = [one async for leaf in leaves for one in leaf]
        self.snapshot = snapshot
        return newest[0] if newest else found
