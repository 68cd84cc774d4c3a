"""What the two nodes say to each other. Times are readings of the sender's clock unless something else is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a sensor has seen.

    Attributes:
        kind: ``"odometry"`` (speed, turn), ``"gyro"`` (turn), ``"camera"`` (landmark, range, bearing for each landmark
            that is seen), ``"joints"`` (two angles).
        number: of all measurements of the run.
        stamp: when it was taken, by the clock of the base.
    """

    kind: str
    number: int
    stamp: Any
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """What the actuators are to do until the next one comes.

    Attributes:
        goal: that it serves.
        number: within the goal.
        issued: by the clock of the base, as the brain believes it to be.
        speed, turn: of the base, in m/s and rad/s.
        arm: wanted angles of the joints.
    """

    goal: int
    number: int
    issued: Any
    speed: Any
    turn: Any
    arm: tuple[float, float]


@dataclass(frozen=True, slots=True)
class GoalBegins:
    """From now on commands of this goal count."""

    goal: int


@dataclass(frozen=True, slots=True)
class TimeQuestion:
    """What does your clock show? ``asked`` comes back in the answer."""

    asked: Any


@dataclass(frozen=True, slots=True)
class TimeAnswer:
    """The clock of the base showed ``shown``."""

    asked: Any
    shown: Any
