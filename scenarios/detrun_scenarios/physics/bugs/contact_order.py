"""Two contacts of one body are solved at once, and an impulse is added to a velocity that is no longer its own."""

from __future__ import annotations

from detrun_scenarios.physics.dynamics.colours import Colours
from detrun_scenarios.physics.dynamics.constraints import Constraint


class ContactOrder(Colours):
    """Colours contacts by the first of their bodies."""

    def shared(self, constraint: Constraint) -> list[int]:
        """See `Colours.shared`."""
        return super().shared(constraint)[:1]  # right: all of them
