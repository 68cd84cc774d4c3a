"""`StageCalls`: what the stages of one run have done, as the gradient of that run wants to know it.

Ids are those of the run's tape; everything else is plain data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from detrun_scheduler import current


@dataclass(slots=True)
class Crossing:
    """One call of a stage whose derivative is that of differences.

    Attributes:
        inputs, outputs: ids of the numbers that went in and came out.
        errors: for each output a row: by input, the estimated error of the difference quotient.
    """

    inputs: list[int]
    outputs: list[int]
    errors: list[list[float]]


@dataclass(slots=True)
class StageNotes:
    """One stage in one run.

    Attributes:
        derivative: as it is declared.
        calls: of the stage.
        outputs: ids of the Values that came out, over all calls.
        crossings: of a stage with differences.
        evaluations: of its function, the moved ones too.
        decided: passes of places in it where a parameter decides without a draw.
        scored: passes of places that are draws of a policy stage, and so no places where anything is left out.
        held: calls whose result held text, bytes or truth values, which no derivative moves.
        setting: the step or the temperature.
    """

    derivative: str
    setting: float | None = None
    calls: int = 0
    outputs: list[int] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    evaluations: int = 0
    decided: int = 0
    scored: int = 0
    held: int = 0


@dataclass(slots=True)
class StageCalls:
    """All stages of a run, by name.

    Attributes:
        is_plain: inside of a stage whose function sees plain numbers: the stages in it are plain calls.
    """

    stages: dict[str, StageNotes] = field(default_factory=dict)
    is_plain: bool = False

    def notes(self, name: str, derivative: str, setting: float | None) -> StageNotes:
        """Those of the stage."""
        return self.stages.setdefault(name, StageNotes(derivative, setting))


# What puts stages' rules into force in the run that goes on; None unless its gradient honours stages. It is put between
# the run and its draws by the first stage, so that runs without stages pay nothing.
honoured: Any = None


def watcher() -> Any:
    """What the run's gradient wants to be told by stages, if it honours them; else None.

    It has the attribute ``stages``, a `StageCalls`, and the context ``scoring(name)`` for the draws of a policy stage.
    """
    run: Any = current.run
    if honoured is None or run is None or getattr(run, "is_standing_in", False):
        return None
    run.draws = honoured
    return honoured
