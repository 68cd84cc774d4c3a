"""Explosion and vanishing, told from sums: the strength of the strongest path from the loss down to each entry.

An adjoint is a sum over all paths of the products of their partials. It is large where a number is used often, which
says nothing of the run, or where one path amplifies again and again, which says that small changes of early numbers
decide the late ones. So the second sweep here takes the largest product along any one path instead of the sum. A factor
counts as `FACTOR_MAX` at most and as its inverse at least: one change of units (times 1e9) counts little, and twenty
doublings count as growth. A partial of exactly 0 ends a path. Entries with a pullback count as a factor of 1.

Strengths of ids older than a tape are handed on to the window before, as adjoints are. Cost: about that of a dense
sweep; `WholeTape` looks only where adjoints are large or vanish.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from detrun.ad.tape import CELLS, WIDE, Tape

FACTOR_MAX = 8.0
EXPLODED, VANISHED = 1e6, 1e-6
_LEAST, _MOST = 1e-300, 1e300


@dataclass(slots=True)
class PathStrengths:
    """Strengths along a sweep, over all windows.

    Attributes:
        handed: id -> strength, of ids older than the tapes swept so far, and of those that are wanted.
        peak: the largest strength met, and ``peak_id`` where.
    """

    handed: dict[int, float] = field(default_factory=dict)
    peak: float = 0.0
    peak_id: int = -1

    def sweep(self, tape: Tape, wanted: Iterable[int] = ()) -> None:
        """Go down a tape, whose ids among those handed are where the paths begin."""
        first_id, entries, wide = tape.first_id, tape.entries, tape.wide
        older: dict[int, float] = {}
        strengths = [0.0] * len(tape)
        for entry_id, strength in self.handed.items():
            if entry_id < first_id:
                older[entry_id] = strength
            else:
                strengths[entry_id - first_id] = strength
        for place in range(len(strengths) - 1, -1, -1):
            strength = strengths[place]
            if not strength:
                continue
            if strength > self.peak:
                self.peak, self.peak_id = strength, first_id + place
            cell = place * CELLS
            left = entries[cell]
            parents: Iterable[tuple[int, Any]]
            if left == WIDE:
                ids, partials = wide[entries[cell + 1]]
                parents = ((one, 1.0) for one in ids) if callable(partials) else zip(ids, partials, strict=True)
            else:
                parents = ((left, entries[cell + 2]), (entries[cell + 1], entries[cell + 3]))
            for parent, partial in parents:
                factor = abs(partial)
                if parent < 0 or not factor:
                    continue
                passed = strength * min(max(factor, 1.0 / FACTOR_MAX), FACTOR_MAX)
                passed = min(max(passed, _LEAST), _MOST)
                if parent >= first_id:
                    if passed > strengths[parent - first_id]:
                        strengths[parent - first_id] = passed
                elif passed > older.get(parent, 0.0):
                    older[parent] = passed
        self.handed = older
        self.handed.update((one, strengths[one - first_id]) for one in wanted if one >= first_id)

    def verdicts(self, parameters: Mapping[str, int], adjoints: Mapping[str, Any], origin: int) -> list[str]:
        """Sentences of warning; none if no path amplifies or shrinks by a factor of a million."""
        found = []
        if self.peak > EXPLODED:
            found.append(
                f"adjoints explode: some path amplifies a change near id {self.peak_id - origin} by {self.peak:.3g} or "
                "more until it reaches the loss. The run is chaotic or unstable there, and its gradient says little of "
                "what a real change of a parameter does: shorten the horizon, or look at many runs"
            )
        for name, parameter in parameters.items():
            strength, adjoint = self.handed.get(parameter, 0.0), adjoints.get(name, 0.0)
            if 0.0 < strength < VANISHED and isinstance(adjoint, float) and abs(adjoint) < VANISHED:
                found.append(
                    f"adjoints vanish: d/d{name} is {adjoint:.3g}, since every path from {name} to the loss shrinks a "
                    f"change to {strength:.3g} of it or less, through saturated operations or a long decay"
                )
        return found
