"""Messages between replicas and clients of the key-value store. A message never changes once it is made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """The value that a replica keeps for a key, with its version."""

    version: tuple[int, int]  # epoch, and the operation's number in it: the greater one is newer
    value: int
    written_by: int  # the number of the writer's operation


NOTHING = Entry((-1, 0), 0, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """From a client: write ``value`` to ``key``, or read it if ``value`` is None."""

    client: str
    number: int  # of this client's operations; repeated attempts share it
    key: str
    value: int | None


@dataclass(frozen=True, slots=True)
class Reply:
    """To a client: the operation is done, and this is the key's value."""

    number: int
    value: int


@dataclass(frozen=True, slots=True)
class Redirect:
    """To a client: ask that replica."""

    number: int
    replica: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """From the primary: I am here."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Deposed:
    """To one who acts in an older epoch: this is the epoch now."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Elect:
    """From a candidate: promise me this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Promise:
    """To a candidate: I refuse writes of earlier epochs from now on, and this is what I hold."""

    epoch: int
    replica: int
    entries: dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Write:
    """From the primary: keep this."""

    epoch: int
    key: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Written:
    """To the primary: it is on my disk."""

    epoch: int
    replica: int
    version: tuple[int, int]
