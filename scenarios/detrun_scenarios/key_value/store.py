"""A key-value store on three replicas that loses no acknowledged write, written in ordinary trio.

One replica is the primary. It gives each operation a version, sends the entry to the others, and answers the client
once a majority holds it on disk; a read writes back what it is about to return, so that no later read returns less. The
primary sends heartbeats; a replica that misses them for too long stands for election in a higher epoch. A majority
that promises an epoch refuses writes of earlier ones and hands over what it holds, so the new primary knows every
entry that was ever acknowledged: any two majorities share a replica. Epochs belong to replicas in turn
(``epoch % REPLICAS``), so no vote can be split. Clients repeat an operation when no answer comes in time.

Sources: the promise and the hand-over are those of Paxos (Lamport, "Paxos made simple", 2001), one register per key;
writing back on read is from Attiya, Bar-Noy and Dolev, "Sharing memory robustly in message-passing systems", 1995.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, count, product

import trio

import detrun
from detrun_scenarios.key_value.history import History
from detrun_scenarios.key_value.messages import (
    NOTHING,
    Deposed,
    Elect,
    Entry,
    Heartbeat,
    Promise,
    Redirect,
    Reply,
    Request,
    Write,
    Written,
)
from detrun_scenarios.key_value.network import Network, Seconds

REPLICAS = 3
QUORUM = 2
HEARTBEAT_SECONDS = 0.02
PATIENCE_SECONDS = 0.1  # without a heartbeat, at least; at most twice that
THINK_SECONDS = 0.01  # of a client between two operations, in the mean
DOWN_SECONDS = 0.5  # from a crash to the restart


@dataclass(frozen=True, slots=True)
class Workload:
    """The load and the crashes of one run."""

    clients: int = 16
    operations: int = 170  # of each client
    crashes: tuple[Seconds, ...] = (2.0, 4.0)  # when the primary of that moment goes down


DEMONSTRATION = Workload()


class Replica:
    """One of the three. ``promised`` and ``entries`` are on disk; a crash takes everything else."""

    def __init__(self, index: int, network: Network, history: History) -> None:
        self.index = index
        self.name = f"replica{index}"
        self.others = [f"replica{other}" for other in range(REPLICAS) if other != index]
        self.network = network
        self.history = history
        self.promised = 0
        self.entries: dict[str, Entry] = {}
        self.messages_heard = 0  # from replicas in our epoch
        self.power = trio.CancelScope()
        self.forget()

    def forget(self) -> None:
        """Lose what is not on disk, as in a crash; a primary that is deposed does the same."""
        self.primary = False
        self.operations = 0  # versions given in this epoch
        self.promises: dict[int, dict[str, Entry]] = {}  # replica -> what it holds; empty unless we stood for election
        # version -> the operation, and the replicas that hold its entry. One whose messages were lost stays until the
        # epoch ends: its client asks again, and gets another version.
        self.unfinished: dict[tuple[int, int], tuple[Request, Entry, set[int]]] = {}

    async def run(self) -> None:
        """Live, crash, live again."""
        while True:
            with trio.CancelScope() as self.power:
                await self.live()
            self.forget()
            await trio.sleep(DOWN_SECONDS)

    async def live(self) -> None:
        """From a start to the next crash."""
        with self.network.join(self.name) as inbox:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.watch)
                nursery.start_soon(self.beat)
                async for message in inbox:
                    await self.receive(message)

    async def watch(self) -> None:
        """Stand for election after a nap in which no replica was heard."""
        while True:
            heard = self.messages_heard
            # Random, so that two replicas seldom stand at the same moment and depose each other.
            await trio.sleep(detrun.uniform(PATIENCE_SECONDS, 2 * PATIENCE_SECONDS))
            if heard == self.messages_heard and not self.primary:
                epoch = next(later for later in count(self.promised + 1) if later % REPLICAS == self.index)
                self.promise(epoch)
                self.promises[self.index] = self.entries
                await self.broadcast(Elect(epoch))

    async def beat(self) -> None:
        """Send heartbeats while primary."""
        while True:
            if self.primary:
                await self.broadcast(Heartbeat(self.promised))
            await trio.sleep(HEARTBEAT_SECONDS)

    async def receive(self, message: object) -> None:
        """Handle one message. One of a newer epoch makes us promise that epoch; one of an older epoch is refused."""
        if isinstance(message, Request):
            await self.serve(message)
            return
        assert isinstance(message, Heartbeat | Deposed | Elect | Promise | Write | Written)
        if message.epoch < self.promised:
            if isinstance(message, Heartbeat | Elect | Write):
                await self.tell_primary_of(message.epoch, Deposed(self.promised))
            return
        self.promise(message.epoch)
        match message:
            case Elect(epoch):
                await self.tell_primary_of(epoch, Promise(epoch, self.index, dict(self.entries)))
            case Promise(_, replica, entries):
                await self.count_promise(replica, entries)
            case Write(epoch, key, entry):
                self.keep(key, entry)
                await self.tell_primary_of(epoch, Written(epoch, self.index, entry.version))
            case Written(_, replica, version):
                await self.count_copy(version, replica)

    def promise(self, epoch: int) -> None:
        """Take part in ``epoch``, ours or a later one, and never again in an earlier one."""
        if epoch > self.promised:
            self.promised = epoch
            self.forget()
        self.messages_heard += 1

    async def count_promise(self, replica: int, entries: dict[str, Entry]) -> None:
        """Become the primary once a majority has promised, knowing all that it holds."""
        if self.primary or not self.promises:
            return  # elected already, or we stood before a crash and do not remember what we did since
        self.promises[replica] = entries
        if len(self.promises) >= QUORUM:
            for key, entry in entries.items():
                self.keep(key, entry)
            self.primary = True
            self.history.elections.append((trio.current_time(), self.name))
            await self.broadcast(Heartbeat(self.promised))

    async def serve(self, request: Request) -> None:
        """Start a client's operation, or say who can."""
        if not self.primary:
            leader = self.promised % REPLICAS
            if leader != self.index:
                await self.network.send(self.name, request.client, Redirect(request.number, leader))
            return
        entry = self.entries.get(request.key, NOTHING)
        self.operations += 1
        version = (self.promised, self.operations)
        # A write that comes late, after the writer has gone on to its next one, must not undo that. What we hold then
        # goes out again under a new version, just as for a read.
        if request.value is None or request.number <= entry.written_by:
            entry = Entry(version, entry.value, entry.written_by)
        else:
            entry = Entry(version, request.value, request.number)
        self.keep(request.key, entry)
        self.unfinished[version] = request, entry, {self.index}
        await self.broadcast(Write(self.promised, request.key, entry))

    async def count_copy(self, version: tuple[int, int], replica: int) -> None:
        """Answer the client once a majority holds the entry."""
        if version not in self.unfinished:
            return  # answered already
        request, entry, holders = self.unfinished[version]
        holders.add(replica)
        if len(holders) >= QUORUM:
            del self.unfinished[version]
            await self.network.send(self.name, request.client, Reply(request.number, entry.value))

    def keep(self, key: str, entry: Entry) -> None:
        """Put an entry on disk unless a newer one is there."""
        if entry.version > self.entries.get(key, NOTHING).version:
            self.entries[key] = entry

    async def broadcast(self, message: object) -> None:
        """Send to both other replicas."""
        for other in self.others:
            await self.network.send(self.name, other, message)

    async def tell_primary_of(self, epoch: int, message: object) -> None:
        """Send to the one replica that can be primary in ``epoch``."""
        await self.network.send(self.name, f"replica{epoch % REPLICAS}", message)


