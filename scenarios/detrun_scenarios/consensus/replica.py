"""`Replica`: one server as a process on a node, with a disk, a clock and a network.

`Raft` decides; the tasks here carry out. One receives messages and steps the protocol. One *writes*: whatever is new
goes to the disk in one go, and messages that promise something leave after the fsync. One *applies* committed entries,
answers clients and takes snapshots. One watches the election time-out, one sends heartbeats, one gathers requests to
batches, and one for each peer sends appends at the rate that the peer's weight allows.

Servers talk by mailbox messages, because Raft asks nothing of a network but that it forges nothing: messages may be
lost, doubled and overtaken, and all of that happens here. TCP would turn it into delay, at twice the steps.

Rule: nothing that depends on unwritten state leaves before the disk has it. Only a leader's appends may overtake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio

import detrun
from detrun import relaxed
from detrun.world.nodes.node import Node
from detrun_scenarios.consensus.core.entries import Command, Configuration, Content
from detrun_scenarios.consensus.core.messages import AppendEntries, InstallSnapshot, Message
from detrun_scenarios.consensus.core.raft import Raft
from detrun_scenarios.consensus.core.server import Role, Unwritten
from detrun_scenarios.consensus.invariants import Invariants
from detrun_scenarios.consensus.requests import ChangeMembers, Read, Redirect, Reply, TransferLeadership, Write
from detrun_scenarios.consensus.settings import Settings
from detrun_scenarios.consensus.signal import Signal
from detrun_scenarios.consensus.state_machine import StateMachine
from detrun_scenarios.consensus.storage import Storage

MESSAGE_BYTES = 64
ENTRY_BYTES = 64


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is made of; a planted bug replaces one of them."""

    raft: type[Raft] = Raft
    machine: type[StateMachine] = StateMachine
    storage: type[Storage] = Storage


RIGHT = Parts()


def size_of(message: Message) -> int:
    """Bytes of a message on the network, about."""
    if isinstance(message, AppendEntries):
        return MESSAGE_BYTES + ENTRY_BYTES * len(message.entries)
    if isinstance(message, InstallSnapshot):
        return MESSAGE_BYTES + len(message.data)
    return MESSAGE_BYTES


