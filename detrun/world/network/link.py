"""One direction between two nodes: when a message arrives, and whether.

A message leaves when the link's queue has let it through (``size / bandwidth`` seconds behind what went before; at once
without a bandwidth) and arrives a sample of the link's latency later. Messages travel independently, so a later one may
overtake; TCP puts its segments back in order, datagrams and mailboxes do not. A link that is partitioned swallows, a
link that is clogged holds back: both when a message enters and when it would arrive, so nothing crosses a partition,
not even what was on its way when it began.

Each link draws from streams of its own, one for each purpose: the n-th message of a link meets the same fate whatever
other links do, and switching one fault on does not shift the draws of another.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from detrun.ad.validity import site
from detrun.ad.value import Value
from detrun.world.network.latency import Constant, Distribution, Latency, distribution_of, sampled
from detrun.world.network.rules import Chance, Detour, Rule, Verdict, fault_of, probability_of
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError

if TYPE_CHECKING:
    from detrun.world.network.network import Network
    from detrun.world.nodes.node import Node

UNORDERED = frozenset(("udp", "mailbox"))  # where duplicates and overtaking are seen by the receiver


class Packet:
    """One message on a link. Subclasses say what it is, what its arrival does and what its loss does."""

    __slots__ = ("extra_seconds", "link", "sent_at", "size")
    protocol = ""

    def __init__(self, link: Link, size: int) -> None:
        self.link = link
        self.size = size  # bytes on the wire
        self.sent_at: Any = 0.0
        self.extra_seconds: Any = None  # what rules have added to this journey

    @property
    def source(self) -> Node:
        """The node that sent it."""
        return self.link.source

    @property
    def destination(self) -> Node:
        """The node it goes to."""
        return self.link.destination

    def slow_by(self, seconds: Any) -> None:
        """Lengthen the journey; for rules."""
        self.extra_seconds = seconds if self.extra_seconds is None else self.extra_seconds + seconds

    def fire(self) -> None:
        """The journey's time is over; called by the run loop between two steps."""
        self.link.arrive(self)

    def deliver(self) -> None:
        """It has arrived."""
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


