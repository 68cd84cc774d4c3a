"""Boxes are sorted and compared while a worker still moves the body that it has claimed (a missing barrier)."""

from __future__ import annotations

from detrun_scenarios.physics.geometry.broad_phase import SweepAndPrune
from detrun_scenarios.physics.workers import Phase


class UnsynchronizedBroadPhase(SweepAndPrune):
    """Goes on when no body is left to claim."""

    async def moved(self, phase: Phase) -> None:
        """See `SweepAndPrune.moved`."""
        await phase.help()  # right: and then phase.finished()
