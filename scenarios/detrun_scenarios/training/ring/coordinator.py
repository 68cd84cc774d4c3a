"""`Coordinator`: decides who is in the ring, and which rounds count.

A *generation* is a set of members in an order. It lasts until one of them dies, or a worker says hello. In a round the
members add up their gradients and then meet at a `Barrier`; when all have arrived the coordinator counts the round and
says `Go`. A member that misses the `Go` learns from the next view that the round counts, and in which generation: its
own copy of the step is as good as that of the others, if it was taken in that one. If the barrier breaks, the round
does not count, and every batch of it is used again.

The coordinator never fails here. It plays the part that a store with consensus (etcd) has in real systems.

Source: elastic training as in Horovod (Sergeev and Del Balso 2018) and TorchElastic: generations of a rendezvous, and
state that goes back to the last commit.
"""

from __future__ import annotations

import trio

import detrun
from detrun_scenarios.frame.news import News
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.training.invariants import Monitor
from detrun_scenarios.training.messages import Alive, Arrived, Go, Hello, Refused, View
from detrun_scenarios.training.parts import Parts
from detrun_scenarios.training.ring.barrier import Barrier

COORDINATOR = "coordinator"
SILENT_SECONDS = 0.1  # until a member counts as dead
LOOK_SECONDS = 0.02
NEWCOMERS_SECONDS = 0.05  # that a view waits for others who may want to be in it


class Coordinator:
    """See the module.

    Attributes:
        committed: rounds that count.
        batches: of each worker, how many count.
    """

    def __init__(self, first_members: int, monitor: Monitor, parts: Parts) -> None:
        self._node = detrun.this_node()
        self._monitor, self._parts, self._first_members = monitor, parts, first_members
        self._heard: dict[str, float] = {}
        self._state_of: dict[str, int] = {}  # rounds that are in a worker's weights
        self._attempts: dict[str, float] = {}
        self._view = View(0, (), 0, 0, (), "")
        self._barrier: Barrier | None = None
        self._committed_in = 0  # generation of the last round that counts
        self._round = -1  # that the barrier ends
        self._arrived_with: dict[str, int] = {}  # batches of the round
        self._has_newcomers = False
        self._news = News()
        self.committed = 0
        self.batches: dict[str, int] = {}

    async def run(self) -> None:
        """Serve until the node stops."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, name="listen")
            nursery.start_soon(self._look_regularly, name="looks")
            while True:
                await self._gather()
                self._begin_view()
                while await self._round_counts():
                    if self._has_newcomers:
                        break

    # Members.

    async def _gather(self) -> None:
        while len(self._heard) < self._first_members and not self.committed:
            await self._news.wait()
        if self._has_newcomers:
            await trio.sleep(NEWCOMERS_SECONDS)
        while self._source() is None:
            await self._news.wait()

    def _source(self) -> str | None:
        """A living worker whose weights have every round that counts."""
        return next((one for one in sorted(self._heard) if self._state_of[one] == self.committed), None)

    def _begin_view(self) -> None:
        source = self._source()
        assert source is not None
        members = tuple(sorted(self._heard))
        self._has_newcomers = False
        batches = tuple(self.batches.get(one, 0) for one in members)
        self._view = View(self._view.generation + 1, members, self.committed, self._committed_in, batches, source)
        for one in members:
            self._node.send(one, self._view)

    async def _look_regularly(self) -> None:
        while True:
            await trio.sleep(LOOK_SECONDS)
            now = plain(trio.current_time())
            for member, heard in list(self._heard.items()):
                if now - heard > SILENT_SECONDS:
                    self._is_gone(member)

    def _is_gone(self, member: str) -> None:
        del self._heard[member]
        if self._barrier is not None and member in self._view.members:
            self._barrier.leave(member)
            self._monitor.leaves(member)

    # Rounds.

    async def _round_counts(self) -> bool:
        """Wait for the end of one round."""
        view = self._view
        if any(one not in self._heard for one in view.members):
            return False
        self._round = self.committed
        self._barrier = self._parts.barrier(view.members)
        self._monitor.barrier_begins()
        has_all = await self._barrier.wait()
        self._barrier = None
        self._monitor.barrier_ends()
        if not has_all:
            return False
        for one in view.members:
            self._monitor.batch_counts(one, self._arrived_with[one])
            self.batches[one] = self.batches.get(one, 0) + 1
            self._state_of[one] = self.committed + 1
        self.committed += 1
        self._committed_in = view.generation
        for one in view.members:
            self._node.send(one, Go(view.generation, self._round))
        return True

    # Messages.

    async def _listen(self) -> None:
        while True:
            envelope = await self._node.receive_envelope()
            worker, message = envelope.sender.name, envelope.message
            if isinstance(message, Hello):
                self._hello(worker, message)
            elif worker not in self._heard:
                self._node.send(worker, Refused(self._view.generation))
            else:
                self._heard[worker] = plain(trio.current_time())
                if isinstance(message, Arrived):
                    self._arrived(worker, message)
                elif isinstance(message, Alive) and message.state != self._view.generation:
                    self._repeat_view(worker)

    def _hello(self, worker: str, hello: Hello) -> None:
        if self._attempts.get(worker) == hello.attempt and worker in self._heard:
            self._heard[worker] = plain(trio.current_time())
            self._repeat_view(worker)
            return
        if worker in self._heard:
            self._is_gone(worker)  # its process before this one
        self._heard[worker] = plain(trio.current_time())
        self._attempts[worker] = hello.attempt
        has_last = hello.candidate == self._committed_in and hello.committed == self.committed - 1
        self._state_of[worker] = hello.committed + has_last
        self._has_newcomers = True
        self._news.tell()

    def _repeat_view(self, worker: str) -> None:
        if worker in self._view.members:
            self._node.send(worker, self._view)

    def _arrived(self, member: str, arrived: Arrived) -> None:
        if arrived.generation != self._view.generation:
            self._repeat_view(member)
        elif arrived.round < self.committed:
            self._node.send(member, Go(arrived.generation, arrived.round))
        elif self._barrier is not None:
            self._arrived_with[member] = arrived.batch
            self._barrier.arrive(member)
