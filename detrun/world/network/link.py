"""`Link`: one direction between two nodes, which decides when a message arrives and whether it does.

A message leaves when the link's queue has let it through (``size / bandwidth`` seconds behind what went before; at once
without a bandwidth) and arrives a sample of the link's latency later. Messages travel independently, so a later one may
overtake; TCP puts its segments back in order, datagrams and mailboxes do not. A link that is partitioned swallows, a
link that is clogged holds back: both when a message enters and when it would arrive, so nothing crosses a partition,
not even what was on its way when it began.

Each link draws from streams of its own, one for each purpose: the n-th message of a link has the same outcome whatever
other links do, and switching one fault on does not shift the draws of another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from detrun.ad.outer_sites import site
from detrun.ad.value import Value
from detrun.world.network.latency import Distribution, Latency, distribution_of, sampled
from detrun.world.network.packet import Packet
from detrun.world.network.rules import Chance, Detour, Rule, Verdict, fault_of, verdict_of
from detrun.world.network.settings import LinkSettings, is_number
from detrun.world.services import Machine, Services
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError

UNORDERED = frozenset(("udp", "mailbox"))  # where duplicates and overtaking are seen by the receiver


def _setting(name: str, meaning: str) -> Any:
    """A property of `Link` that reads and replaces one of its settings."""

    def get(link: Link) -> Any:
        return getattr(link.settings, name)

    def change(link: Link, value: Any) -> None:
        link.configure(**{name: value})

    return property(get, change, doc=meaning)


class Link:
    """The way from one node to another.

    Attributes:
        settings: how it is set; assign to the attributes of the same names, or call `configure`.
        rules: further rules of this link, asked after the world's and before the probabilities.
        in_flight: what is on its way, in the order of sending.
        held: what a clog or a rule holds back, in the order of arrival.
        partitioned: it swallows everything.
        clogs: how many clogs are on it; it holds back while there are any.
        fault_counts: fault -> how often it struck here.
        clock: that of the run.

    Invariants: a packet is in ``in_flight`` as long as a timer of the run is set for its arrival; no packet is both in
    flight and held; ``_judges`` are what ``settings`` ask for, and none on a loopback link.
    """

    def __init__(
        self,
        services: Services,
        world_rules: Sequence[Rule],
        source: Machine,
        destination: Machine,
        settings: LinkSettings,
    ) -> None:
        self.source = source
        self.destination = destination
        self.name = f"{source.name}->{destination.name}"
        self.is_loopback = source is destination
        self.settings = settings
        self.rules: list[Rule] = []
        self.in_flight: dict[Packet, None] = {}
        self.held: list[Packet] = []
        self.partitioned = False
        self.clogs = 0
        self.fault_counts: dict[str, int] = {}
        self._run = services.run
        self.clock = services.run.virtual_clock
        self._timers = services.run.timers
        self._faults = services.faults
        self._world_rules = world_rules
        self._latency_key = f"{self.name} latency"
        self._latency = distribution_of(settings.latency)  # its own, whose parameters may be assigned to
        self._judges = self._rules_of(settings)  # the probabilities
        self._free_at: Any = -math.inf  # when the last message that waited for the bandwidth is through
        # Read by the run's journal when messages enter and leave: the run, and the number of the link in it.
        self.serial = services.run.serial
        self.number = -1

    # What it is set to.

    bandwidth = _setting("bandwidth", "Bytes per second; None for no limit.")
    queue_bytes_max = _setting("queue_bytes_max", "Bytes that may wait for the bandwidth.")
    loss = _setting("loss", "Probability that a message is lost.")
    duplication = _setting("duplication", "Probability that a datagram or mailbox message arrives twice.")
    reset = _setting("reset", "Probability that a TCP segment tears its connection down.")
    reordering = _setting("reordering", "Probability that others overtake a datagram or mailbox message.")
    reordering_delay = _setting("reordering_delay", "Extra seconds of such a message; None for four journeys.")
    slow_tail = _setting("slow_tail", "Probability that a message takes much longer.")
    slow_tail_delay = _setting("slow_tail_delay", "Extra seconds of such a message; None for four journeys.")

    @property
    def latency(self) -> Distribution:
        """The distribution of travel times, in seconds; may be assigned to at any time."""
        return self._latency

    @latency.setter
    def latency(self, latency: Latency) -> None:
        self.configure(latency=latency)

    def configure(self, **settings: Any) -> None:
        """Set several at once: ``link.configure(latency=0.01, loss=0.02)``.

        Raises:
            UsageError: there is no such setting, or a value is not valid; then none is set.
        """
        self.settings = self.settings.changed(settings)
        if "latency" in settings:
            self._latency = distribution_of(self.settings.latency)
        for fault in self.settings.faults(settings):
            self._faults.arm(fault)
        self._judges = self._rules_of(self.settings)

    def _rules_of(self, settings: LinkSettings) -> tuple[Chance | Detour, ...]:
        # Only what can happen is asked, so an ideal link draws nothing. Detours come first: a message that is
        # duplicated or lost may have been slow, too.
        rules: list[Chance | Detour] = []
        for fault, probability, delay, protocols in (
            ("reordering", settings.reordering, "reordering_delay", UNORDERED),
            ("slow tail", settings.slow_tail, "slow_tail_delay", None),
        ):
            if primal_of(probability) > 0:
                rules.append(Detour(fault, probability, _Extra(self, delay), protocols))
        for fault, probability, verdict, protocols in (
            ("reset", settings.reset, Verdict.RESET, frozenset(("tcp",))),
            ("loss", settings.loss, Verdict.DROP, None),
            ("duplication", settings.duplication, Verdict.DUPLICATE, UNORDERED),
        ):
            if primal_of(probability) > 0:
                rules.append(Chance(fault, probability, verdict, protocols))
        return tuple(rules)

    # Messages.

    def send(self, packet: Packet) -> None:
        """Put ``packet`` on its way, or decide that it is lost."""
        packet.sent_at = now = self.clock.now
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
        for rules in (self._world_rules, self.rules):
            for rule in rules:
                verdict = verdict_of(rule, packet)
                if verdict is not Verdict.PASS:
                    if verdict is not Verdict.DELIVER:
                        self.count_fault(fault_of(rule))
                    return verdict
        for judge in self._judges:
            verdict = judge.judge(packet)
            if verdict is not Verdict.PASS:
                self.count_fault(judge.fault)
                return verdict
        return Verdict.PASS

    def _depart(self, packet: Packet) -> None:
        leaves = self.clock.now
        bandwidth = self.settings.bandwidth
        if bandwidth is not None:
            if isinstance(leaves, Value) or isinstance(self._free_at, Value):
                site("link queue", self.name, self._free_at, leaves)
            if primal_of(self._free_at) > self.clock.time:
                waiting = (primal_of(self._free_at) - self.clock.time) * primal_of(bandwidth)
                if waiting + packet.size > self.settings.queue_bytes_max:
                    self.count_fault("queue overflow")
                    packet.lost()
                    return
                leaves = self._free_at
            leaves = self._free_at = leaves + packet.size / bandwidth
        seconds = sampled(self._latency, self._latency_key)
        if packet.extra_seconds is not None:
            seconds = seconds + packet.extra_seconds
        self._travel(packet, leaves + seconds)

    def _travel(self, packet: Packet, arrives_at: Any) -> None:
        self.in_flight[packet] = None
        self._timers.add(arrives_at, packet)

    def arrive(self, packet: Packet) -> bool:
        """The journey of ``packet`` is over: whether it is delivered now; else it is held, or was told of its loss."""
        del self.in_flight[packet]
        if self.partitioned:
            self.count_fault("partition")
            packet.lost()
            return False
        if self.clogs:
            self.count_fault("clog")
            self.held.append(packet)
            return False
        if not self.destination.is_powered:
            packet.lost()
            return False
        return True

    @property
    def queue_bytes(self) -> float:
        """Bytes that wait for the bandwidth now."""
        bandwidth = self.settings.bandwidth
        if bandwidth is None:
            return 0.0
        return max(float(primal_of(self._free_at)) - self.clock.time, 0.0) * float(primal_of(bandwidth))

    def is_open(self) -> bool:
        """Whether a small message sent now would get through: what acknowledgements ask, which nothing else stops."""
        return not self.partitioned and not self.clogs and self.destination.is_powered

    def acknowledgement_arrives_at(self) -> Any:
        """When a message without content sent now would arrive; it takes no bandwidth and is not judged."""
        now = self.clock.now
        return now if self.is_loopback else now + sampled(self._latency, f"{self.name} acknowledgement")

    def count_fault(self, name: str) -> None:
        """The fault ``name`` struck on this link."""
        self.fault_counts[name] = self.fault_counts.get(name, 0) + 1
        self._faults.count(name)

    # Clogs.

    def clog(self, seconds: Any = None) -> None:
        """Hold every message back, for ``seconds`` or until `unclog`. Clogs add up: each is taken off by itself.

        Raises:
            UsageError: ``seconds`` is negative.
        """
        if seconds is not None and not (is_number(seconds, above=0.0) or primal_of(seconds) == 0):
            raise UsageError(f"a clog of {seconds!r} s: give seconds of at least 0, or none, and unclog it")
        self._faults.arm("clog")
        self.clogs += 1
        if seconds is not None:
            self._timers.add(self.clock.now + seconds, _Unclogging(self))

    def unclog(self) -> None:
        """Take one clog off; with the last, what was held back arrives at once, in the order in which it came."""
        self.clogs = max(0, self.clogs - 1)
        if not self.clogs:
            self.release()

    def release(self) -> None:
        """Let everything that is held arrive now."""
        held, self.held = self.held, []
        now = self.clock.now
        for packet in held:
            self._travel(packet, now)

    def forget_messages(self) -> None:
        """The world is over: drop what is on its way and what is held."""
        self.in_flight.clear()
        self.held.clear()

    # The run's journal.

    def journal_entered(self) -> None:
        """Write down that a message of a mailbox was put on the link."""
        if self.number < 0:
            self.number = self._run.register("link", f"link {self.name}")
        self._run.message_entered(self)

    def journal_left(self) -> None:
        """Write down that a message has come out of the link."""
        if self.number < 0:
            self.number = self._run.register("link", f"link {self.name}")
        self._run.message_left(self)

    def _check(self) -> None:
        """Assert the invariants; for tests."""
        assert all(packet in self._timers.live for packet in self.in_flight), f"{self!r}: in flight without a timer"
        assert not any(packet in self.in_flight for packet in self.held), f"{self!r}: in flight and held"
        assert len(set(self.held)) == len(self.held), f"{self!r}: held twice"
        assert all(packet.link is self for packet in (*self.in_flight, *self.held)), f"{self!r}: a packet of another"
        assert self.clogs >= 0
        assert not (self.is_loopback and self._judges)

    def __repr__(self) -> str:
        return f"<Link {self.name}: {self._latency!r}, {len(self.in_flight)} messages in flight>"


class _Unclogging:
    """The end of a clog that was set for a time."""

    __slots__ = ("link",)

    def __init__(self, link: Link) -> None:
        self.link = link

    def fire(self) -> None:
        self.link.unclog()


class _Extra:
    """The length of a detour as the link says at that moment; if it says nothing, that of four more journeys."""

    __slots__ = ("link", "setting")

    def __init__(self, link: Link, setting: str) -> None:
        self.link = link
        self.setting = setting

    def sample(self, key: str) -> Any:
        delay = getattr(self.link.settings, self.setting)
        return 4.0 * sampled(self.link.latency, key) if delay is None else sampled(distribution_of(delay), key)
