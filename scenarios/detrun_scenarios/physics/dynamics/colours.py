"""`Colours`: the constraints of a large island in groups, in each of which no two share a body that moves.

Those of one group can be solved at once. Each constraint gets the first colour that neither of its bodies has yet, in
the order of pairs: a greedy colouring of the edges of a graph, with at most twice as many colours as a body has
constraints.

Source: Box2D 3 and Jolt's ``LargeIslandSplitter``, which keep a mask of the colours of each body.
"""

from __future__ import annotations

from collections.abc import Sequence

from detrun_scenarios.physics.dynamics.constraints import Constraint


class Colours:
    """See the module."""

    def __init__(self, is_fixed: Sequence[bool]) -> None:
        self._is_fixed = is_fixed

    def groups(self, constraints: Sequence[Constraint]) -> list[list[Constraint]]:
        """One group for each colour."""
        groups: list[list[Constraint]] = []
        taken: dict[int, int] = {}  # body -> the mask of its colours
        for constraint in constraints:
            mask = 0
            for body in self.shared(constraint):
                mask |= taken.get(body, 0)
            colour = (~mask & (mask + 1)).bit_length() - 1  # the lowest bit that is not set
            for body in constraint.pair:
                taken[body] = taken.get(body, 0) | 1 << colour
            if colour == len(groups):
                groups.append([])
            groups[colour].append(constraint)
        return groups

    def shared(self, constraint: Constraint) -> list[int]:
        """The bodies whose velocity a constraint changes, and which no other of its colour may have."""
        return [body for body in constraint.pair if not self._is_fixed[body]]
