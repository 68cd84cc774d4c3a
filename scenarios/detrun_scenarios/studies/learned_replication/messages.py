"""What a coordinator and the replicas send each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Write:
    """Values to be kept, with the version of each; a batch has several."""

    batch: int
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A replica has a batch on disk."""

    batch: int
    replica: int


@dataclass(frozen=True, slots=True)
class Read:
    """Asks for the version of a key."""

    number: int
    key: str


@dataclass(frozen=True, slots=True)
class Version:
    """What a replica has; 0: nothing."""

    number: int
    replica: int
    version: int
