"""What clients and servers say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.consensus.core.entries import Command


@dataclass(frozen=True, slots=True)
class Write:
    """A client wants a command carried out."""

    client: str
    command: Command


@dataclass(frozen=True, slots=True)
class Read:
    """A client wants to know the value of a key.

    Attributes:
        by_lease: whether a lease is enough; a client that trusts no clock wants a round of heartbeats.
    """

    client: str
    number: int
    key: str
    by_lease: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the client's request of that number."""

    number: int
    answer: int | str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another server leads, or it is not known which: the request of that number was not taken."""

    number: int
    leader: str | None


@dataclass(frozen=True, slots=True)
class ChangeMembers:
    """An operator wants other voters."""

    voters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TransferLeadership:
    """An operator wants another leader."""

    to: str
