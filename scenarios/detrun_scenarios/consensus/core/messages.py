"""What servers say to each other. All are frozen: a message cannot change on its way.

Source: Ongaro 2014, figures 2 (votes, appends), 3.10 (leadership transfer), 5.3 (snapshots); section 9.6 (pre-vote).
Departures: an append says in which round of heartbeats it was sent, so that its answer says until when the leader was
known to lead (sections 6.4 and 6.4.1); the answer to a piece of a snapshot says which piece, for answers may overtake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from detrun_scenarios.consensus.core.entries import Configuration, Entry


@dataclass(frozen=True, slots=True)
class RequestVote:
    """A candidate asks for a vote in ``term``; with ``is_trial`` it asks whether it would get it."""

    term: int
    candidate: str
    last_index: int
    last_term: int
    is_trial: bool = False
    is_transfer: bool = False
    """The leader itself wants the candidate to take over, so that voters need not be loyal to it."""


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer. Of a refusal ``term`` is that of the voter, of a granted trial that of the trial."""

    term: int
    voter: str
    is_granted: bool
    is_trial: bool


@dataclass(frozen=True, slots=True)
class AppendEntries:
    """The leader's entries after ``previous_index``; without entries a heartbeat."""

    term: int
    leader: str
    previous_index: int
    previous_term: int
    entries: tuple[Entry, ...]
    commit_index: int
    round: int


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer to `AppendEntries`, and to the last piece of a snapshot.

    Attributes:
        index: the follower's log equals the leader's up to here; of a refusal, the previous index that was refused.
        hint: of a refusal, the last index at which the logs could agree.
    """

    term: int
    follower: str
    is_success: bool
    index: int
    hint: int
    round: int


@dataclass(frozen=True, slots=True)
class InstallSnapshot:
    """A piece of the leader's snapshot, for a follower whose next entry the leader has no more.

    Attributes:
        last_index, last_term, configuration: of the snapshot.
        offset: of ``data`` in its state, in bytes.
        is_done: whether this is the last piece.
    """

    term: int
    leader: str
    last_index: int
    last_term: int
    configuration: Configuration
    offset: int
    data: bytes
    is_done: bool
    round: int


@dataclass(frozen=True, slots=True)
class PieceReceived:
    """The answer to a piece that is not the last one.

    Attributes:
        last_index, offset: which piece of which snapshot this answers.
        wanted: the offset of the piece that the follower needs next; 0 when it has none, or of another snapshot.
    """

    term: int
    follower: str
    last_index: int
    offset: int
    wanted: int
    round: int


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """The leader asks a follower to stand for election at once."""

    term: int
    leader: str


Message: TypeAlias = RequestVote | Vote | AppendEntries | Appended | InstallSnapshot | PieceReceived | TimeoutNow
