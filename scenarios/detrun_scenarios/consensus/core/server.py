"""The state of one server, figure 2 of the dissertation, and the rules that hold for servers of all roles.

What a transition wants done is left in the server: messages in `outbox` and `urgent`, what has to be written down in
`unwritten`. The one who drives it (`replica`) writes first and sends `outbox` then. A leader's heartbeats are `urgent`,
and like its appends they may overtake its own disk (section 10.2.1): it does not count itself before the disk has
answered.

Invariants: the term never falls; a vote is never changed within a term; ``applied <= commit_index <= last_index``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from detrun_scenarios.consensus.core.entries import Configuration, Entry, Snapshot
from detrun_scenarios.consensus.core.log import Log
from detrun_scenarios.consensus.core.mechanisms import Mechanism
from detrun_scenarios.consensus.core.messages import Message


class Role(Enum):
    """What a server is in its term. A pre-candidate asks whether an election would succeed."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(slots=True)
class Persistent:
    """What survives a crash: updated on the disk before the server answers."""

    term: int = 0
    vote: str | None = None
    log: Log = field(default_factory=Log)
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Numbers of the protocol, in seconds where nothing else is said; those may be `Value`s.

    Attributes:
        election_timeout: the least time without a leader after which a server stands for election, and for which it
            is loyal to a leader that it has heard.
        election_spread: time-outs are drawn from the least one to so much more.
        lease_margin: how much shorter than the election time-out a leader's lease is.
        has_leases: whether there are leases at all.
        append_entries_max: entries in one append.
        snapshot_piece_bytes: of a snapshot in one message.
    """

    election_timeout: Any
    election_spread: Any
    lease_margin: Any
    has_leases: bool = True
    append_entries_max: int = 64
    snapshot_piece_bytes: int = 65_536


class Witness(Protocol):
    """One who is told what servers do, to check invariants across them."""

    def elected(self, server: Server) -> None:
        """A server has become leader of its term."""

    def appended(self, server: Server, index: int) -> None:
        """A server has put an entry at ``index``."""

    def truncating(self, server: Server, index: int) -> None:
        """A server is about to drop its entries from ``index`` on."""

    def committed(self, server: Server, before: int) -> None:
        """A server's commit index has risen."""

    def used(self, mechanism: Mechanism) -> None:
        """A server has used a mechanism."""


@dataclass(slots=True)
class Unwritten:
    """What the disk does not have yet: term and vote, entries from an index on, a snapshot."""

    has_state: bool = False
    from_index: int | None = None
    snapshot: Snapshot | None = None

    def __bool__(self) -> bool:
        return self.has_state or self.from_index is not None or self.snapshot is not None


