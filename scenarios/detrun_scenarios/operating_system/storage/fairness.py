"""`FairElevator`: the disk's work is shared by processes, each of which has the arm for a budget of pages at a time.

The requests of a process wait in a queue of its own, in order of place. A queue that gets the arm keeps it until its
budget is spent, or until it has no request left. One who reads asks for the next page only when it has the last one, so
the arm waits for it a little (*idling*), lest it be sent away between two neighbours. Which queue is next is decided by
virtual time: each has a start and a finish, the finish being later by its budget; among those whose start has come the
one with the least finish is next. What was not used of a budget is not charged.

So each of n processes that always have work gets a share of 1/n of the pages, and falls behind by no more than two
budgets.

Source: Valente and Checconi, "High throughput disk scheduling with fair bandwidth distribution", IEEE Transactions on
Computers 59(9), 2010 (B-WF2Q+). Budgets are fixed, all weights are 1, and a process that seeks is charged by pages, not
by time; idling has Linux's default (`slice_idle`, 8 ms).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sortedcontainers import SortedDict

from detrun_scenarios.operating_system.storage.requests import Elevator, Request

_ROUNDING = 1e-9  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """The numbers of the elevator.

    Attributes:
        pages: of one budget.
        idle_seconds: for which the arm waits for one who reads.
    """

    pages: int = 64
    idle_seconds: float = 0.008


@dataclass(eq=False, slots=True)
class _Queue:
    """One process.

    Attributes:
        start, finish: in virtual time, of its budget.
        served: pages of it that are spent.
    """

    number: int
    requests: SortedDict[tuple[int, int], Request] = field(default_factory=SortedDict)
    start: float = 0.0
    finish: float = 0.0
    served: int = 0

    def take(self, head: int) -> Request:
        """The next one in place, or the first."""
        at = self.requests.bisect_left((head, -1))
        request: Request = self.requests.popitem(at if at < len(self.requests) else 0)[1]
        return request


class FairElevator(Elevator):
    """See the module."""

    def __init__(self, budgets: Budgets | None = None) -> None:
        self.budgets = budgets or Budgets()
        self._queues: dict[str, _Queue] = {}
        self._active: _Queue | None = None
        self._idle_until: float | None = None
        self._virtual = 0.0

    def add(self, request: Request) -> None:
        """See `Elevator`."""
        queue = self._queues.setdefault(request.owner, _Queue(len(self._queues)))
        if not queue.requests and queue is not self._active:
            self._begin(queue)
        queue.requests[request.block, request.number] = request

    def next(self, head: int, now: float) -> Request | None:
        """See `Elevator`."""
        active = self._active
        if active is not None:
            if active.requests and active.served < self.budgets.pages:
                return self._serve(active, head)
            if not active.requests and self._idle_until is not None and now < self._idle_until - _ROUNDING:
                return None
            self._expire(active)
        waiting = [queue for queue in self._queues.values() if queue.requests]
        if not waiting:
            return None
        self._virtual = max(self._virtual, min(queue.start for queue in waiting))
        eligible = [queue for queue in waiting if queue.start <= self._virtual]
        self._active = min(eligible, key=lambda queue: (queue.finish, queue.number))
        return self._serve(self._active, head)

    def patience(self, now: float) -> float | None:
        """See `Elevator`."""
        if self._idle_until is None or not any(queue.requests for queue in self._queues.values()):
            return None
        return max(self._idle_until - now, 0.0)

    def served(self, request: Request, now: float) -> None:
        """See `Elevator`."""
        queue = self._active
        if queue is not None and request.direction == "read" and not queue.requests:
            self._idle_until = now + self.budgets.idle_seconds

    def _serve(self, queue: _Queue, head: int) -> Request:
        self._idle_until = None
        request = queue.take(head)
        queue.served += request.count
        others = sum(1 for one in self._queues.values() if one.requests and one is not queue)
        self._virtual += request.count / (others + 1)
        return request

    def _begin(self, queue: _Queue) -> None:
        queue.start = max(self._virtual, queue.finish)
        queue.finish = queue.start + self.budgets.pages

    def _expire(self, queue: _Queue) -> None:
        self._active, self._idle_until = None, None
        queue.finish = queue.start + queue.served
        queue.served = 0
        if queue.requests:
            self._begin(queue)
