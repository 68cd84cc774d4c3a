"""`Client`: one user of the cluster, who keeps a session and repeats what is not answered.

A client does one operation at a time, and writes it into the history that is checked for linearizability. It repeats a
write with the number that it had, at another server if it must; that it counts once is the cluster's business.

Source: Ongaro 2014, sections 6.2 (finding the leader) and 6.3 (sessions).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import trio

import detrun
from detrun_scenarios.consensus.core.entries import Command
from detrun_scenarios.consensus.requests import Read, Redirect, Reply, Write
from detrun_scenarios.consensus.state_machine import EXPIRED


class SessionError(Exception):
    """The cluster has forgotten the client."""


class UnavailableError(Exception):
    """The cluster has not answered for as long as a client is patient."""


@dataclass(slots=True)
class Observed:
    """What clients have seen.

    Attributes:
        history: their operations.
        latencies: of each write, seconds from its first attempt to its answer.
        read_latencies: the same for reads.
        answered_at: when each write was answered, in order.
    """

    history: detrun.History = field(default_factory=detrun.History)
    latencies: list[Any] = field(default_factory=list)
    read_latencies: list[Any] = field(default_factory=list)
    answered_at: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Habits:
    """What a client does.

    Attributes:
        operations: how many; None for as long as the world is open.
        think_seconds: mean time between an answer and the next operation.
        read_share, add_share: of the operations; the others put.
        retry_seconds: how long it waits for an answer.
        patience_seconds: how long it goes on asking.
        keys: how many keys all clients share.
        lease_share: of the reads, those for which a leader's lease is enough; None for all.
    """

    operations: int | None = 20
    think_seconds: float = 0.01
    read_share: float = 0.3
    add_share: float = 0.4
    retry_seconds: float = 0.2
    patience_seconds: float = 30.0
    keys: int = 3
    lease_share: Any = None


class Client:
    """One user, on a node of its own. `run` is its program."""

    def __init__(self, servers: tuple[str, ...], habits: Habits, observed: Observed) -> None:
        self.node = detrun.this_node()
        self.name = self.node.name
        self.servers = servers
        self.habits = habits
        self.observed = observed
        self.number = 0
        self.server = 0  # the one that we take for the leader

    async def run(self) -> None:
        """Open a session and do all operations."""
        await self.call(Write(self.name, Command(self.name, self._next(), "open")))
        operations = self.habits.operations
        for _ in count() if operations is None else range(operations):
            await trio.sleep(detrun.exponential(self.habits.think_seconds))
            await self.operate()

    async def operate(self) -> None:
        """Do one operation, and write down what came of it."""
        habits, observed = self.habits, self.observed
        key = f"key{detrun.choice(range(habits.keys))}"
        kind = detrun.uniform(0.0, 1.0)
        began = trio.current_time()
        if kind < habits.read_share:
            by_lease = habits.lease_share is None or detrun.bernoulli(habits.lease_share)
            with observed.history.call("read", key, process=self.name) as call:
                call.result(await self.call(Read(self.name, self._next(), key, by_lease)))
            observed.read_latencies.append(trio.current_time() - began)
            return
        operation = "add" if kind < habits.read_share + habits.add_share else "put"
        number = self._next()
        value = 1 if operation == "add" else 1_000 * number
        with observed.history.call(operation, key, value, process=self.name) as call:
            call.result(await self.call(Write(self.name, Command(self.name, number, operation, key, value))))
        ended = trio.current_time()
        observed.latencies.append(ended - began)
        observed.answered_at.append(ended)

    def _next(self) -> int:
        self.number += 1
        return self.number

    async def call(self, request: Write | Read) -> int:
        """Have the cluster do one thing, however many attempts it takes.

        Raises:
            SessionError: too many other clients have come since the last request.
            UnavailableError: the answer has not come within the client's patience.
        """
        until = trio.current_time() + self.habits.patience_seconds
        while trio.current_time() < until:
            self.node.send(self.servers[self.server], request)
            with trio.move_on_after(self.habits.retry_seconds):
                answer = await self._answer()
                if isinstance(answer, Redirect):
                    if answer.leader in self.servers and answer.leader != self.servers[self.server]:
                        self.server = self.servers.index(answer.leader)
                        continue
                    # There is no leader now, or one that is leaving. A pause, in which other such answers go unheard:
                    # where a network doubles messages, a question for each would double them again, without end.
                    with trio.move_on_after(self.habits.retry_seconds / 4):
                        return self._result(await self._reply())
                else:
                    return self._result(answer)
            self.server = (self.server + 1) % len(self.servers)
        raise UnavailableError(f"{self.name} had no answer to {request} for {self.habits.patience_seconds:g} s")

    def _result(self, reply: Reply) -> int:
        if reply.answer == EXPIRED:
            raise SessionError(f"{self.name}: {EXPIRED}")
        assert isinstance(reply.answer, int)
        return reply.answer

    async def _reply(self) -> Reply:
        """The answer to the present request by a leader."""
        while True:
            answer = await self._answer()
            if isinstance(answer, Reply):
                return answer

    async def _answer(self) -> Reply | Redirect:
        """What a server says to the present request."""
        while True:
            message: Reply | Redirect = await self.node.receive((Reply, Redirect))
            if message.number == self.number:
                return message
