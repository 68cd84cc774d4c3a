"""`Worker`: the program of a node that computes gradients and pushes them.

It joins, and gets a session, the batch to begin with, and weights. Then it takes a batch, computes for as long as the
batch is large, pushes, and waits for newer weights. A request is repeated until it is answered. Where a push is
refused, the server has started again, or has given the worker up: it joins anew.

What was kept back of gradients is lost with the process, as the weights are.
"""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.training.invariants import Monitor
from detrun_scenarios.training.losses import Meter
from detrun_scenarios.training.messages import Alive, Join, Joined, Push, Refused, Weights
from detrun_scenarios.training.model.compression import compressed
from detrun_scenarios.training.model.digits import Shard
from detrun_scenarios.training.model.network import gradient
from detrun_scenarios.training.model.tensors import torch
from detrun_scenarios.training.parameter_server.server import SERVER
from detrun_scenarios.training.parts import Parts
from detrun_scenarios.training.settings import Settings
from detrun_scenarios.training.speeds import Speed

RETRY_SECONDS = 0.08
ALIVE_SECONDS = 0.03


class Worker:
    """See the module."""

    def __init__(
        self, shard: Shard, speed: Speed, settings: Settings, monitor: Monitor, meter: Meter, parts: Parts
    ) -> None:
        self._node = detrun.this_node()
        self._shard, self._speed, self._settings = shard, speed, settings
        self._monitor, self._meter = monitor, meter
        self._loader = parts.loader(shard)
        self._session = 0

    async def run(self) -> None:
        """Join and train, until the node stops."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._say_alive, name="alive")
            while True:
                await self._train(await self._join())

    async def _say_alive(self) -> None:
        while True:
            await trio.sleep(ALIVE_SECONDS)
            self._send(Alive(self._session), 0)

    async def _join(self) -> Joined:
        attempt = plain(trio.current_time())
        while True:
            self._send(Join(attempt), 0)
            with trio.move_on_after(RETRY_SECONDS):
                while True:
                    found = await self._node.receive(Joined)
                    if found.attempt == attempt:
                        return found

    async def _train(self, joined: Joined) -> None:
        """Push gradients until one is refused."""
        self._session = joined.session
        await self._loader.begin(joined.batch)
        self._monitor.begins(self._node.name)
        weights, version, number = joined.weights, joined.version, 0
        kept = torch().zeros_like(weights)
        while True:
            batch = await self._loader.take()
            found = gradient(weights, batch)
            await trio.sleep(self._speed.seconds(self._shard.size))
            sent = compressed(found, kept, self._settings.compression_ratio)
            self._monitor.compressed(found, kept, sent)
            kept = sent.kept
            number += 1
            push = Push(joined.session, number, batch.number, version, sent.indices, sent.values)
            answer = await self._push(push, sent.bytes)
            if answer is None:
                return
            weights, version = answer.weights, answer.version
            await self._loader.done(batch)
            self._monitor.is_done(self._node.name)

    async def _push(self, push: Push, size: Any) -> Weights | None:
        while True:
            self._send(push, size)
            with trio.move_on_after(RETRY_SECONDS):
                while True:
                    found: Weights | Refused = await self._node.receive((Weights, Refused))
                    if found.session != push.session:
                        continue
                    if isinstance(found, Refused):
                        return None
                    if found.number == push.number:
                        return found

    def _send(self, message: object, size: Any) -> None:
        self._meter.bytes_are_sent(size)
        self._node.send(SERVER, message, size=64 + round(plain(size)))
