"""A replica of a key-value store that loses no acknowledged write.

One replica is the primary. It gives each operation a version, sends the entry to the others, and answers the client
once a majority holds it on disk; a read writes back what it is about to return, so that no later read returns less. The
primary sends heartbeats; a replica that misses them for too long stands for election in a higher epoch. A majority
that promises an epoch refuses writes of earlier ones and hands over what it holds, so the new primary knows every
entry that was ever acknowledged: any two majorities share a replica. Epochs belong to replicas in turn
(``epoch % REPLICAS``), so no vote can be split. Clients repeat an operation when no answer comes in time.

Messages may be lost, doubled and overtaken. The disk of a replica is taken to be instant and never wrong: what it holds
is kept by the `Replica`, whose process may end and begin again.

Sources: the promise and the hand-over are those of Paxos (Lamport, "Paxos made simple", 2001), one register per key;
writing back on read is from Attiya, Bar-Noy and Dolev, "Sharing memory robustly in message-passing systems", 1995.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import trio

import detrun
from detrun.checkers.transactions import noted_place
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

REPLICAS = 3
QUORUM = 2
HEARTBEAT_SECONDS = 0.02


class Replica:
    """One of the three. ``promised`` and ``entries`` are on disk; a crash takes everything else.

    Args:
        patience: seconds without a heartbeat before it stands for election, at least; at most twice that.
    """

    def __init__(self, index: int, patience: Any, history: History) -> None:
        self.index = index
        self.name = f"replica{index}"
        self.others = [f"replica{other}" for other in range(REPLICAS) if other != index]
        self.patience = patience
        self.history = history
        self.promised = 0
        self.entries: dict[str, Entry] = {}
        self.messages_heard = 0  # from replicas in our epoch
        self.forget()

    def forget(self) -> None:
        """Lose what is not on disk, as in a crash; a primary that is deposed does the same."""
        self.primary = False
        self.operations = 0  # versions given in this epoch
        self.promises: dict[int, dict[str, Entry]] = {}  # replica -> what it holds; empty unless we stood for election
        # version -> the operation, and the replicas that hold its entry. One whose messages were lost stays until the
        # epoch ends: its client asks again, and gets another version.
        self.unfinished: dict[tuple[int, int], tuple[Request, Entry, set[int]]] = {}

    async def live(self) -> None:
        """The program of the replica's machine, from a start to the next crash."""
        self.forget()
        self.node = detrun.this_node()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.watch)
            nursery.start_soon(self.beat)
            while True:
                self.receive(await self.node.receive())

    async def watch(self) -> None:
        """Stand for election after a nap in which no replica was heard."""
        while True:
            heard = self.messages_heard
            # Random, so that two replicas seldom stand at the same moment and depose each other.
            await trio.sleep(detrun.uniform(self.patience, 2 * self.patience))
            if heard == self.messages_heard and not self.primary:
                epoch = next(later for later in count(self.promised + 1) if later % REPLICAS == self.index)
                self.promise(epoch)
                self.promises[self.index] = self.entries
                self.broadcast(Elect(epoch))

    async def beat(self) -> None:
        """Send heartbeats while primary."""
        while True:
            if self.primary:
                self.broadcast(Heartbeat(self.promised))
            await trio.sleep(HEARTBEAT_SECONDS)

    def receive(self, message: object) -> None:
        """Handle one message. One of a newer epoch makes us promise that epoch; one of an older epoch is refused."""
        if isinstance(message, Request):
            self.serve(message)
            return
        assert isinstance(message, Heartbeat | Deposed | Elect | Promise | Write | Written)
        if message.epoch < self.promised:
            if isinstance(message, Heartbeat | Elect | Write):
                self.tell_primary_of(message.epoch, Deposed(self.promised))
            return
        self.promise(message.epoch)
        match message:
            case Elect(epoch):
                self.tell_primary_of(epoch, Promise(epoch, self.index, dict(self.entries)))
            case Promise(_, replica, entries):
                self.count_promise(replica, entries)
            case Write(epoch, key, entry):
                self.keep(key, entry)
                self.tell_primary_of(epoch, Written(epoch, self.index, entry.version))
            case Written(_, replica, version):
                self.count_copy(version, replica)

    def promise(self, epoch: int) -> None:
        """Take part in ``epoch``, ours or a later one, and never again in an earlier one."""
        if epoch > self.promised:
            self.promised = epoch
            self.forget()
        self.messages_heard += 1

    def count_promise(self, replica: int, entries: dict[str, Entry]) -> None:
        """Become the primary once a majority has promised, knowing all that it holds."""
        if self.primary or not self.promises:
            return  # elected already, or we stood before a crash and do not remember what we did since
        self.promises[replica] = entries
        if len(self.promises) >= QUORUM:
            for key, entry in entries.items():
                self.keep(key, entry)
            self.primary = True
            self.history.elected(self.name, trio.current_time(), noted_place(is_done_here=True))
            self.broadcast(Heartbeat(self.promised))

    def serve(self, request: Request) -> None:
        """Start a client's operation, or say who can."""
        if not self.primary:
            leader = self.promised % REPLICAS
            if leader != self.index:
                self.node.send(request.client, Redirect(request.number, leader))
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
        self.broadcast(Write(self.promised, request.key, entry))

    def count_copy(self, version: tuple[int, int], replica: int) -> None:
        """Answer the client once a majority holds the entry."""
        if version not in self.unfinished:
            return  # answered already
        request, entry, holders = self.unfinished[version]
        holders.add(replica)
        if len(holders) >= QUORUM:
            del self.unfinished[version]
            self.node.send(request.client, Reply(request.number, entry.value))

    def keep(self, key: str, entry: Entry) -> None:
        """Put an entry on disk unless a newer one is there."""
        if entry.version > self.entries.get(key, NOTHING).version:
            self.entries[key] = entry

    def broadcast(self, message: object) -> None:
        """Send to both other replicas."""
        for other in self.others:
            self.node.send(other, message)

    def tell_primary_of(self, epoch: int, message: object) -> None:
        """Send to the one replica that can be primary in ``epoch``."""
        self.node.send(f"replica{epoch % REPLICAS}", message)
