"""The governor: weights of a fair queue that follow the mix of those who want a core.

From time to time it looks which threads can run. The weight of those who wait for answers is exponential in how crowded
the cores are with those who compute for long::

    weight = 1024 * exp(bias + gain * crowd)

``crowd`` is the share of batches among the threads that can run, with the past forgotten at a rate. With ``bias`` and
``gain`` 0 everybody is of nice 0, as Linux starts them. The form is that of a log-linear policy; what is learned are
its two numbers, beside those of the queue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.operating_system.cpu.fair import FairQueue
from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.cpu.threads import WEIGHT_OF_NICE_0, State, Thread

BOUNDED = "weights stay within those of niceness"
LOOK_SECONDS = 0.005
FORGOTTEN = 0.2  # of the past, at each look
LEAST, MOST = 15.0, 88_761.0  # of Linux's sched_prio_to_weight


def queue_under(gain: Any) -> type[FairQueue]:
    """Fair queues whose watchdog knows that weights move.

    A thread waits for its share of the load, that of the one that runs included. While it waited the load may have been
    larger than now: others have left, and weights have changed. So what counts is the longest wait that was due at any
    decision since it came; between decisions weights move by the factor between the least and the largest at most.
    """
    factor = math.exp(abs(plain(gain)))

    class GovernedQueue(FairQueue):
        """See `FairQueue`."""

        def __init__(self, settings: CpuSettings) -> None:
            super().__init__(settings)
            self.due: dict[Thread, float] = {}  # the longest wait since it came, in seconds

        def add(self, thread: Thread, woken: bool) -> None:
            """One more, for which all others wait longer."""
            super().add(thread, woken)
            self.due[thread] = 0.0
            self.note()

        def remove(self, thread: Thread) -> None:
            """See `RunQueue`."""
            super().remove(thread)
            del self.due[thread]

        def slice_of(self, thread: Thread) -> Any:
            """It runs now."""
            seconds = super().slice_of(thread)
            self.note()
            return seconds

        def note(self) -> None:
            """What is due now."""
            for one in self.threads:
                self.due[one] = max(self.due[one], super().patience(one))

        def patience(self, thread: Thread) -> float:
            """See above."""
            self.note()
            return factor * self.due[thread]

    return GovernedQueue


@dataclass(slots=True)
class Governor:
    """See the module.

    Attributes:
        bias, gain: of the exponent; Values.
        users, batches: the threads that it looks at; only the users' weights move.
        crowd: as it is now.
        history: (seconds, crowd, weight), one for each look.
    """

    bias: Any
    gain: Any
    users: Sequence[Thread]
    batches: Sequence[Thread]
    crowd: float = 0.0
    history: list[tuple[float, float, float]] = field(default_factory=list)

    async def run(self) -> None:
        """Look again and again."""
        while True:
            self.look()
            await trio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Count who can run, and set the weights."""
        batches, users = (
            sum(one.state in (State.QUEUED, State.RUNNING) for one in threads) for threads in (self.batches, self.users)
        )
        if batches + users:
            self.crowd += FORGOTTEN * (batches / (batches + users) - self.crowd)
        weight = self.weight
        for thread in self.users:
            thread.own_weight = weight
        number = plain(weight)
        require(LEAST <= number <= MOST, BOUNDED, f"a weight of {number:g}")
        self.history.append((plain(trio.current_time()), self.crowd, number))

    @property
    def weight(self) -> Any:
        """Of users, now."""
        wanted = WEIGHT_OF_NICE_0 * detrun.exp(self.bias + self.gain * self.crowd)
        return detrun.minimum(detrun.maximum(wanted, LEAST), MOST)
