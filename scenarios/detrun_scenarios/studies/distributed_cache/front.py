"""The front: sends requests to the nodes that the ring names, and hears the answers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.news import News
from detrun_scenarios.studies.distributed_cache.messages import Answer, Get
from detrun_scenarios.studies.distributed_cache.ring import Ring
from detrun_scenarios.studies.distributed_cache.tenants import BY_NAME, TENANTS, Tenant

ANSWERED = "every request is answered"


class Front:
    """Measures the requests of a window of time.

    Args:
        seconds: until when requests are sent.
        measured_from: since when they count.
    """

    def __init__(self, ring: Ring, seconds: float, measured_from: float) -> None:
        self.ring = ring
        self.seconds = seconds
        self.measured_from = measured_from
        self.asked = self.answered = 0
        self.latencies: list[Any] = []
        self.stale = 0
        self.missed: dict[str, list[Any]] = defaultdict(list)  # 1 or 0 for each request, by class
        self.news = News()

    async def run(self) -> None:
        """The program of the front's machine."""
        self._node = detrun.this_node()
        async with trio.open_nursery() as nursery:
            for tenant in TENANTS:
                nursery.start_soon(self.send, tenant, name=tenant.name)
            nursery.start_soon(self.hear)

    async def send(self, tenant: Tenant) -> None:
        """Requests of a class, at random times."""
        popularity, number = tenant.popularity(), 0
        while True:
            await detrun.sleep(detrun.exponential(1.0 / tenant.rate))
            if trio.current_time() > self.seconds:
                return
            key = tenant.key(detrun.choice(tenant.objects, popularity))
            self.asked += 1
            number += 1
            get = Get(f"{tenant.name} {number}", tenant.name, key, trio.current_time())
            self._node.send(self.ring.owner(key), get)

    async def hear(self) -> None:
        """Answers."""
        while True:
            self.note(await self._node.receive(Answer))

    def note(self, answer: Answer) -> None:
        """An answer has come."""
        self.answered += 1
        self.news.tell()
        get, now = answer.get, trio.current_time()
        if get.sent < self.measured_from:
            return
        self.latencies.append(now - get.sent + answer.excess)
        self.missed[get.tenant].append(1.0 - answer.hit)
        self.stale += answer.version < BY_NAME[get.tenant].version(get.key, now)
