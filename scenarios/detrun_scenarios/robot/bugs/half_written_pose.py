"""The controller takes a pose whose cells the filter's thread is still writing: a place of now, a heading of before."""

from __future__ import annotations

from detrun_scenarios.robot.estimation.pose_board import PoseBoard


class HalfWrittenPose(PoseBoard):
    """Reads without a look at the version."""

    def is_whole(self, before: int) -> bool:
        """See `PoseBoard.is_whole`."""
        return True  # right: it is even, and has not changed
