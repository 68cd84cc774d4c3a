"""`StageCalls`: what the stages of one run have done, as the gradient of that run wants to know it.

Ids are those of the run's tape; everything else is plain data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from detrun_scheduler import current


@dataclass(slots=True)
class Crossing:
    """One call of a stage whose derivative is that of differences.

    Attributes:
        inputs, outputs: ids of the numbers that went in and came out.
        errors: for each output a row: by input, the estimated error of the difference quotient.
        call: the number of the call among those of the stage.
        sides: by input, what came out a step above it and a step below.
    """

    inputs: list[int]
    outputs: list[int]
    errors: list[list[float]]
    call: int
    sides: list[tuple[list[float], list[float]]]


@dataclass(frozen=True, slots=True)
class Replaced:
    """One call of a finite stage whose result is to be another one, as in a run of what follows its jump.

    Attributes:
        name: of the stage.
        call: the number of the call among those of the stage.
        numbers: what comes out of it.
    """

    name: str
    call: int
    numbers: list[float]


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
        setting: the step or the last temperature.
        temperatures: of a relaxed stage, falling.
        baseline: of a policy stage.
    """

    derivative: str
    setting: float | None = None
    temperatures: tuple[float, ...] = ()
    baseline: str = ""
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
        replaced: a call that is to have another result; None: none.
        takes_slopes: finite stages are to find their differences; else they are plain calls.
        level: which of their falling temperatures relaxed stages have; None: the last.
    """

    stages: dict[str, StageNotes] = field(default_factory=dict)
    is_plain: bool = False
    replaced: Replaced | None = None
    takes_slopes: bool = True
    level: int | None = None

    @contextmanager
    def plain(self) -> Iterator[None]:
        """In this block stages are plain calls."""
        before = self.is_plain
        self.is_plain = True
        try:
            yield
        finally:
            self.is_plain = before


# What puts stages' rules into force in the run that goes on; None unless its gradient honours stages. It is put between
# the run and its draws by the first stage, so that runs without stages pay nothing.
honoured: Any = None


def watcher() -> Any:
    """What the run's gradient wants to be told by stages, if it honours them; else None.

    It has the attribute ``stages``, a `StageCalls`, the context ``scoring(name)`` for the draws of a policy stage, and
    ``stand_before(run)``, which puts it between the run and its draws if it has to be there.
    """
    run: Any = current.run
    if honoured is None or run is None or getattr(run, "is_standing_in", False):
        return None
    honoured.stand_before(run)
    return honoured
