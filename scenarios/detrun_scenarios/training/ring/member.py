"""`Member`: the program of a worker in a ring.

It says hello and waits for a view that it is in. What it lacks of the rounds that count it copies from another member.
Then it goes on round by round: a batch, its gradient, the sum over the ring, a step that is a *candidate* until the
coordinator says that all have it. When a view is over it waits for the next one, which says whether the candidate
counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import trio

import detrun
from detrun_scenarios.frame.news import News
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.training.invariants import Monitor
from detrun_scenarios.training.losses import Meter
from detrun_scenarios.training.messages import Again, Alive, Arrived, Chunk, Fetch, Go, Hello, Refused, State, View
from detrun_scenarios.training.model.digits import Batch, Shard
from detrun_scenarios.training.model.network import WEIGHTS, gradient
from detrun_scenarios.training.model.optimizer import optimizer_of
from detrun_scenarios.training.model.tensors import torch
from detrun_scenarios.training.parts import Parts
from detrun_scenarios.training.ring.all_reduce import AllReduce
from detrun_scenarios.training.ring.coordinator import COORDINATOR
from detrun_scenarios.training.settings import Settings
from detrun_scenarios.training.speeds import Speed

RETRY_SECONDS, ALIVE_SECONDS = 0.03, 0.03


class Candidate(NamedTuple):
    """The weights and moments that a member has after a round of a generation, if that counts."""

    generation: int
    round: int
    batch: Batch
    weights: Any
    moments: Any


class Member:
    """See the module.

    Attributes:
        committed: rounds that are in the weights.
    """

    def __init__(
        self,
        first: Any,
        shard: Shard,
        speed: Speed,
        settings: Settings,
        monitor: Monitor,
        meter: Meter,
        parts: Parts,
    ) -> None:
        self._node = detrun.this_node()
        self._shard, self._speed, self._optimizer = shard, speed, optimizer_of(settings)
        self._monitor, self._meter = monitor, meter
        self._loader = parts.loader(shard)
        self._ring = AllReduce(self._node, meter)
        self._weights, self._moments = first, torch().zeros_like(first)
        self.committed = 0
        self._candidate: Candidate | None = None
        self._view: View | None = None
        self._settled = 0  # generation whose first state is in the weights
        self._gone: tuple[int, int] = (0, -1)  # generation and round of the latest Go
        self._state: State | None = None
        self._attempt: float | None = plain(trio.current_time())  # of a hello that has not been answered
        self._news = News()

    async def run(self) -> None:
        """Take part, until the node stops."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, name="listen")
            nursery.start_soon(self._say_alive, name="alive")
            while True:
                view = await self._next_view()
                if await self._settle(view):
                    await self._take_part(view)

    # Messages.

    async def _listen(self) -> None:
        while True:
            envelope = await self._node.receive_envelope()
            message = envelope.message
            if isinstance(message, Chunk):
                self._ring.take(message)
                continue
            if isinstance(message, Again):
                self._ring.repeat(message, envelope.sender.name)
            elif isinstance(message, View):
                if self._view is None or message.generation > self._view.generation:
                    self._view, self._attempt = message, None
            elif isinstance(message, Go):
                self._gone = max(self._gone, (message.generation, message.round))
            elif isinstance(message, Fetch):
                self._give_state(envelope.sender.name, message)
            elif isinstance(message, State):
                self._state = message
            elif isinstance(message, Refused) and self._attempt is None:
                self._attempt = plain(trio.current_time())
            self._news.tell()

    async def _say_alive(self) -> None:
        while True:
            await trio.sleep(ALIVE_SECONDS)
            if self._attempt is None and self._view is not None:
                self._node.send(COORDINATOR, Alive(self._view.generation))

    def _give_state(self, to: str, fetch: Fetch) -> None:
        if self._settled == fetch.generation:
            state = State(fetch.generation, self.committed, self._weights, self._moments)
            self._meter.bytes_are_sent(16 * WEIGHTS)
            self._node.send(to, state, size=64 + 16 * WEIGHTS)

    async def _wait(self, message: object = None, to: str = COORDINATOR) -> None:
        """Wait for news, and say something again if there is none for a while."""
        with trio.move_on_after(RETRY_SECONDS) as patience:
            await self._news.wait()
        if patience.cancelled_caught and message is not None:
            self._node.send(to, message)

    # Views.

    def _is_over(self, view: View) -> bool:
        return self._view is not view or self._attempt is not None

    async def _next_view(self) -> View:
        """One that has come since the last was settled, or that failed to be."""
        candidate = 0 if self._candidate is None else self._candidate.generation
        if self._attempt is not None:
            self._node.send(COORDINATOR, Hello(self._attempt, self.committed, candidate))
        while self._attempt is not None or self._view is None or self._view.generation == self._settled:
            await self._wait(None if self._attempt is None else Hello(self._attempt, self.committed, candidate))
        return self._view

    async def _settle(self, view: View) -> bool:
        """Have the state that the view begins with; whether that was possible before the next one came."""
        candidate, self._candidate = self._candidate, None
        if candidate is not None and (candidate.generation, candidate.round + 1) == (view.committed_in, view.committed):
            self._commit(candidate)
        if self.committed != view.committed:
            self._state = None
            self._node.send(view.source, Fetch(view.generation))
            while self._state is None or self._state.generation != view.generation:
                if self._is_over(view):
                    return False
                await self._wait(Fetch(view.generation), view.source)
            _, self.committed, self._weights, self._moments = _fields(self._state)
            self._monitor.has_committed(self.committed, self._weights, self._moments)
        self._settled = view.generation
        await self._loader.begin(view.batches[view.members.index(self._node.name)])
        return True

    # Rounds.

    async def _take_part(self, view: View) -> None:
        while not self._is_over(view):
            batch = await self._loader.take()
            found = gradient(self._weights, batch)
            await trio.sleep(self._speed.seconds(self._shard.size))
            self._monitor.contributes(view, self.committed, self._node.name, found)
            total = await self._ring.total(view, self.committed, found, lambda: self._is_over(view))
            if total is None:
                return
            self._monitor.is_reduced(view, self.committed, total)
            updated = self._optimizer.step(self._weights, self._moments, total / len(view.members))
            self._candidate = Candidate(view.generation, self.committed, batch, *updated)
            if not await self._all_have_arrived(view, self._candidate):
                return
            self._candidate = None
            self._commit(Candidate(view.generation, self.committed, batch, *updated))
            await self._loader.done(batch)

    async def _all_have_arrived(self, view: View, candidate: Candidate) -> bool:
        arrived = Arrived(view.generation, candidate.round, candidate.batch.number)
        self._node.send(COORDINATOR, arrived)
        while self._gone != (view.generation, candidate.round):
            if self._is_over(view):
                return False
            await self._wait(arrived)
        return True

    def _commit(self, candidate: Candidate) -> None:
        self._weights, self._moments = candidate.weights, candidate.moments
        self.committed = candidate.round + 1
        self._monitor.has_committed(self.committed, self._weights, self._moments)


def _fields(state: State) -> tuple[int, int, Any, Any]:
    return state.generation, state.committed, state.weights, state.moments
