"""Statistics for the planner, taken from the pages of each table when the server starts."""

from __future__ import annotations

from detrun_scenarios.database.sql.plan import Statistics
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.versions import version_of

PAGES_MIN = 10.0  # as PostgreSQL: a small table is likely to grow


async def estimates(store: Store) -> dict[str, Statistics]:
    """By the names of tables. Rows are counted as if none had an older version."""
    found: dict[str, Statistics] = {}
    for table in store.tables.values():
        rows = 0
        keys: dict[str, set[bytes]] = {name: set() for name in table.indexes}
        async for _, record in table.heap.scan():
            version = version_of(record)
            if not version.ended_by:
                rows += 1
                for name, index in table.indexes.items():
                    keys[name].add(index.key(version.row))
        pages = max(float(len(table.heap.pages)), PAGES_MIN)
        found[table.name] = Statistics(float(rows), pages, {name: float(len(some)) for name, some in keys.items()})
    return found
