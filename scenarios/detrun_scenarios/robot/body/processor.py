"""`Processor`: one core without pre-emption: when a job or a part of one is done, the most urgent that waits is next.

Of equally urgent jobs the first that came goes first, and one that has begun goes on. The most urgent job waits for one
part of another at most, so that the longest part bounds the delay of the watchdog.
"""

from __future__ import annotations

from enum import IntEnum
from heapq import heappop, heappush
from typing import Any

import trio


class Urgency(IntEnum):
    """Of a job; the least number goes first."""

    WATCHDOG = 0
    ACTUATORS = 1
    SENSORS = 2
    VISION = 3
    BACKGROUND = 4


class Processor:
    """See the module."""

    def __init__(self) -> None:
        self._is_busy = False
        self._waiting: list[tuple[Urgency, int, trio.Event]] = []
        self._come = 0

    async def run(self, urgency: Urgency, *seconds: Any) -> None:
        """Compute for so long, as soon as it is this job's turn.

        Args:
            seconds: of the parts of the job; between two of them a more urgent job has its turn.
        """
        if self._is_busy:
            await self._turn(urgency)
        self._is_busy = True
        for part in seconds:
            if self._waiting and self._waiting[0][0] < urgency:
                self._hand_over()
                await self._turn(urgency)
            await trio.sleep(part)
        self._hand_over()

    async def _turn(self, urgency: Urgency) -> None:
        turn = trio.Event()
        self._come += 1
        heappush(self._waiting, (urgency, self._come, turn))
        await turn.wait()

    def _hand_over(self) -> None:
        if self._waiting:
            heappop(self._waiting)[2].set()
        else:
            self._is_busy = False
