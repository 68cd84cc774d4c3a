"""`Request` and `Elevator`: what is asked of a disk, and who decides what comes next.

An elevator is told of each request, and asked for the next one whenever the arm is free. It has no tasks and looks at
no clock but the one it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import trio

Direction: TypeAlias = Literal["read", "write"]


@dataclass(eq=False, slots=True)
class Request:
    """Consecutive pages.

    Attributes:
        number: of the request; later ones have greater numbers.
        owner: the process that wants it.
        contents: of the pages: what is written, or what was read.
        arrived: when it was made, in seconds.
        done: set when it is over.
    """

    number: int
    direction: Direction
    block: int
    count: int
    owner: str
    arrived: float
    contents: list[int] = field(default_factory=list)
    done: trio.Event = field(default_factory=trio.Event)

    @property
    def end(self) -> int:
        """The page after the last one."""
        return self.block + self.count


class Elevator(ABC):
    """An order of requests."""

    @abstractmethod
    def add(self, request: Request) -> None:
        """There is one more."""

    @abstractmethod
    def next(self, head: int, now: float) -> Request | None:
        """Take the request to be served now, with the head at the beginning of page ``head``; None for none."""

    def served(self, request: Request, now: float) -> None:  # noqa: B027 (most elevators do not care)
        """A request is over."""

    def patience(self, now: float) -> float | None:
        """For how long the arm is to stay where it is, although others wait; None if there is nothing to do.

        Asked after `next` has given none.
        """
        return None