class Link:
    """The way from one node to another.

    Attributes:
        latency: seconds, a distribution of `detrun.world.latency`, or a function without arguments.
        bandwidth: bytes per second, a number or a `Value`; None for unlimited.
        queue_bytes_max: what may wait for the bandwidth; a message that would not fit is lost.
        loss, duplication, reset, reordering, slow_tail: probability for each message.
        reordering_delay, slow_tail_delay: extra seconds of a message that is so chosen, as ``latency``.
        rules: further rules of this link, asked before the probabilities.
    """

    def __init__(self, network: Network, source: Node, destination: Node) -> None:
        self.network = network
        self.source = source
        self.destination = destination
        self.name = f"{source.name}->{destination.name}"
        self.is_loopback = source is destination
        self.rules: list[Rule] = []
        self.in_flight: dict[Packet, None] = {}  # in the order of sending
        self.held: list[Packet] = []
        self.partitioned = False
        self.clogs = 0  # a link is clogged while this many clogs are on it
        self._latency_key = f"{self.name} latency"
        self._latency: Distribution = Constant(0.0)
        self._free_at: Any = -math.inf  # when the last message that waited for the bandwidth is through
        self._chances: dict[str, Rule] = {}
        self._probabilities: dict[str, Any] = {}
        self._judges: tuple[Rule, ...] = ()
        self._bandwidth: Any = None
        self._queue_bytes_max: float = math.inf
        self._delays: dict[str, Latency] = {}
        self._number = -1  # of the link among the run's objects
        self.fault_effects: dict[str, int] = {}  # fault -> how often it took effect here

    # What it is set to.

    @property
    def latency(self) -> Distribution:
        """The distribution of travel times; may be assigned to at any time."""
        return self._latency

    @latency.setter
    def latency(self, latency: Latency) -> None:
        self._latency = distribution_of(latency)

    @property
    def bandwidth(self) -> Any:
        """Bytes per second; None for no limit."""
        return self._bandwidth

    @bandwidth.setter
    def bandwidth(self, bandwidth: Any) -> None:
        if bandwidth is not None and not _is_number(bandwidth, above=0.0):
            raise UsageError(f"bandwidth={bandwidth!r} is none; give bytes per second, or None for no limit")
        self._bandwidth = bandwidth

    @property
    def queue_bytes_max(self) -> float:
        """What may wait for the bandwidth."""
        return self._queue_bytes_max

    @queue_bytes_max.setter
    def queue_bytes_max(self, size: float) -> None:
        if not (_is_number(size, above=0.0) or size == 0):
            raise UsageError(f"queue_bytes_max={size!r} is no size of a queue; give bytes, at least 0, or math.inf")
        self._queue_bytes_max = size

    def _delay(name: str) -> Any:  # type: ignore[misc]  # (makes properties, is no method)
        def get(self: Link) -> Latency:
            return self._delays.get(name)

        def change(self: Link, delay: Latency) -> None:
            if delay is not None:
                distribution_of(delay)  # refuses what is none
            self._delays[name] = delay

        return property(get, change, doc=f"{name}: extra seconds, as ``latency``; None for that of four journeys.")

    reordering_delay = _delay("reordering_delay")
    slow_tail_delay = _delay("slow_tail_delay")

    def configure(self, **settings: Any) -> None:
        """Set several attributes at once: ``link.configure(latency=0.01, loss=0.02)``.

        Raises:
            UsageError: there is no such setting, or a value is none.
        """
        for name, value in settings.items():
            if name not in SETTINGS:
                raise UsageError(f"a link has no setting {name!r}; it has {', '.join(SETTINGS)}")
            setattr(self, name, value)

    def _probability(fault: str) -> Any:  # type: ignore[misc]  # (makes properties, is no method)
        def get(self: Link) -> Any:
            return self._probabilities.get(fault, 0.0)

        def change(self: Link, probability: Any) -> None:
            self._probabilities[fault] = probability_of(fault, probability)
            self._rebuild()

        return property(get, change, doc=f"Probability of {fault} for each message.")

    loss = _probability("loss")
    duplication = _probability("duplication")
    reset = _probability("reset")
    reordering = _probability("reordering")
    slow_tail = _probability("slow tail")

    def _rebuild(self) -> None:
        # Only what can happen is asked, so an ideal link draws nothing; in this order, whatever the order of setting.
        rules: list[Rule] = []
        chance = self._probabilities
        for fault, verdict, protocols in (
            ("reset", Verdict.RESET, frozenset(("tcp",))),
            ("loss", Verdict.DROP, None),
            ("duplication", Verdict.DUPLICATE, UNORDERED),
        ):
            if primal_of(chance.get(fault, 0.0)) > 0:
                self.network.faults.arm(fault)
                rules.append(Chance(fault, chance[fault], verdict, protocols))
        # Detours come first: a message that is duplicated or lost may have been slow, too.
        for fault, protocols in (("slow tail", None), ("reordering", UNORDERED)):
            if primal_of(chance.get(fault, 0.0)) > 0:
                self.network.faults.arm(fault)
                rules.insert(
                    0, Detour(fault, chance[fault], _Extra(self, f"{fault.replace(' ', '_')}_delay"), protocols)
                )
        self._judges = tuple(rules)

    # Messages.

    def send(self, packet: Packet) -> None:
        """Put ``packet`` on its way, or decide that it is lost."""
        run = self.network.run
        clock = run.virtual_clock
        packet.sent_at = now = clock.now
        if self.is_loopback:
            self._travel(packet, now)
            return
        if self.partitioned:
            self.count_fault("partition")
            packet.lost()
            return
        packet.extra_seconds = None  # it may be sent again: what slowed the first attempt is over
        verdict = self._judge(packet)
        if verdict is Verdict.DROP:
            packet.lost()
            return
        if verdict is Verdict.RESET:
            packet.reset()
            return
        if verdict is Verdict.HOLD:
            self.held.append(packet)
            return
        self._depart(packet)
        if verdict is Verdict.DUPLICATE:
            twin = packet.copy()
            twin.sent_at = now
            self._depart(twin)

    def _judge(self, packet: Packet) -> Verdict:
        for rules in (self.network.rules, self.rules, self._judges):
            for rule in rules:
                verdict = rule.judge(packet)
                if verdict is not Verdict.PASS:
                    if verdict is not Verdict.DELIVER:
                        self.count_fault(fault_of(rule))
                    return verdict
        return Verdict.PASS

    def _depart(self, packet: Packet) -> None:
        clock = self.network.run.virtual_clock
        leaves = clock.now
        if self.bandwidth is not None:
            if isinstance(leaves, Value) or isinstance(self._free_at, Value):
                site("link queue", self.name, self._free_at, leaves)
            if primal_of(self._free_at) > clock.time:
                waiting = (primal_of(self._free_at) - clock.time) * primal_of(self.bandwidth)
                if waiting + packet.size > self.queue_bytes_max:
                    self.count_fault("queue overflow")
                    packet.lost()
                    return
                leaves = self._free_at
            leaves = self._free_at = leaves + packet.size / self.bandwidth
        seconds = sampled(self._latency, self._latency_key)
        if packet.extra_seconds is not None:
            seconds = seconds + packet.extra_seconds
        self._travel(packet, leaves + seconds)

    def _travel(self, packet: Packet, arrives_at: Any) -> None:
        self.in_flight[packet] = None
        self.network.run.timers.add(arrives_at, packet)

    def arrive(self, packet: Packet) -> None:
        """The journey of ``packet`` is over; it is delivered unless the link is closed or nobody is there."""
        del self.in_flight[packet]
        if self.partitioned:
            self.count_fault("partition")
            packet.lost()
        elif self.clogs:
            self.count_fault("clog")
            self.held.append(packet)
        elif not self.destination.is_powered:
            packet.lost()
        else:
            packet.deliver()

    def is_open(self) -> bool:
        """Whether a small message sent now would get through: what acknowledgements ask, which nothing else stops."""
        return not self.partitioned and not self.clogs and self.destination.is_powered

    def acknowledgement_arrives_at(self) -> Any:
        """When a message without content sent now would arrive; it takes no bandwidth and is not judged."""
        now = self.network.run.virtual_clock.now
        return now if self.is_loopback else now + sampled(self._latency, f"{self.name} acknowledgement")

    def count_fault(self, name: str) -> None:
        """The fault ``name`` took effect on this link."""
        self.fault_effects[name] = self.fault_effects.get(name, 0) + 1
        self.network.faults.count(name)

    # Clogs.

    def clog(self, seconds: Any = None) -> None:
        """Hold every message back, for ``seconds`` or until `unclog`. Clogs add up: each is taken off by itself.

        Raises:
            UsageError: ``seconds`` is negative.
        """
        if seconds is not None and not (_is_number(seconds, above=0.0) or primal_of(seconds) == 0):
            raise UsageError(f"a clog of {seconds!r} s: give seconds of at least 0, or none, and unclog it")
        self.network.faults.arm("clog")
        self.clogs += 1
        if seconds is not None:
            run = self.network.run
            run.timers.add(run.virtual_clock.now + seconds, _Unclogging(self))

    def unclog(self) -> None:
        """Take one clog off; with the last, what was held back arrives at once, in the order in which it came."""
        self.clogs = max(0, self.clogs - 1)
        if not self.clogs:
            self.release()

    def release(self) -> None:
        """Let everything that is held arrive now."""
        held, self.held = self.held, []
        now = self.network.run.virtual_clock.now
        for packet in held:
            self._travel(packet, now)

    # What the run's journal asks of an object that messages enter and leave.

    @property
    def serial(self) -> int:
        """The run in which the link has its number."""
        return self.network.run.serial

    @property
    def number(self) -> int:
        """The link's number among the objects of the run."""
        if self._number < 0:
            self._number = self.network.run.register("link", f"link {self.name}")
        return self._number

    def __repr__(self) -> str:
        return f"<Link {self.name}: {self._latency!r}, {len(self.in_flight)} messages in flight>"


def _is_number(value: Any, above: float) -> bool:
    primal = primal_of(value)
    return isinstance(primal, int | float) and not isinstance(primal, bool) and primal > above


class _Unclogging:
    """The end of a clog that was set for a time."""

    __slots__ = ("link",)

    def __init__(self, link: Link) -> None:
        self.link = link

    def fire(self) -> None:
        self.link.unclog()


class _Extra:
    """The length of a detour as the link says at that moment; if it says nothing, that of four more journeys."""

    __slots__ = ("attribute", "link")

    def __init__(self, link: Link, attribute: str) -> None:
        self.link = link
        self.attribute = attribute

    def sample(self, key: str) -> Any:
        delay = getattr(self.link, self.attribute)
        return 4.0 * sampled(self.link.latency, key) if delay is None else sampled(distribution_of(delay), key)


SETTINGS = (
    "latency",
    "bandwidth",
    "queue_bytes_max",
    "loss",
    "duplication",
    "reset",
    "reordering_delay",
    "reordering",
    "slow_tail_delay",
    "slow_tail",
)
