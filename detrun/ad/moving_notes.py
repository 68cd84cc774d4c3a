"""Notes of a run in forward mode: each margin with its derivatives, found at once, since the Values carry tangents.

Nothing of a pass is kept but what it says of each direction: how far the run may move before this pass would flip, to
first order, whether that lies within a distance asked for, and whether it is among the nearest. Memory is bounded, and
unlike on a tape every pass counts and not only the closest of each site.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from detrun.ad import state
from detrun.ad.forward import TangentValue
from detrun.ad.sites import Site, Sites
from detrun.ad.source_lines import Place


@dataclass(frozen=True, slots=True)
class Flip:
    """A decision of the run that would come out otherwise, to first order, if it moved so far.

    Attributes:
        move: the distance, in units of the parameter (or of the direction); negative downward, 0.0 at a tie.
        site: what would flip; ``str(site)`` gives kind and source line.
        margin: of the pass, and ``slope``, its derivative.
        jump: of the loss there, from one side to the other in the direction of ``move``; None if not measured, or if
            the program fails there.
    """

    move: float
    site: Site
    margin: float
    slope: float
    jump: float | None = None

    def __str__(self) -> str:
        jump = "" if self.jump is None else f"; the loss jumps by {self.jump:+.4g}"
        return f"at {self.move:+.4g}: {self.site}{jump}"


@dataclass(slots=True)
class Crossings:
    """What the margins of a run say of one direction.

    Attributes:
        down, up: the distance to the nearest flip; inf if there is none.
        within: passes that would flip up to this distance are counted,
        passes_down, passes_up: on either side. A tie counts on both.
        nearest: the nearest flips, at most ``nearest_max``; a site counts once a side.
    """

    within: float = 0.0
    nearest_max: int = 1
    down: float = inf
    up: float = inf
    passes_down: int = 0
    passes_up: int = 0
    nearest: list[Flip] = field(default_factory=list)

    def see(self, site: Site, margin: float, slope: float) -> None:
        """A pass whose margin moves with this direction."""
        move = -margin / slope
        distance = abs(move)
        if move >= 0.0:
            self.up = min(self.up, distance)
            self.passes_up += distance <= self.within
        if move <= 0.0:
            self.down = min(self.down, distance)
            self.passes_down += distance <= self.within
        nearest = self.nearest
        if len(nearest) == self.nearest_max and distance >= abs(nearest[-1].move):
            return
        for place, other in enumerate(nearest):
            if other.site is site and (other.move < 0.0) == (move < 0.0):
                if distance >= abs(other.move):
                    return
                del nearest[place]
                break
        insort(nearest, Flip(move, site, margin, slope), key=lambda one: abs(one.move))
        del nearest[self.nearest_max :]


class MovingSites(Sites):
    """The sites of a run in forward mode."""

    __slots__ = ("crossings",)
    kept_per_site = None

    def __init__(self, crossings: Sequence[Crossings]) -> None:
        super().__init__()
        self.crossings = crossings  # one for each direction

    def add(
        self,
        kind: str,
        place: Place | None,
        description: str | None,
        margin: float,
        left: Any,
        right: Any,
        right_weight: float,
    ) -> Site:
        found = super().add(kind, place, description, margin, left, right, right_weight)
        left_moves = isinstance(left, TangentValue) and left.id >= state.first_id
        right_moves = isinstance(right, TangentValue) and right.id >= state.first_id
        if margin - margin == 0.0:  # an infinite one never comes to zero
            for direction, crossings in enumerate(self.crossings):
                slope = (left.tangent[direction] if left_moves else 0.0) + (
                    right_weight * right.tangent[direction] if right_moves else 0.0
                )
                if slope:
                    crossings.see(found, margin, slope)
        return found


class MovingNotes:
    """The notebook of a run in forward mode; see `state.start_notes`."""

    __slots__ = ("detachments", "sites")

    def __init__(self, crossings: Sequence[Crossings]) -> None:
        self.sites: Sites = MovingSites(crossings)
        self.detachments: dict[tuple[str, int], int] = {}
