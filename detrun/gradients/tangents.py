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
from detrun.gradients.result import RunDiagnostics
from detrun_scheduler.loop import RunLoop


class Tangents:
    """Runs a program in forward mode (see `execution.Around`)."""

    def __init__(self, numbers: dict[str, float]) -> None:
        self.numbers = numbers
        self.grads: dict[str, float] = {}
        self.validity: dict[str, Validity] = {}
        self.diagnostics = RunDiagnostics()

    def prepare(self, loop: RunLoop) -> Sequence[object]:
        """The parameters, each with the unit tangent of its own direction."""
        return (dict(with_tangents(self.numbers)),)

    def harvest(self, ended: outcome.Outcome[Any]) -> None:
        """Read the tangent of the loss."""
        if isinstance(ended, outcome.Error):
            return
        assert isinstance(ended, outcome.Value)
        loss = ended.value
        if isinstance(loss, Value | float | int):
            self.grads = dict(zip(self.numbers, tangent_of(loss, len(self.numbers)), strict=True))