class Server:
    """State and common rules of one server.

    Args:
        name: of its node.
        persistent: as it was read from the disk.
        first_configuration: counts until the log or a snapshot says otherwise.
        clock: seconds by the monotonic clock of this machine.
        uniform: a fresh number from 0 to 1.
    """

    def __init__(
        self,
        name: str,
        persistent: Persistent,
        first_configuration: Configuration,
        timing: Timing,
        clock: Callable[[], Any],
        uniform: Callable[[], Any],
        witness: Witness,
    ) -> None:
        self.name = name
        self.timing = timing
        self.clock = clock
        self.uniform = uniform
        self.witness = witness
        # Persistent state.
        self.term = persistent.term
        self.vote = persistent.vote
        self.log = persistent.log
        self.snapshot = persistent.snapshot
        # Volatile state.
        self.role = Role.FOLLOWER
        self.leader: str | None = None
        self.commit_index = max(self.log.base_index, 0 if self.snapshot is None else self.snapshot.last_index)
        self.durable_index = self.log.last_index
        self.first_configuration = first_configuration
        self.configurations: list[tuple[int, Configuration]] = self._configurations_of(first_configuration)
        self._peers_of: Configuration | None = None
        self._peers: tuple[str, ...] = ()
        self.timeout: Any = 0.0
        self.election_deadline: Any = 0.0
        # A server that has just started may have forgotten a leader that it heard: its lease still counts on it.
        self.heard_leader_at: Any = clock() if timing.has_leases else -math.inf
        # What is to be done.
        self.outbox: list[tuple[str, Message]] = []
        self.urgent: list[tuple[str, Message]] = []
        self.unwritten = Unwritten()
        self.draw_timeout()

    # Configuration: the latest one in the log counts, committed or not (section 4.1).

    def _configurations_of(self, first: Configuration) -> list[tuple[int, Configuration]]:
        known = (0, first) if self.snapshot is None else (self.snapshot.last_index, self.snapshot.configuration)
        later = [(index, entry.content) for index, entry in self.log.numbered() if index > known[0]]
        return [known, *((index, content) for index, content in later if isinstance(content, Configuration))]

    @property
    def configuration(self) -> Configuration:
        """The one that counts."""
        return self.configurations[-1][1]

    @property
    def peers(self) -> tuple[str, ...]:
        """All other members."""
        configuration = self.configurations[-1][1]
        if configuration is not self._peers_of:  # asked for at every message
            self._peers_of = configuration
            self._peers = tuple(name for name in configuration.members if name != self.name)
        return self._peers

    def configuration_at(self, index: int) -> Configuration:
        """The configuration that counted when the log ended at ``index``."""
        return next(configuration for at, configuration in reversed(self.configurations) if at <= index)

    # Messages.

    def send(self, to: str, message: Message) -> None:
        """Say something once all that was decided until now is on the disk."""
        self.outbox.append((to, message))

    # Terms and votes.

    def set_term(self, term: int, vote: str | None) -> None:
        """A new term begins here, or a vote is given in the present one."""
        assert term > self.term or (term == self.term and self.vote in (None, vote)), (self.term, self.vote, term, vote)
        self.term, self.vote = term, vote
        self.unwritten.has_state = True

    def become_follower(self, term: int, leader: str | None = None) -> None:
        """Follow, in a term that is at least the present one."""
        if term > self.term:
            self.set_term(term, None)
        self.role = Role.FOLLOWER
        self.leader = leader
        self.draw_timeout()

    # The election clock.

    def draw_timeout(self) -> None:
        """Draw how long to wait for a leader from now on, and begin to wait."""
        self.timeout = self.timing.election_timeout + self.timing.election_spread * self.uniform()
        self.wait_for_leader()

    def wait_for_leader(self) -> None:
        """Begin to wait for a leader anew."""
        self.election_deadline = self.clock() + self.timeout

    # The log.

    def append(self, entries: Iterable[Entry]) -> None:
        """Put entries at the end of the log."""
        for entry in entries:
            index = self.log.append(entry)
            if isinstance(entry.content, Configuration):
                self.configurations.append((index, entry.content))
            unwritten = self.unwritten
            if unwritten.from_index is None:
                unwritten.from_index = index
            self.witness.appended(self, index)

    def truncate_from(self, index: int) -> None:
        """Drop the entry at ``index`` and all behind it, with the configurations among them."""
        self.witness.truncating(self, index)
        self.log.truncate_from(index)
        while self.configurations[-1][0] >= index:
            self.configurations.pop()
        self.durable_index = min(self.durable_index, index - 1)
        unwritten = self.unwritten
        unwritten.from_index = index if unwritten.from_index is None else min(unwritten.from_index, index)

    def commit_to(self, index: int) -> None:
        """Entries up to ``index`` are known to be committed."""
        if index > self.commit_index:
            before, self.commit_index = self.commit_index, index
            self.witness.committed(self, before)

    def written(self, last_index: int, last_term: int) -> None:
        """The disk has the log up to ``last_index``, as it was when the writing began."""
        if self.log.term_at(last_index) == last_term:
            self.durable_index = max(self.durable_index, last_index)

    def _check(self) -> None:
        """Assert the invariants; for tests."""
        self.log._check()
        assert self.log.base_index <= self.commit_index <= self.log.last_index
        assert self.durable_index <= self.log.last_index
