"""`Terminal`: a client that asks for one transaction after the other, and notes how each ended.

A client that loses the connection, or waits too long, cannot tell whether its transaction has happened. It connects
anew and goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun_scenarios.database.server.connection import Connection, ConnectionLostError
from detrun_scenarios.database.server.server import DONE, PORT


@dataclass(frozen=True, slots=True)
class Done:
    """A transaction that was acknowledged."""

    name: str
    arguments: list[Any]
    answer: Any


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: who sent it, from when to when it was waited for, and how it ended; None for no answer."""

    client: str
    name: str
    began: Any
    ended: Any
    outcome: str | None


@dataclass(slots=True)
class Observed:
    """What clients have seen.

    Attributes:
        done: transactions that were acknowledged, in that order.
        latencies: of each of them, seconds from the request to the answer.
        unknown: requests that were not answered.
        failed: requests that were refused, or given up by the server.
        asked: all requests, as they end.
        cost_share: with it each latency is declared as a cost when it is seen, as this part of it; None: it is not.
    """

    done: list[Done] = field(default_factory=list)
    latencies: list[Any] = field(default_factory=list)
    unknown: list[tuple[str, list[Any]]] = field(default_factory=list)
    failed: int = 0
    asked: list[Asked] = field(default_factory=list)
    cost_share: float | None = None

    def took(self, name: str, latency: Any) -> None:
        """A request was acknowledged after so many seconds."""
        self.latencies.append(latency)
        if self.cost_share is not None:
            detrun.cost(latency * self.cost_share, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What a client does.

    Attributes:
        transactions: how many.
        think_seconds: mean time between an answer and the next request; 0 for none.
        patience_seconds: how long it waits for an answer.
        pause_seconds: before it connects anew.
    """

    transactions: int = 10
    think_seconds: Any = 0.01
    patience_seconds: float = 0.5
    pause_seconds: float = 0.02


Ask = Callable[[str, int], tuple[str, list[Any]]]  # client, number -> the name of a procedure and its arguments


class Terminal:
    """One client, on a node of its own. `run` is its program."""

    def __init__(self, server: str, ask: Ask, habits: Habits, observed: Observed) -> None:
        self.name = detrun.this_node().name
        self.server = server
        self.ask = ask
        self.habits = habits
        self.observed = observed
        self._connection: Connection | None = None

    async def run(self) -> None:
        """Do all transactions."""
        for number in range(1, self.habits.transactions + 1):
            if self.habits.think_seconds:
                await detrun.sleep(detrun.exponential(self.habits.think_seconds))
            name, arguments = self.ask(self.name, number)
            connection = await self._connected()
            began = trio.current_time()
            answer = None
            with trio.move_on_after(self.habits.patience_seconds):
                answer = await self._call(connection, name, arguments)
            outcome = None if answer is None else answer[0]
            ended = trio.current_time()
            self.observed.asked.append(Asked(self.name, name, began, ended, outcome))
            if answer is None:
                self.observed.unknown.append((name, arguments))
                await self._hang_up()
            elif outcome == DONE:
                self.observed.took(name, ended - began)
                self.observed.done.append(Done(name, arguments, answer[1]))
            else:
                self.observed.failed += 1
        await self._hang_up()

    async def _call(self, connection: Connection, name: str, arguments: list[Any]) -> tuple[str, Any] | None:
        try:
            await connection.send((name, arguments))
            outcome, answer = await connection.receive()
        except ConnectionLostError:
            return None
        return outcome, answer

    async def _connected(self) -> Connection:
        while self._connection is None:
            with trio.move_on_after(self.habits.patience_seconds):
                try:
                    self._connection = Connection(await trio.open_tcp_stream(self.server, PORT))
                except OSError:
                    await trio.sleep(self.habits.pause_seconds)
        return self._connection

    async def _hang_up(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await trio.aclose_forcefully(connection.stream)
