"""`Packet`: one message on a link.

A subclass for each protocol says what its arrival does (`fire`) and what its loss does (`lost`). It calls the link;
the link tells it only of loss, of a reset, and of the need for a copy.
"""

from __future__ import annotations

from typing import Any, Protocol

from detrun.world.services import Machine
from detrun_scheduler.clock import VirtualClock


class Way(Protocol):
    """A link as its packets and its rules see it; `Link` is the only one."""

    name: str
    source: Machine
    destination: Machine
    clock: VirtualClock

    def send(self, packet: Packet) -> None:
        """Put ``packet`` on its way."""

    def arrive(self, packet: Packet) -> bool:
        """Whether ``packet``, whose journey is over, is delivered now."""

    def count_fault(self, name: str) -> None:
        """The fault ``name`` struck on this link."""

    def journal_left(self) -> None:
        """Write down that a message has come out of the link."""


class Packet:
    """One message on a link.

    Attributes:
        size: bytes on the wire.
        sent_at: virtual seconds, a `Value` where the clock was one.
        extra_seconds: what rules have added to this journey; None for nothing.
    """

    __slots__ = ("extra_seconds", "link", "sent_at", "size")
    protocol = ""

    def __init__(self, link: Way, size: int) -> None:
        self.link = link
        self.size = size
        self.sent_at: Any = 0.0
        self.extra_seconds: Any = None

    @property
    def source(self) -> Machine:
        """The node that sent it."""
        return self.link.source

    @property
    def destination(self) -> Machine:
        """The node it goes to."""
        return self.link.destination

    def slow_by(self, seconds: Any) -> None:
        """Lengthen the journey; for rules."""
        self.extra_seconds = seconds if self.extra_seconds is None else self.extra_seconds + seconds

    def fire(self) -> None:
        """The journey's time is over: ask the link for admission, and be delivered. Called by the run loop."""
        raise NotImplementedError

    def lost(self) -> None:
        """It will never arrive."""

    def reset(self) -> None:
        """Its connection is torn down under it."""
        self.lost()

    def copy(self) -> Packet:
        """A second message that says the same, for duplication."""
        raise NotImplementedError

    def describe(self) -> str:
        """What it is, for people who look at a link."""
        return f"{self.protocol} {self.size} bytes"
