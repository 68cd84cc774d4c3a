"""`Watch`: one run of a database under all checks of this room, through all starts of its server."""

from __future__ import annotations

from dataclasses import replace

from detrun_scenarios.database.checks.durability import check_recovered
from detrun_scenarios.database.checks.history import History, noted
from detrun_scenarios.database.checks.order import in_order
from detrun_scenarios.database.checks.pages import checked
from detrun_scenarios.database.parts import Parts
from detrun_scenarios.database.transactions.store import Store


class Watch:
    """See the module. What it notes grows with the run: it is for short ones."""

    def __init__(self) -> None:
        self.history = History()

    def over(self, parts: Parts) -> Parts:
        """The same parts, watched."""
        return replace(parts, transaction=noted(parts.transaction, self.history), pool=checked(parts.pool))

    def over_replica(self, parts: Parts) -> Parts:
        """The same for a replica."""
        return replace(parts, batches=in_order(parts.batches))

    async def recovered(self, store: Store) -> None:
        """A server has recovered, and works not yet. See `check_recovered`."""
        if self.history.transactions:
            await check_recovered(store, self.history)
