"""`Vacuum`: versions that no snapshot can see are removed with their entries, and pages that become empty are free.

A version may go when the transaction that ended it had ended before the oldest transaction that goes on took its
snapshot. Its entries go first: a place of the heap that could be taken by another row has no entry any more. What
happens is in the log, as changes that belong to no transaction and are never taken back; after a crash in between, the
next round goes on.

Source: PostgreSQL's VACUUM, one page after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.database.log.records import NO_TREE, Change
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.table import Table
from detrun_scenarios.database.transactions.versions import version_of
from detrun_scenarios.database.tree.keys import Address, entry_of
from detrun_scenarios.database.tree.merges import is_small, shrink


@dataclass(slots=True)
class Swept:
    """What was removed.

    Attributes:
        pages: of heaps and indexes, that are free now.
    """

    versions: int = 0
    pages: int = 0


async def vacuum(store: Store) -> Swept:
    """One round through all tables. There is one at a time."""
    swept = Swept()
    for table in list(store.tables.values()):
        for page_id in list(table.heap.pages):
            await _sweep_page(store, table, page_id, swept)
    return swept


async def _sweep_page(store: Store, table: Table, page_id: int, swept: Swept) -> None:
    changes, horizon = store.changes, store.horizon()
    pool = changes.pool
    async with pool.using(page_id, "heap", "shared") as frame:
        versions = [(slot, version_of(record)) for slot, record in frame.page.records()]
    dead = [(slot, version) for slot, version in versions if version.ended_by and version.ended_by < horizon]
    if dead:
        for index in table.indexes.values():
            entries = sorted(entry_of(index.key(one.row), Address(page_id, slot)) for slot, one in dead)
            small = await index.tree.remove(entries, horizon, is_small)
            for entry in small:
                swept.pages += await shrink(index.tree, entry)
        async with pool.using(page_id, "heap", "exclusive") as frame:
            gone = tuple(Change("delete", slot, old=frame.page[slot]) for slot, _ in dead)
            changes.remove(frame, gone, NO_TREE, horizon)
        swept.versions += len(dead)
        table.heap.has_room_again(page_id)
    if len(dead) == len(versions) and await table.heap.free_page(page_id):
        swept.pages += 1
