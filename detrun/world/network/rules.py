"""What becomes of one message on a link: rules that are asked in turn, and the one answer that they can give.

The rule of rules: for each message the world's own rules are asked in the order of installation, then the link's; the
first verdict that is not `Verdict.PASS` decides; if all pass, the message is delivered. A rule may lengthen the
message's journey (``packet.slow_by(seconds)``) and pass. Messages from a node to itself are never judged: nothing that
happens to a network happens between two sockets of one machine. Partitions and clogs come before all rules, and hold
when a message would arrive as well as when it is sent.

A rule is any object with a ``judge`` method. An answer other than ``PASS`` and ``DELIVER`` counts as a fault, under the
rule's ``fault`` attribute or its class name.

Source: turmoil's ``rule.rs`` (install order, first verdict that does not pass wins, loopback is exempt). Departure: the
verdicts also say what happens to TCP, where a dropped segment is sent again and shows as delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from detrun.primitives import draws
from detrun.world.network.latency import Distribution, sampled
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError

if TYPE_CHECKING:
    from detrun.world.network.link import Packet


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


class Rule(Protocol):
    """Looks at each message of the world, or of one link."""

    def judge(self, packet: Packet) -> Verdict:
        """The verdict on ``packet``, which has a ``source``, a ``destination``, a ``protocol`` and a ``size``."""


def fault_of(rule: Rule) -> str:
    """The name under which a rule's effects are counted."""
    return str(getattr(rule, "fault", None) or type(rule).__name__)


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


def probability_of(fault: str, probability: Any) -> Any:
    """``probability``, checked.

    Raises:
        UsageError: not in [0, 1].
    """
    primal = primal_of(probability)
    if not isinstance(primal, int | float) or not 0 <= primal <= 1:
        raise UsageError(f"{fault}={primal!r} is not a probability; give a number from 0 to 1")
    return probability
