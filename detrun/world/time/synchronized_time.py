"""`SynchronizedClock`: time with error bounds, as a machine can know it from the clocks of others.

A machine asks a server for the time. The answer took some time to come, so it bounds the offset between their clocks
from both sides (`offset_bounds`); several servers' bounds are intersected, leaving out those that contradict a majority
(`agreed_interval`); and from then on the bound widens as fast as the machine's clock may drift (`SynchronizedClock`).
`SynchronizedClock.now` is an interval that contains the true time, if the bounds that were given are true: that of
drift, and those of the servers' errors. With it a program orders events across machines by waiting out the uncertainty
(`wait_until_past`), as Spanner commits.

Sources: Marzullo and Owicki, "Maintaining the time in a distributed system", PODC 1983; Mills, RFC 5905 (the four time
stamps); Corbett et al., "Spanner", OSDI 2012 (TrueTime, commit wait). Departure from NTP: no filtering of samples and
no steering of the clock; the newest round counts, and the clock itself is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from detrun.world.time.clocks import NodeClock
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError

if TYPE_CHECKING:
    from detrun.world.nodes.node import Node


class TimeInterval(NamedTuple):
    """The time lies between the two, ends included."""

    earliest: Any
    latest: Any

    @property
    def width(self) -> Any:
        """The uncertainty."""
        return self.latest - self.earliest

    @property
    def middle(self) -> Any:
        """The best guess."""
        return (self.earliest + self.latest) / 2.0

    def contains(self, moment: Any) -> bool:
        """Whether a moment lies in it."""
        return bool(primal_of(self.earliest) <= primal_of(moment) <= primal_of(self.latest))

    def is_before(self, other: TimeInterval) -> bool:
        """Whether all of it is certainly earlier than all of the other."""
        return bool(self.latest < other.earliest)


class TimeSample(NamedTuple):
    """One question and its answer: RFC 5905's four time stamps."""

    asked: Any  # on the asking machine's monotonic clock
    arrived: Any  # on the server's wall clock
    answered: Any  # on the server's wall clock
    returned: Any  # on the asking machine's monotonic clock
    server_error: Any = 0.0  # the server's wall clock is off by at most this


def offset_bounds(sample: TimeSample, drift_bound: Any = 0.0) -> TimeInterval:
    """Bounds of true time minus the asking machine's monotonic clock, at the moment when the answer returned.

    The answer cannot have been given after it returned, nor the question have arrived before it was asked. The
    machine's clock may have drifted meanwhile.
    """
    drifted = (sample.returned - sample.asked) * drift_bound
    return TimeInterval(
        sample.answered - sample.returned - sample.server_error,
        sample.arrived - sample.asked + sample.server_error + drifted,
    )


class Agreement(NamedTuple):
    """What most servers say."""

    interval: TimeInterval
    votes: int


def agreed_interval(intervals: Sequence[TimeInterval]) -> Agreement:
    """The smallest interval that lies in as many of the intervals as possible: Marzullo's algorithm.

    Of several with equally many the earliest. Comparisons of `Value`s are discontinuity sites, as everywhere.

    Raises:
        UsageError: no intervals, or one that ends before it begins.
    """
    if not intervals:
        raise UsageError("agreed_interval: no intervals; ask at least one server")
    for interval in intervals:
        if primal_of(interval.earliest) > primal_of(interval.latest):
            raise UsageError(f"agreed_interval: {interval!r} ends before it begins")
    # Ends that meet count as overlapping: a beginning (0) sorts before an end (1) at the same time.
    edges: list[tuple[Any, int]] = [(interval.earliest, 0) for interval in intervals]
    edges += [(interval.latest, 1) for interval in intervals]
    edges.sort()
    best = inside = 0
    found = TimeInterval(edges[0][0], edges[-1][0])
    for index, (moment, is_end) in enumerate(edges):
        inside += -1 if is_end else 1
        if inside > best:
            best, found = inside, TimeInterval(moment, edges[index + 1][0])
    return Agreement(found, best)


