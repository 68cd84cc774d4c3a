"""A client of the store: one operation at a time, repeated until it is answered."""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.key_value.history import History
from detrun_scenarios.key_value.messages import Redirect, Reply, Request
from detrun_scenarios.key_value.replica import REPLICAS

THINK_SECONDS = 0.01  # between two operations, in the mean


class Client:
    """One user of the store, who works on one operation at a time and repeats it until it is answered."""

    def __init__(self, index: int, retry_timeout: Any, history: History) -> None:
        self.name = f"client{index}"
        self.history = history
        self.retry_timeout = retry_timeout
        self.number = 0  # of the operation
        self.leader = 0  # the replica that we take for the primary
        self.answered_by = ""  # the replica that has done the last operation

    async def work(self, own_key: str, keys: list[str], operations: int) -> None:
        """The program of the client's machine: write 1, 2, 3, ... to our own key and read any, as the dice say."""
        self.node = detrun.this_node()
        history = self.history
        for _ in range(operations):
            await trio.sleep(detrun.exponential(THINK_SECONDS))
            if detrun.bernoulli(0.5):
                history.begun[own_key] += 1
                value, started = history.begun[own_key], trio.current_time()
                await self.call(own_key, value)
                history.write_ended(own_key, value, trio.current_time() - started)
            else:
                key = detrun.choice(keys)
                settled_before = history.settled[key]
                history.read_ended(key, await self.call(key, None), settled_before, self.answered_by)

    async def call(self, key: str, value: int | None) -> int:
        """Have the store do one operation, however many attempts it takes."""
        self.number += 1
        request = Request(self.name, self.number, key, value)
        while True:
            with trio.move_on_after(self.retry_timeout):
                return await self.attempt(request)
            self.history.retries += 1
            self.leader = (self.leader + 1) % REPLICAS

    async def attempt(self, request: Request) -> int:
        """Ask once, follow redirections, and wait for the answer."""
        self.node.send(f"replica{self.leader}", request)
        while True:
            envelope = await self.node.receive_envelope((Reply, Redirect))
            answer = envelope.message
            if answer.number != request.number:
                continue  # to an earlier operation, which another attempt has finished
            if isinstance(answer, Reply):
                self.answered_by = envelope.sender.name
                return answer.value
            self.leader = answer.replica
            self.node.send(f"replica{self.leader}", request)
