"""`DeadlineElevator`: one way across the disk, reads before writes, and nothing waits for ever.

Requests of one direction are served in batches of increasing place. A new batch is one of reads if there are any,
unless writes have stood back often enough. It begins with the oldest request, if that one has waited for longer than
its deadline or if there is none beyond the last place, and else goes on from there.

Source: Linux 6.1, `block/mq-deadline.c`, functions `dd_dispatch_request` and `__dd_dispatch_request`, and its defaults.
Priorities of processes and zones are left out. Requests that touch are not made one: the head comes to the next place
just when it is through with the last, so that it makes no difference here.
"""

from __future__ import annotations

from dataclasses import dataclass

from sortedcontainers import SortedDict

from detrun_scenarios.operating_system.storage.requests import Direction, Elevator, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The numbers of the elevator.

    Attributes:
        read_seconds, write_seconds: after which a request is the first of the next batch (`read_expire`,
            `write_expire`).
        batch: requests of a batch (`fifo_batch`).
        starved: so many batches of reads go before waiting writes (`writes_starved`).
    """

    read_seconds: float = 0.5
    write_seconds: float = 5.0
    batch: int = 16
    starved: int = 2


class _Lane:
    """The requests of one direction."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.by_age: dict[int, Request] = {}
        self.by_place: SortedDict[tuple[int, int], Request] = SortedDict()

    def add(self, request: Request) -> None:
        self.by_age[request.number] = request
        self.by_place[request.block, request.number] = request

    def beyond(self, place: int) -> Request | None:
        at = self.by_place.bisect_left((place, -1))
        return self.by_place.peekitem(at)[1] if at < len(self.by_place) else None

    def first(self, place: int, now: float) -> Request:
        """Of a new batch."""
        oldest = next(iter(self.by_age.values()))
        if now - oldest.arrived > self.seconds:
            return oldest
        return self.beyond(place) or oldest

    def take(self, request: Request) -> Request:
        del self.by_age[request.number], self.by_place[request.block, request.number]
        return request


class DeadlineElevator(Elevator):
    """See the module."""

    def __init__(self, deadlines: Deadlines | None = None) -> None:
        self.deadlines = deadlines or Deadlines()
        self._lanes: dict[Direction, _Lane] = {
            "read": _Lane(self.deadlines.read_seconds),
            "write": _Lane(self.deadlines.write_seconds),
        }
        self._direction: Direction = "read"
        self._served = 0  # of the batch
        self._stood_back = 0  # batches of reads, for which writes have waited

    def add(self, request: Request) -> None:
        """See `Elevator`."""
        self._lanes[request.direction].add(request)

    def next(self, head: int, now: float) -> Request | None:
        """See `Elevator`."""
        lane = self._lanes[self._direction]
        if 0 < self._served < self.deadlines.batch and (following := lane.beyond(head)) is not None:
            self._served += 1
            return lane.take(following)
        if (direction := self._next_direction()) is None:
            return None
        self._direction, self._served = direction, 1
        lane = self._lanes[direction]
        return lane.take(lane.first(head, now))

    def _next_direction(self) -> Direction | None:
        reads, writes = bool(self._lanes["read"].by_age), bool(self._lanes["write"].by_age)
        if reads and not (writes and self._stood_back >= self.deadlines.starved):
            self._stood_back += writes
            return "read"
        self._stood_back = 0
        return "write" if writes else None
