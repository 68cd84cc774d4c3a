"""`PoseBoard`: where the filter's thread leaves the latest pose for those who control.

The numbers lie in shared memory, one cell each, guarded by a sequence lock: the version is odd while they are written,
and a reader that finds it odd, or changed when it has read all, reads again. The writer never waits.

Source: the seqlocks of Linux, ``include/linux/seqlock.h``.
"""

from __future__ import annotations

import trio

import detrun
from detrun_scenarios.robot.estimation.pose import Pose
from detrun_scenarios.robot.invariants import Monitor


class PoseBoard:
    """See the module."""

    def __init__(self, first: Pose, monitor: Monitor) -> None:
        self.version = detrun.Atomic(0)
        self.cells = [detrun.Shared(one) for one in first]
        self._monitor = monitor

    def publish(self, pose: Pose) -> None:
        """Write all cells; in the thread of the filter alone."""
        self.version.fetch_add(1)
        for cell, number in zip(self.cells, pose, strict=True):
            cell.value = number
        self.version.fetch_add(1)

    async def read(self) -> Pose:
        """The latest pose that was written as a whole."""
        while True:
            before = self.version.load()
            pose = Pose(*(cell.value for cell in self.cells))
            if self.is_whole(before):
                break
            await trio.sleep(0)
        self._monitor.read(pose)
        return pose

    def is_whole(self, before: int) -> bool:
        """Whether the version was even when it was ``before``, and is still the same."""
        return before % 2 == 0 and self.version.load() == before
