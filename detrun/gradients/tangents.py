"""Forward mode: the local gradient of few parameters in memory that does not grow with the run.

Each parameter enters as a `TangentValue` with one direction for each parameter; the tangent of the loss is the
gradient. No tape is kept, so there are no discontinuity sites and no validity radius; cost grows with the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import outcome

from detrun.ad.forward import tangent_of, with_tangents
from detrun.ad.validity import Validity
from detrun.ad.value import Value
from detrun.execution.scope import RunScope
from detrun.gradients.credit import CreditTotals
from detrun.gradients.result import RunDiagnostics
from detrun_scheduler.run import ActiveRun


class Tangents(RunScope):
    """Runs a program in forward mode."""

    def __init__(self, numbers: dict[str, float]) -> None:
        self.numbers = numbers
        self.grads: dict[str, float] = {}
        self.validity: dict[str, Validity] = {}
        self.diagnostics = RunDiagnostics()
        self.credits: dict[str, CreditTotals] = {}

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """The parameters, each with the unit tangent of its own direction."""
        return (dict(with_tangents(self.numbers)),)

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Read the tangent of the loss."""
        if isinstance(ended, outcome.Value) and isinstance(loss := ended.value, Value | float | int):
            self.grads = dict(zip(self.numbers, tangent_of(loss, len(self.numbers)), strict=True))
        return ended
