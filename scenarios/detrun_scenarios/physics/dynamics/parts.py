"""`Parts`: of which classes an engine is made; a planted bug replaces one of them."""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.physics.dynamics.colours import Colours
from detrun_scenarios.physics.dynamics.links import Links
from detrun_scenarios.physics.geometry.broad_phase import SweepAndPrune


@dataclass(frozen=True, slots=True)
class Parts:
    """Of which classes an engine is made."""

    broad_phase: type[SweepAndPrune] = SweepAndPrune
    links: type[Links] = Links
    colours: type[Colours] = Colours
