"""A cache node: answers from its memory, and fetches what it does not have, each object once at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.distributed_cache.memory import Memory
from detrun_scenarios.studies.distributed_cache.messages import Answer, Get
from detrun_scenarios.studies.distributed_cache.tenants import BY_NAME

YOUNG_ENOUGH = "what is served was current within its time to live"
FETCHED_ONCE = "an object is fetched once at a time"
FRONT = "front"


class CacheNode:
    """One of the nodes.

    Args:
        rooms: objects of each class.
        ttls: seconds, of each class.
    """

    def __init__(self, name: str, rooms: Mapping[str, Any], ttls: Mapping[str, Any]) -> None:
        self.name = name
        self.rooms, self.ttls = rooms, ttls
        self.forget()
        self._waiting: dict[str, list[tuple[Get, Any]]] = {}  # for a fetch of that key
        self._fetches: dict[str, int] = {}  # under way, by key

    def forget(self) -> None:
        """Begin with an empty memory."""
        self.memories = {tenant: Memory(room, self.ttls[tenant]) for tenant, room in self.rooms.items()}

    async def run(self) -> None:
        """The program of the node."""
        self._node = detrun.this_node()
        async with trio.open_nursery() as nursery:
            while True:
                self.ask(await self._node.receive(Get), nursery)

    def ask(self, get: Get, nursery: trio.Nursery) -> None:
        """Answer, or fetch."""
        found = self.memories[get.tenant].look(get.key, trio.current_time())
        fetch = detrun.exponential(BY_NAME[get.tenant].origin_seconds, key=("fetch", get.number))
        if found.entry is not None:
            self.check_age(get, found.entry.version)
            self.answer(get, found.entry.version, found.hit, (1.0 - found.hit) * fetch)
            return
        if get.key not in self._waiting:
            self._waiting[get.key] = [(get, found.hit)]
            nursery.start_soon(self.fetch, get, fetch)
        else:  # a hit if the one that began the fetch had been one
            _, hit = self._waiting[get.key][0]
            self._waiting[get.key].append((get, hit))

    async def fetch(self, get: Get, seconds: Any) -> None:
        """Get an object from the origin, for all who wait for it."""
        self._fetches[get.key] = self._fetches.get(get.key, 0) + 1
        require(self._fetches[get.key] == 1, FETCHED_ONCE, f"{get.key} at {self.name}")
        await detrun.sleep(seconds)
        self._fetches[get.key] -= 1
        now = trio.current_time()
        version = BY_NAME[get.tenant].version(get.key, now)
        self.memories[get.tenant].put(get.key, version, now)
        for one, hit in self._waiting.pop(get.key):
            self.answer(one, version, hit, -hit * (now - one.sent))

    def check_age(self, get: Get, version: int) -> None:
        """The object may be old, and no older than its time to live."""
        tenant, memory = BY_NAME[get.tenant], self.memories[get.tenant]
        oldest = tenant.version(get.key, trio.current_time() - memory.ttl)
        require(version >= oldest, YOUNG_ENOUGH, f"{get.key}: version {version}, {oldest} before its time to live")

    def answer(self, get: Get, version: int, hit: Any, excess: Any) -> None:
        """To the front."""
        self._node.send(FRONT, Answer(get, version, hit, excess))
