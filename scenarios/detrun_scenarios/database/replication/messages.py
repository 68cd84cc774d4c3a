"""What a primary and a replica say to each other, as messages that may be lost, doubled and overtaken.

All numbers are positions in the log of the primary, which is the replica's log, too. A replica says where its log ends
whenever that moves, and from time to time, so that a primary that has just started learns of it, and sends again what
was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

MESSAGE_BYTES = 64

CopyNumber: TypeAlias = tuple[int, int]
"""Of a copy of all pages: which start of the primary made it, and which one of that start; later ones are greater."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """From a replica: its log is durable up to ``end``, and it wants what follows.

    Attributes:
        end: 0 if it has nothing on which it could build.
        moment: start of the replica's process, and number of the message; what is older has nothing to say.
    """

    end: int
    moment: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """From a primary: records as they lie in its log, where they are durable.

    Attributes:
        since: the moment at which the first of them was ready to be sent.
    """

    begin: int
    data: bytes
    since: Any

    @property
    def end(self) -> int:
        """Where the next batch begins."""
        return self.begin + len(self.data)


@dataclass(frozen=True, slots=True)
class Pages:
    """From a primary that has no log any more where the replica's ends: a piece of a copy of all pages.

    Attributes:
        first: the number of the first page in the piece.
        pages: their bytes; empty for one that the log makes anew.
        start: redo has to begin there.
        consistent_from: a copy of pages that go on changing is whole when the log has been redone up to there.
    """

    copy: CopyNumber
    first: int
    pages: tuple[bytes, ...]
    is_last: bool
    start: int
    consistent_from: int


@dataclass(frozen=True, slots=True)
class Copied:
    """From a replica: it has the pages of a copy up to ``following``, excluded."""

    copy: CopyNumber
    following: int
