"""A room, a thermostat, a meter and a door: a million steps around shared memory, differentiated in bounded memory."""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Bug, Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.thermostat.room import NO_HEAT_IS_LOST
from detrun_scenarios.thermostat.workload import program

_SMOOTH = Meaning(
    "local", ("gain", "offset"), "no branch, clock or schedule depends on them, so a frozen schedule loses nothing"
)

SCENARIO = Scenario(
    name="thermostat",
    about="A room, a thermostat, a meter and a visitor at the door, who share cells and never wait for each other.",
    parameters=(
        Parameter(
            "gain",
            0.05,
            (0.005, 0.5),
            "1/turn",
            "power for a degree of error",
            origin="settles within a hundred turns",
            log_scale=True,
        ),
        Parameter(
            "offset", 0.016, (0.0, 0.1), "degrees/turn", "power at the set point", origin="the heat lost at 21 degrees"
        ),
    ),
    losses=(
        Loss(
            "squared_error",
            "mean squared distance from the set point",
            "degrees²",
            (_SMOOTH,),
            tune_options={"rate": 0.3},
        ),
        Loss("effort", "mean squared power", "(degrees/turn)²", (_SMOOTH,)),
    ),
    invariants=(Invariant(NO_HEAT_IS_LOST, "the temperature is what it was, and the heat that came and went"),),
    bugs=(
        Bug(
            "torn_turn",
            "the room reads its temperature in one step and writes it in the next",
            places=("TornTurn.cool", "Room.visit"),
        ),
    ),
    program=program,
)
