"""Rules of the network: functions asked about each message, and the verdicts that decide what happens to it.

For each message the world's own rules are asked in the order of installation, then the link's; the first verdict that
differs from `Verdict.PASS` decides; if all pass, the message is delivered. A rule may lengthen the message's journey
(``packet.slow_by(seconds)``) and pass. Messages from a node to itself are never judged: what happens to a network does
not happen between two sockets of one machine. Partitions and clogs come before all rules, and hold when a message would
arrive as well as when it is sent.

A rule is a function of the packet, or an object with a method ``judge``. A verdict other than ``PASS`` and ``DELIVER``
counts as a fault, under the rule's ``fault`` attribute, or else the function's name or the object's class name.

Source: turmoil's ``rule.rs`` (install order, first verdict that does not pass wins, loopback is exempt). Departure: the
verdicts also say what happens to TCP, where a dropped segment is sent again and shows as delay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeAlias

from detrun.primitives import draws
from detrun.world.network.latency import Distribution, sampled
from detrun.world.network.packet import Packet
from detrun_scheduler.errors import UsageError


class Verdict(Enum):
    """What happens to one message."""

    PASS = "pass"
    """No opinion: ask the next rule."""
    DELIVER = "deliver"
    """It travels, whatever later rules would say."""
    DROP = "drop"
    """It is lost. A TCP segment is sent again later."""
    DUPLICATE = "duplicate"
    """It arrives, and so does a copy that travels by itself. TCP receivers discard the copy."""
    HOLD = "hold"
    """It waits at the link until ``link.release()``."""
    RESET = "reset"
    """Its TCP connection is torn down: both ends see a reset. Any other message is lost."""


class Judge(Protocol):
    """A rule that is an object."""

    def judge(self, packet: Packet) -> Verdict:
        """The verdict on ``packet``, which has a ``source``, a ``destination``, a ``protocol`` and a ``size``."""


Rule: TypeAlias = Judge | Callable[[Packet], Verdict]


def verdict_of(rule: Rule, packet: Packet) -> Verdict:
    """What ``rule`` says of ``packet``.

    Raises:
        UsageError: it answered with something other than a `Verdict`.
    """
    ask: Callable[[Packet], object] = getattr(rule, "judge", None) or rule  # type: ignore[assignment]  # one of both
    verdict = ask(packet)
    if not isinstance(verdict, Verdict):
        raise UsageError(
            f"the network rule {fault_of(rule)} answered {verdict!r}; return a detrun.world.Verdict, for example "
            "Verdict.PASS"
        )
    return verdict


def fault_of(rule: Rule) -> str:
    """The name under which a rule's verdicts are counted."""
    return str(getattr(rule, "fault", None) or getattr(rule, "__name__", None) or type(rule).__name__)


@dataclass(slots=True)
class Chance:
    """Gives one verdict with a fixed probability: loss, duplication and reset are this."""

    fault: str
    probability: Any
    verdict: Verdict
    protocols: frozenset[str] | None = None  # None: all

    def judge(self, packet: Packet) -> Verdict:
        """``verdict`` with probability ``probability``, from the link's stream for this fault."""
        if self.protocols is not None and packet.protocol not in self.protocols:
            return Verdict.PASS
        unlucky = draws.bernoulli(self.probability, key=f"{packet.link.name} {self.fault}")
        return self.verdict if unlucky else Verdict.PASS


@dataclass(slots=True)
class Detour:
    """Sends a message the long way round with a fixed probability: a slow tail, or reordering where others overtake."""

    fault: str
    probability: Any
    extra: Distribution
    protocols: frozenset[str] | None = None

    def judge(self, packet: Packet) -> Verdict:
        """Pass, slowed down by a sample of ``extra`` with probability ``probability``."""
        if self.protocols is None or packet.protocol in self.protocols:
            link = packet.link
            if draws.bernoulli(self.probability, key=f"{link.name} {self.fault}"):
                packet.slow_by(sampled(self.extra, f"{link.name} {self.fault} extra"))
                link.count_fault(self.fault)
        return Verdict.PASS
