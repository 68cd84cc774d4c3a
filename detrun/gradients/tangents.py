"""Forward mode: the local gradient of few parameters in memory that does not grow with the run.

Each parameter enters as a `TangentValue` with one direction for each parameter; the tangent of the loss is the
gradient. No tape is kept. Margins have their derivatives at once, so every pass of every discontinuity site counts for
the validity, and not only the closest of each. Cost grows with the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import outcome

from detrun.ad import state
from detrun.ad.diagnostics import diagnose
from detrun.ad.forward import TangentValue, tangent_of
from detrun.ad.moving_notes import Crossings, MovingNotes
from detrun.ad.validity import Validity
from detrun.ad.value import Value
from detrun.execution.scope import RunScope
from detrun.gradients.credit import CreditTotals
from detrun.gradients.result import RunDiagnostics
from detrun.gradients.timing import TimingSites
from detrun_scheduler.run import ActiveRun, RunHooks


class Tangents(RunScope):
    """Runs a program in forward mode.

    Args:
        numbers: the parameters.
        directions: in each, how fast each parameter moves; by default one parameter alone moves in each.
        crossings: receives what the margins say of each direction; by default only the nearest is kept.

    Attributes:
        slopes: the derivative of the loss in each direction.
    """

    def __init__(
        self,
        numbers: dict[str, float],
        directions: Sequence[dict[str, float]] | None = None,
        crossings: Sequence[Crossings] | None = None,
        *,
        measures_validity: bool = True,
    ) -> None:
        self.numbers = numbers
        self.directions = directions if directions is not None else [{name: 1.0} for name in numbers]
        self.crossings = crossings if crossings is not None else [Crossings() for _ in self.directions]
        self.notes = MovingNotes(self.crossings if measures_validity else ())
        self.measures_validity = measures_validity
        self.slopes: tuple[float, ...] = ()
        self.loss: Value | float = 0.0
        self.diagnostics = RunDiagnostics()
        self.credits: dict[str, CreditTotals] = {}

    @property
    def grads(self) -> dict[str, Any]:
        """By parameter, where each direction is one."""
        return dict(zip(self.numbers, self.slopes, strict=False))

    @property
    def validity(self) -> dict[str, Validity]:
        """By parameter, where each direction is one."""
        if not self.measures_validity:
            return {}
        return {name: validity_of(one) for name, one in zip(self.numbers, self.crossings, strict=True)}

    def contribute(self, hooks: RunHooks) -> None:
        """Note where timing decides."""
        hooks.time_observer = TimingSites()

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """The parameters, each with its speed in each direction."""
        state.start_notes(self.notes)
        return (
            {
                name: TangentValue(number, tuple(one.get(name, 0.0) for one in self.directions))
                for name, number in self.numbers.items()
            },
        )

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Read the tangent of the loss."""
        state.stop_notes()
        if isinstance(ended, outcome.Value) and isinstance(loss := ended.value, Value | float | int):
            self.loss = loss
            self.slopes = tangent_of(loss, len(self.directions))
        self.diagnostics = RunDiagnostics.of(diagnose([self.notes]))
        return ended


def validity_of(crossings: Crossings) -> Validity:
    """What the margins say of a parameter that moves alone."""
    down, up = crossings.down, crossings.up
    first = crossings.nearest[0] if crossings.nearest else None
    if first is None:
        return Validity(min(down, up), down, up, None, None, None)
    return Validity(min(down, up), down, up, first.site, first.margin, first.slope)