class Client:
    """One user of the store, who works on one operation at a time and repeats it until it is answered."""

    def __init__(self, index: int, network: Network, history: History, retry_timeout: Seconds) -> None:
        self.name = f"client{index}"
        self.network = network
        self.history = history
        self.retry_timeout = retry_timeout
        self.inbox = network.join(self.name)
        self.number = 0  # of the operation
        self.leader = 0  # the replica that we take for the primary

    async def work(self, own_key: str, keys: list[str], operations: int) -> None:
        """Write 1, 2, 3, ... to our own key and read any client's, in turn as the dice say."""
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
                history.read_ended(key, await self.call(key, None), settled_before)

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
        await self.network.send(self.name, f"replica{self.leader}", request)
        async for answer in self.inbox:
            assert isinstance(answer, Reply | Redirect)
            if answer.number != request.number:
                continue  # to an earlier operation, which another attempt has finished
            if isinstance(answer, Reply):
                return answer.value
            self.leader = answer.replica
            await self.network.send(self.name, f"replica{self.leader}", request)
        raise AssertionError("an inbox of a client is never closed")


async def crash_primary(replicas: list[Replica], moments: tuple[Seconds, ...], history: History) -> None:
    """At each of the moments, pull the plug of the replica that is primary then, if there is one."""
    for moment in moments:
        await trio.sleep_until(moment)
        for replica in replicas:
            if replica.primary:
                history.crashes.append((trio.current_time(), replica.name))
                replica.power.cancel()


async def main(
    params: Mapping[str, Seconds], history: History | None = None, workload: Workload = DEMONSTRATION
) -> Seconds:
    """Run the store under load; return the mean latency of a write.

    Args:
        params: ``link_latency``, mean seconds of a link, and ``retry_timeout``, seconds until a client asks again.
        history: filled in, for a caller who wants to know more.
        workload: who asks for how much, and what breaks.

    Raises:
        ConsistencyError: an acknowledged write was lost, or a read returned what it must not.
    """
    history = History() if history is None else history
    replica_names = [f"replica{index}" for index in range(REPLICAS)]
    client_names = [f"client{index}" for index in range(workload.clients)]
    pairs = [*combinations(replica_names, 2), *product(client_names, replica_names)]
    network = Network(params["link_latency"], pairs)
    replicas = [Replica(index, network, history) for index in range(REPLICAS)]
    keys = [f"key{index}" for index in range(workload.clients)]
    async with trio.open_nursery() as servers:
        servers.start_soon(network.run, name="network")
        for replica in replicas:
            servers.start_soon(replica.run, name=replica.name)
        servers.start_soon(crash_primary, replicas, workload.crashes, history)
        async with trio.open_nursery() as clients:
            for index, key in enumerate(keys):
                client = Client(index, network, history, params["retry_timeout"])
                clients.start_soon(client.work, key, keys, workload.operations, name=client.name)
        servers.cancel_scope.cancel()
    disks = [{key: entry.value for key, entry in replica.entries.items()} for replica in replicas]
    for majority in combinations(disks, QUORUM):
        history.check_disks(majority)
    return sum(history.write_latencies) / len(history.write_latencies)
