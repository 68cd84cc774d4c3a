"""Raft's servers moved by hand: their messages, disks and clock, without tasks or a network."""

from __future__ import annotations

from detrun_scenarios.consensus.core.entries import Configuration, Entry
from detrun_scenarios.consensus.core.log import Log
from detrun_scenarios.consensus.core.mechanisms import Mechanism
from detrun_scenarios.consensus.core.messages import Message
from detrun_scenarios.consensus.core.raft import Raft
from detrun_scenarios.consensus.core.server import Persistent, Role, Server, Timing, Unwritten


class NoWitness:
    """One who does not care."""

    def elected(self, server: Server) -> None: ...
    def appended(self, server: Server, index: int) -> None: ...
    def truncating(self, server: Server, index: int) -> None: ...
    def committed(self, server: Server, before: int) -> None: ...
    def used(self, mechanism: Mechanism) -> None: ...


NAMES = ("a", "b", "c")


class Hand:
    """Servers whose messages and disks are moved by hand, and whose clock stands until it is told."""

    def __init__(
        self, logs: dict[str, tuple[int, ...]], terms: dict[str, int] | None = None, snapshot_piece_bytes: int = 64
    ) -> None:
        self.time = 10.0
        self.servers = {
            name: Raft(
                name,
                Persistent(
                    (terms or {}).get(name, max(log, default=0)), None, Log([Entry(term, None) for term in log])
                ),
                Configuration(tuple(logs)),
                Timing(0.15, 0.15, 0.05, snapshot_piece_bytes=snapshot_piece_bytes),
                lambda: self.time,
                lambda: 0.5,
                NoWitness(),
            )
            for name, log in logs.items()
        }

    def sent(self, name: str) -> list[tuple[str, Message]]:
        """What a server has to say once its disk has everything, which it has now."""
        server = self.servers[name]
        messages, server.outbox, server.urgent = [*server.outbox, *server.urgent], [], []
        server.unwritten = Unwritten()
        server.written(server.log.last_index, server.log.last_term)
        return messages

    def settle(self, without: tuple[str, ...] = ()) -> None:
        """Deliver all messages, those of appends included, except to and from some servers."""
        moved = True
        while moved:
            moved = False
            for name, server in self.servers.items():
                messages = self.sent(name)
                if server.role is Role.LEADER:
                    for peer in server.peers:
                        while peer not in without and server.has_work_for(peer):
                            messages.append((peer, server.next_append(peer)))
                for to, message in messages:
                    if name not in without and to not in without:
                        moved = True
                        self.servers[to].step(message)

    def elect(self, name: str, without: tuple[str, ...] = ()) -> Raft:
        """Let a server's time-out strike after a long silence, and everything that follows from it."""
        self.time += 1.0
        self.servers[name].election_timed_out()
        self.settle(without)
        return self.servers[name]


def terms_of(server: Server) -> list[int]:
    return [entry.term for _, entry in server.log.numbered()]
