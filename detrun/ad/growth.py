"""Growth of adjoints along a sweep: the largest one per segment of the tape, which shows explosion and vanishing.

A segment is a fixed range of ids, and parts of one segment that lie in different windows are merged, so the report does
not depend on how the tape was cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detrun.ad.tape import Tape

EXPLODED = 1e6
VANISHED = 1e-6


@dataclass(slots=True)
class AdjointGrowth:
    """Largest ``|adjoint|`` per segment of ``segment_entries`` ids; filled by `reverse.backward`, over all windows."""

    segment_entries: int = 4096
    origin: int = 0  # the first id of the run: segments are counted from there
    largest: dict[int, float] = field(default_factory=dict)

    def add_sweep(self, tape: Tape, visited: dict[int, Any], dense: list[Any]) -> None:
        size = self.segment_entries
        for entry_id, adjoint in visited.items():
            if type(adjoint) is float:
                self._add((entry_id - self.origin) // size, abs(adjoint))
        start = tape.first_id - self.origin
        begin, end = start, start + len(dense)
        while start < end:
            stop = min(end, (start // size + 1) * size)
            part = [one for one in dense[start - begin : stop - begin] if type(one) is float]
            if part:
                self._add(start // size, max(max(part), -min(part)))
            start = stop

    def _add(self, segment: int, magnitude: float) -> None:
        if magnitude > self.largest.get(segment, -1.0) or magnitude != magnitude:
            self.largest[segment] = magnitude

    def segments(self) -> list[tuple[int, float]]:
        """(first id, largest adjoint) of each segment swept, from the loss back; ids counted from that of the run."""
        return [
            (segment * self.segment_entries, self.largest[segment]) for segment in sorted(self.largest, reverse=True)
        ]

    def verdict(self) -> str | None:
        """One sentence of warning and advice, or ``None`` if adjoints stayed within a factor of a million."""
        nonzero = [(start, size) for start, size in self.segments() if size]
        if len(nonzero) < 2:
            return None
        (_, at_loss), (earliest, at_start) = nonzero[0], nonzero[-1]
        peak_id, peak = max(nonzero, key=lambda one: one[1])
        if not isfinite(peak) or peak > EXPLODED * at_loss:
            return (
                f"adjoints explode: {at_loss:.3g} at the loss, {peak:.3g} around id {peak_id}. The run amplifies small "
                "changes; shorten the horizon, or look at many runs"
            )
        if at_start < VANISHED * at_loss:
            return (
                f"adjoints vanish: {at_loss:.3g} at the loss, {at_start:.3g} around id {earliest}. Early values hardly "
                "matter to this loss, or pass through saturated operations"
            )
        return None
