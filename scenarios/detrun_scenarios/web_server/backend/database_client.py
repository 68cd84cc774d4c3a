"""`DatabaseClient`: what routes ask of the database, through the pool and within a time.

The time-out covers one question and its answer, and the wait for a connection has its own. When it strikes, the
question is not taken back: the database serves it all the same, and the connection is closed, since its answer is due.
"""

from __future__ import annotations

import trio

from detrun_scenarios.web_server.errors import BackendError, BackendTimeoutError
from detrun_scenarios.web_server.resilience.pool import ConnectionPool
from detrun_scenarios.web_server.settings import Settings


class DatabaseClient:
    """See the module."""

    def __init__(self, settings: Settings, pool: ConnectionPool) -> None:
        self.settings = settings
        self.pool = pool

    async def read(self, item: str) -> str | None:
        """The text of an item; None where there is none.

        Raises:
            PoolTimeoutError, BackendTimeoutError, BackendError: see each.
        """
        kind, _, text = (await self._ask(f"READ {item}")).partition(" ")
        if kind == "NONE":
            return None
        return self._of_kind("VALUE", kind, text)

    async def order(self, order: str, item: str, count: int) -> tuple[str, int]:
        """Book an order; its number, and how many of the item are sold then. The same order again changes nothing.

        Raises:
            PoolTimeoutError, BackendTimeoutError, BackendError: see each. The order may have been booked then.
        """
        kind, _, rest = (await self._ask(f"ORDER {order} {item} {count}")).partition(" ")
        booked, _, number = self._of_kind("SOLD", kind, rest).partition(" ")
        return booked, int(number)

    async def _ask(self, line: str) -> str:
        async with self.pool.borrow() as connection:
            with trio.move_on_after(self.settings.database_timeout):
                return await connection.ask(line)
        raise BackendTimeoutError(f"no answer to {line.partition(' ')[0]} in time")

    def _of_kind(self, wanted: str, kind: str, rest: str) -> str:
        if kind != wanted:
            raise BackendError(f"the database answered {kind} where {wanted} was expected")
        return rest