class Replica:
    """A server while its process lives. `run` is its program."""

    raft: Raft

    def __init__(self, first: Configuration, settings: Settings, invariants: Invariants, parts: Parts = RIGHT) -> None:
        self.first = first
        self.settings = settings
        self.invariants = invariants
        self.parts = parts
        self.node: Node = detrun.this_node()
        self.name = self.node.name
        self.storage = parts.storage(self.node.disk)
        self.machine = parts.machine()
        self.applied = 0
        self.proposals: list[Write] = []
        self.clients: dict[tuple[str, int], str] = {}  # (session, number) -> the node that waits for the answer
        self.reads: list[tuple[int, Read]] = []  # admitted, and not answered
        self.is_writing = False
        self.is_idle = True  # sends no heartbeats
        self.messages_sent = 0
        self.to_write, self.to_apply, self.to_batch, self.to_lead = Signal(), Signal(), Signal(), Signal()
        self.to_stream: dict[str, Signal] = {}

    async def run(self) -> None:
        """Recover and serve until the process ends."""
        persistent = await self.storage.load()
        clock = self.node.clock
        self.raft = raft = self.parts.raft(
            self.name,
            persistent,
            self.first,
            self.settings.timing,
            clock.monotonic,
            lambda: detrun.uniform(0.0, 1.0, key=("election time-out", self.name)),
            self.invariants,
        )
        if raft.snapshot is not None:
            self.machine.restore(raft.snapshot.state)
            self.applied = raft.snapshot.last_index
        async with trio.open_nursery() as self.tasks:
            for task in (self.receive, self.write, self.apply, self.watch_leader, self.beat, self.batch):
                self.tasks.start_soon(task)

    # Messages.

    async def receive(self) -> None:
        """Take messages, one after the other."""
        handlers: dict[type, Callable[[Any], None]] = {
            Write: self.on_write,
            Read: self.on_read,
            ChangeMembers: self.on_change_members,
            TransferLeadership: self.on_transfer,
        }
        while True:
            message = await self.node.receive()
            handlers.get(type(message), self.raft.step)(message)
            self.follow_up()

    def on_write(self, write: Write) -> None:
        """A client wants something written."""
        if not self.raft.takes_requests:
            self.node.send(write.client, Redirect(write.command.number, self.raft.leader))
            return
        self.proposals.append(write)
        self.to_batch.set()

    def on_read(self, read: Read) -> None:
        """A client wants to read."""
        if not self.raft.read(read, by_lease=read.by_lease):
            self.node.send(read.client, Redirect(read.number, self.raft.leader))

    def on_change_members(self, wish: ChangeMembers) -> None:
        """An operator wants other voters; a wish that comes too early has to be made again."""
        self.raft.change_members(wish.voters)

    def on_transfer(self, wish: TransferLeadership) -> None:
        """An operator wants another leader."""
        self.raft.transfer_to(wish.to)

    def follow_up(self) -> None:
        """Wake the tasks that carry out what the protocol has just decided."""
        raft = self.raft
        for to, message in raft.urgent:
            self.send(to, message)
        raft.urgent.clear()
        if raft.unwritten or (raft.outbox and self.is_writing):
            self.to_write.set()
        else:
            self.send_all(raft.outbox)
            raft.outbox.clear()
        if self.is_idle and raft.role is not Role.FOLLOWER:
            self.to_lead.set()
        if raft.role is Role.LEADER:
            self.reads += raft.admitted_reads
            raft.admitted_reads.clear()
            for peer in raft.peers:
                if raft.has_work_for(peer):
                    self.wake_stream(peer)
        if raft.commit_index > self.applied or self.reads:
            self.to_apply.set()

    def send(self, to: str, message: Message) -> None:
        """Say something to another server."""
        if to != self.name:
            self.messages_sent += 1
        self.node.send(to, message, size=size_of(message))

    def send_all(self, messages: list[tuple[str, Message]]) -> None:
        """Say what was waiting."""
        for to, message in messages:
            self.send(to, message)

    # The disk.

    async def write(self) -> None:
        """Write what is new, then send what has waited for it."""
        raft = self.raft
        while True:
            await self.to_write.wait()
            self.is_writing = True
            while raft.unwritten or raft.outbox:
                unwritten, raft.unwritten = raft.unwritten, Unwritten()
                messages, raft.outbox = raft.outbox, []
                last_index, last_term = raft.log.last_index, raft.log.last_term
                if unwritten.snapshot is not None:
                    await self.storage.save_snapshot(unwritten.snapshot, raft.term, raft.vote, raft.log)
                elif unwritten:
                    first = last_index + 1 if unwritten.from_index is None else unwritten.from_index
                    entries = raft.log.slice(first, last_index)
                    await self.storage.save(raft.term, raft.vote, unwritten.has_state, first, entries)
                    self.invariants.used("fsync before the answer")
                self.send_all(messages)
                raft.written(last_index, last_term)
            self.is_writing = False
            self.follow_up()

    # The state machine.

    async def apply(self) -> None:
        """Apply what is committed; answer writes and reads; take snapshots."""
        while True:
            await self.to_apply.wait()
            raft = self.raft
            if raft.snapshot is not None and raft.snapshot.last_index > self.applied:
                self.machine.restore(raft.snapshot.state)
                self.applied = raft.snapshot.last_index
            while self.applied < raft.commit_index:
                self.applied += 1
                self.apply_one(self.applied, raft.log[self.applied].content)
            reads, self.reads = self.reads, []
            for index, read in reads:
                if index > self.applied:
                    self.reads.append((index, read))
                else:
                    self.node.send(read.client, Reply(read.number, self.machine.read(read.key)))
            taken = 0 if raft.snapshot is None else raft.snapshot.last_index
            if self.applied - taken >= self.settings.snapshot_entries:
                raft.take_snapshot(self.applied, self.machine.to_bytes(), self.settings.snapshot_entries // 4)
                self.follow_up()

    def apply_one(self, index: int, content: Content) -> None:
        """Apply one entry, and answer its client if it waits here."""
        machine = self.machine
        repetitions = machine.repetitions
        answer = machine.apply(content) if isinstance(content, Command) else None
        if machine.repetitions > repetitions:
            self.invariants.used("repeated request answered")
        self.invariants.applied(self.name, index, answer)
        if isinstance(content, Command):
            assert answer is not None
            client = self.clients.pop((content.session, content.number), None)
            if client is not None:
                self.node.send(client, Reply(content.number, answer))

    # Time.

    async def watch_leader(self) -> None:
        """Stand for election when no leader is heard."""
        raft, clock = self.raft, self.node.clock
        while True:
            deadline = raft.election_deadline
            await clock.sleep_until(deadline)
            if clock.monotonic() >= raft.election_deadline:
                raft.election_timed_out()
                self.follow_up()

    async def beat(self) -> None:
        """Send heartbeats while this server leads, and ask again for votes while it stands for election."""
        raft, clock = self.raft, self.node.clock
        while True:
            self.is_idle = True
            await self.to_lead.wait()
            self.is_idle = False
            while raft.role is not Role.FOLLOWER:
                await clock.sleep(self.settings.heartbeat_interval)
                raft.heartbeat()
                raft.ask_again()
                self.follow_up()

    # A leader's work.

    async def batch(self) -> None:
        """Gather requests, and append them together."""
        raft = self.raft
        while True:
            await self.to_batch.wait()
            await self.fill_batch(trio.current_time())
            proposals, self.proposals = self.proposals, []
            if not raft.takes_requests:
                for one in proposals:
                    self.node.send(one.client, Redirect(one.command.number, raft.leader))
                continue
            for one in proposals:
                self.clients[one.command.session, one.command.number] = one.client
            raft.propose([one.command for one in proposals])
            self.follow_up()

    async def fill_batch(self, opened: Any) -> None:
        """Wait until the batch that was opened then is full, or its time is over."""
        settings = self.settings
        while self.proposals:
            # 1 when the batch is full, else 0; between the two in a softened run.
            fullness = relaxed.threshold(len(self.proposals) + 0.5, settings.batch_size, scale=4.0)
            closes = opened + settings.batch_delay * (1.0 - fullness)
            if closes <= trio.current_time():
                return
            with trio.move_on_at(closes) as until_closed:
                await self.to_batch.wait()
            if until_closed.cancelled_caught:
                return

    def wake_stream(self, peer: str) -> None:
        """There is something to be sent to a peer."""
        signal = self.to_stream.get(peer)
        if signal is None:
            signal = self.to_stream[peer] = Signal()
            self.tasks.start_soon(self.stream, peer)
        signal.set()

    async def stream(self, peer: str) -> None:
        """Send appends to one peer, one after the other, each as long as its bytes take at the peer's rate."""
        raft, settings = self.raft, self.settings
        while True:
            await self.to_stream[peer].wait()
            while raft.has_work_for(peer):
                message = raft.next_append(peer)
                await detrun.sleep(size_of(message) / settings.rate_to(peer, raft.peers))
                if raft.role is Role.LEADER and raft.term == message.term:
                    self.send(peer, message)
