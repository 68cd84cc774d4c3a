"""Two bearings just behind the robot, one to the left and one to the right, are taken to be a whole turn apart."""

from __future__ import annotations

from typing import Any

from detrun_scenarios.robot.estimation.fusion import Fusion


class AngleNotWrapped(Fusion):
    """Subtracts angles as if they were lengths."""

    def angle_off(self, measured: Any, expected: Any) -> Any:
        """See `Fusion.angle_off`."""
        return measured - expected  # right: wrapped
