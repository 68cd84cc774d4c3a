"""`Thread`: what the kernel knows of one thread: whether it runs, where, with which claim on a core.

A thread's claim is its weight (fair queues), its level (feedback queues) or its priority (fixed ones). One who waits
for a lock donates its claim to the holder, who may wait for another lock itself: claims are those of all who depend on
a thread. A weight is added, since one who waits leaves its share of the cores unused (Linux's proxy execution); of
levels and priorities the most urgent counts (Sha, Rajkumar and Lehoczky 1990).
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import trio

WEIGHT_OF_NICE_0 = 1024.0
NICE_STEP = 1.25


def weight_of(nice: Any) -> Any:
    """Each step of niceness is worth 10 % of a core beside one other thread: 1024 / 1.25^nice.

    Linux's table `sched_prio_to_weight` is this, rounded; without the rounding it has a derivative.
    """
    return WEIGHT_OF_NICE_0 * NICE_STEP ** (-nice)


class State(Enum):
    """Where a thread is. `WAITING` is off all cores and queues: asleep, or blocked in the kernel."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


class Thread:
    """See the module.

    Attributes:
        number: in the order of creation; ties between threads go by it.
        owner: the process that it belongs to.
        core: on which it runs or is queued, or has run last.
        left: seconds of a core that it still wants; a Value.
        ran: seconds that it has had; a Value.
        own_weight, own_priority: its claim without what others donate. A higher priority is more urgent.
        donors: those who wait for something that it holds.
        vruntime: its virtual runtime, for fair queues; a Value.
        own_level, allotment: for feedback queues: 0 is the highest level, and what is left of its time there.
        passed_since: seconds that its core had run when it was queued.
        has_signal: it is to return from what it does, to see to a signal.
        has_core: set while it runs.
        why: what it waits for, in a phrase.
    """

    __slots__ = (
        "allotment",
        "core",
        "donors",
        "has_core",
        "has_signal",
        "left",
        "number",
        "own_level",
        "own_priority",
        "own_weight",
        "owner",
        "passed_since",
        "ran",
        "state",
        "vruntime",
        "why",
    )

    def __init__(self, number: int, owner: str, weight: Any = WEIGHT_OF_NICE_0, priority: int = 0) -> None:
        self.number = number
        self.owner = owner
        self.core = -1
        self.state = State.WAITING
        self.left: Any = 0.0
        self.ran: Any = 0.0
        self.own_weight: Any = weight
        self.own_priority = priority
        self.donors: list[Thread] = []
        self.vruntime: Any = 0.0
        self.own_level = 0
        self.allotment: Any = None
        self.passed_since: Any = 0.0
        self.has_signal = False
        self.has_core = trio.Event()
        self.why = "its beginning"

    @property
    def weight(self) -> Any:
        """With what is donated."""
        found = self.own_weight
        for donor in self.donors:
            found = found + donor.weight
        return found

    @property
    def priority(self) -> int:
        """With what is donated."""
        return max([self.own_priority, *(donor.priority for donor in self.donors)])

    @property
    def level(self) -> int:
        """With what is donated."""
        return min([self.own_level, *(donor.level for donor in self.donors)])

    def __repr__(self) -> str:
        return f"{self.owner}[{self.number}]"
