"""The routes: items out of the cache or the database, quotes out of the upstream service, orders into the database."""

from __future__ import annotations

import json

from detrun_scenarios.web_server.application.answers import Answer
from detrun_scenarios.web_server.backend.database_client import DatabaseClient
from detrun_scenarios.web_server.backend.upstream_client import UpstreamClient
from detrun_scenarios.web_server.caching.cache import Cache

NOT_FOUND = Answer(404, {"error": "NotFound"})


class Routes:
    """What the application does with a request that has come in.

    - ``GET /item/{item}``: the text of an item.
    - ``GET /quote/{symbol}``: a quote of the upstream service.
    - ``POST /order`` with ``{"order", "item", "count"}``: books an order. The same order may come again.
    """

    def __init__(self, database: DatabaseClient, cache: Cache, upstream: UpstreamClient) -> None:
        self.database = database
        self.cache = cache
        self.upstream = upstream

    async def answer(self, method: str, path: str, body: bytes) -> Answer:
        """The answer to a request.

        Raises:
            ServiceError: a part cannot serve it.
        """
        _, kind, *rest = path.split("/")
        if (method, kind) == ("GET", "item") and rest:
            return await self.item(rest[0])
        if (method, kind) == ("GET", "quote") and rest:
            return Answer(200, {"symbol": rest[0], "quote": await self.upstream.quote(rest[0])})
        if (method, kind) == ("POST", "order"):
            return await self.order(**json.loads(body))
        return NOT_FOUND

    async def item(self, item: str) -> Answer:
        """An item, from the cache if it is there."""

        async def fetch() -> str | None:
            return await self.database.read(item)

        text = await self.cache.get(item, fetch)
        return NOT_FOUND if text is None else Answer(200, {"item": item, "text": text})

    async def order(self, order: str, item: str, count: int) -> Answer:
        """Book an order."""
        booked, sold = await self.database.order(order, item, count)
        return Answer(200, {"order": booked, "sold": sold})
