"""What nodes say to each other. Tensors in them are never changed in place, and stay out of what reports show.

Messages travel in mailboxes, which lose, double and reorder them: every request is repeated until its answer comes, and
every answer names the request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Alive:
    """A worker runs. ``state`` is its session at a parameter server, or the generation that it knows of in a ring."""

    state: int


# Worker and parameter server.


@dataclass(frozen=True, slots=True)
class Join:
    """A worker wants a session. ``attempt`` is its own name for the request."""

    attempt: float


@dataclass(frozen=True, slots=True)
class Joined:
    """The session, the batch to begin with, and the weights with their version."""

    attempt: float
    session: int
    batch: int
    version: int
    weights: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Push:
    """A gradient, as the entries that are sent of it.

    Attributes:
        number: of the request in its session, from 1.
        batch: that it was taken of.
        version: of the weights that it was taken at.
    """

    session: int
    number: int
    batch: int
    version: int
    indices: Any = field(repr=False)
    values: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Weights:
    """The answer to a push, when its worker may go on."""

    session: int
    number: int
    version: int
    weights: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The session, or the membership of that generation, is over; join again."""

    session: int


# Members of a ring and their coordinator.


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker wants to be a member.

    Attributes:
        committed: rounds that are in its weights.
        candidate: the generation in which it has taken the step of one more; 0 for none.
    """

    attempt: float
    committed: int
    candidate: int


@dataclass(frozen=True, slots=True)
class View:
    """Who is in the ring from now on.

    Attributes:
        members: in the order of the ring.
        committed: rounds that count.
        committed_in: the generation in which the last of them did.
        batches: that each member begins with.
        source: a member whose weights have all of these rounds.
    """

    generation: int
    members: tuple[str, ...]
    committed: int
    committed_in: int
    batches: tuple[int, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a sum, on its way round the ring."""

    generation: int
    round: int
    step: int
    numbers: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Again:
    """The chunk of that step has not come."""

    generation: int
    round: int
    step: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A member has the sum of the round, to which it has given the gradient of a batch, and waits for the others."""

    generation: int
    round: int
    batch: int


@dataclass(frozen=True, slots=True)
class Go:
    """All members had the sum: the round counts."""

    generation: int
    round: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Send me your state."""

    generation: int


@dataclass(frozen=True, slots=True)
class State:
    """The weights and moments after so many rounds."""

    generation: int
    committed: int
    weights: Any = field(repr=False)
    moments: Any = field(repr=False)
