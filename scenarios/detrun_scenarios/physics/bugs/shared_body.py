"""Two workers link one root to two others, one link is lost, and a body is in two islands (Anderson and Woll 1991)."""

from __future__ import annotations

from detrun_scenarios.physics.dynamics.links import Links


class SharedBody(Links):
    """Replaces a parent without a look at whether it still is a root."""

    def attach(self, high: int, low: int) -> bool:
        """See `Links.attach`."""
        self.parents[high].store(low)  # right: compare_exchange(high, low)
        return True