class SynchronizedClock:
    """A machine's idea of the true time, with bounds.

    Args:
        clock: the machine's own.
        drift_bound: a second of the machine's clock is a true second but for at most this, whichever way.
    """

    def __init__(self, clock: NodeClock, *, drift_bound: Any = 200e-6) -> None:
        self.clock = clock
        self.drift_bound = drift_bound
        self._offset: TimeInterval | None = None
        self._since: Any = 0.0
        self._questions = count(1)

    def observe(self, samples: Sequence[TimeSample]) -> Agreement:
        """Take over what the servers of one round say.

        Raises:
            UsageError: no majority of them agrees: too many are wrong, or a bound was.
        """
        now = self.clock.monotonic()
        bounds = []
        for sample in samples:
            offset = offset_bounds(sample, self.drift_bound)
            drifted = (now - sample.returned) * self.drift_bound
            bounds.append(TimeInterval(offset.earliest - drifted, offset.latest + drifted))
        agreement = agreed_interval(bounds)
        if 2 * agreement.votes <= len(samples):
            raise UsageError(
                f"clock {self.clock.name!r}: only {agreement.votes} of {len(samples)} time servers agree; no majority "
                "says what time it is"
            )
        self._offset, self._since = agreement.interval, now
        return agreement

    def now(self) -> TimeInterval:
        """An interval that contains the true time, in seconds since 1970.

        Raises:
            UsageError: never synchronized.
        """
        if self._offset is None:
            raise UsageError(f"clock {self.clock.name!r} was never synchronized; call observe() or synchronize() first")
        local = self.clock.monotonic()
        drifted = (local - self._since) * self.drift_bound
        return TimeInterval(local + self._offset.earliest - drifted, local + self._offset.latest + drifted)

    async def wait_until_past(self, moment: Any) -> None:
        """Return when ``moment`` has certainly passed everywhere: Spanner's commit wait."""
        while True:
            behind = moment - self.now().earliest
            if primal_of(behind) < 0.0:
                await trio.lowlevel.checkpoint()
                return
            # The lower bound creeps at 1 - drift_bound; a nanosecond more, since past is strictly later.
            await self.clock.sleep(behind / (1.0 - self.drift_bound) + 1e-9 + abs(primal_of(moment)) * 1e-15)

    async def synchronize(self, node: Node, servers: Sequence[str], timeout: Any = 1.0) -> Agreement:
        """Ask time servers, one after another, and take over what those say that answer in time.

        Raises:
            UsageError: no majority of those that answered agrees, or none answered.
        """
        samples = []
        for server in servers:
            with trio.move_on_after(timeout):
                samples.append(await ask_time(node, server, next(self._questions)))
        return self.observe(samples)


@dataclass(frozen=True, slots=True)
class TimeRequest:
    """What time is it?"""

    number: int


@dataclass(frozen=True, slots=True)
class TimeReply:
    """The time, on the server's wall clock."""

    number: int
    arrived: Any
    answered: Any
    error: Any


async def serve_time(node: Node, error: Any = 0.0) -> None:
    """Answer `TimeRequest`s for ever; ``error`` is the bound that the server claims for its own clock."""
    while True:
        envelope = await node.receive_envelope(TimeRequest)
        arrived = node.clock.now()
        node.send(envelope.sender, TimeReply(envelope.message.number, arrived, node.clock.now(), error))


async def ask_time(node: Node, server: str, number: int) -> TimeSample:
    """Ask one server, under a number of its own: replies to earlier questions, which came too late, are thrown away."""
    asked = node.clock.monotonic()
    node.send(server, TimeRequest(number))
    while True:
        reply = await node.receive(TimeReply)
        if reply.number == number:
            return TimeSample(asked, reply.arrived, reply.answered, node.clock.monotonic(), reply.error)
