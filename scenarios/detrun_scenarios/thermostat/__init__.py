"""A room, a thermostat and a meter that share two cells: a million steps, to differentiate in bounded memory."""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.thermostat.workload import program

_SMOOTH = Meaning(
    "local", ("gain", "offset"), "no branch, clock or schedule depends on them, so a frozen schedule loses nothing"
)

SCENARIO = Scenario(
    name="thermostat",
    about="A room, a thermostat and a meter that share two cells and never wait for each other.",
    parameters=(
        Parameter("gain", 0.05, (0.0, 0.5), "1/turn", "power for a degree of error", origin="chosen to settle slowly"),
        Parameter(
            "offset", 0.016, (0.0, 0.1), "degrees/turn", "power at the set point", origin="the heat lost at 21 degrees"
        ),
    ),
    losses=(
        Loss("squared_error", "mean squared distance from the set point", "degrees²", (_SMOOTH,)),
        Loss("effort", "mean squared power", "(degrees/turn)²", (_SMOOTH,)),
    ),
    invariants=(Invariant("the room does not boil", "its temperature stays within what heating and doors can do"),),
    program=program,
)
