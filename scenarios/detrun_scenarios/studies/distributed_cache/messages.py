"""What the front and the nodes send each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Get:
    """Asks a node for an object.

    Attributes:
        number: of the request, with its class.
        sent: in virtual seconds.
    """

    number: str
    tenant: str
    key: str
    sent: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """An object.

    Attributes:
        hit: 1 or 0, and in between where thresholds are soft.
        excess: by how much the answer would have come sooner or later, where thresholds are soft; 0 otherwise.
    """

    get: Get
    version: int
    hit: Any
    excess: Any
