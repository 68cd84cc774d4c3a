"""`Vehicle`: the moving base as it is: a differential drive whose wheels slip.

Wheels follow what is commanded as a first-order lag. Between two looks commands and slip are constant, so that speeds
are exact exponentials; the position is that of the middle heading, right to the third order of a step of 10 ms or less.
Nothing on the robot sees this object: sensors see readings with noise, and the invariants compare.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import trio

import detrun

LAG_SECONDS = 0.1  # of the wheels' speed behind what is commanded
SPEED_MAX, TURN_MAX = 0.8, 2.0  # m/s and rad/s, of commands
SPEED_LOSS, TURN_LOSS = 4.0, 0.5  # W for each (m/s²)² and (rad/s²)²: the copper losses of the motors


def lag_after(seconds: Any) -> tuple[Any, Any]:
    """The share of an offset that the wheels' lag leaves after so long, and its integral until then, in seconds."""
    left = detrun.exp(-seconds / LAG_SECONDS)
    return left, LAG_SECONDS * (1.0 - left)


class Truth(NamedTuple):
    """Where the base is and how it moves: metres, radians without wrapping, m/s and rad/s."""

    x: Any
    y: Any
    heading: Any
    speed: Any
    turn: Any


class Vehicle:
    """See the module.

    Attributes:
        energy: that the motors have lost, in joules.
        commanded: speed and turn.
        slip: speed and turn that the ground adds to those of the wheels.
    """

    def __init__(self, x: float, y: float, heading: float) -> None:
        self.energy: Any = 0.0
        self.commanded: tuple[Any, Any] = (0.0, 0.0)
        self.slip: tuple[Any, Any] = (0.0, 0.0)
        self._at = Truth(x, y, heading, 0.0, 0.0)
        self._moved_at: Any = trio.current_time()

    def now(self) -> Truth:
        """Its state at this moment; the speeds are those of the wheels."""
        gone = trio.current_time() - self._moved_at
        if gone == 0.0:
            return self._at
        self._moved_at = self._moved_at + gone
        x, y, heading, speed, turn = self._at
        wanted_speed, wanted_turn = self.commanded
        slipped, skidded = self.slip
        left, reach = lag_after(gone)
        off_speed, off_turn = speed - wanted_speed, turn - wanted_turn
        way = (wanted_speed + slipped) * gone + off_speed * reach
        turned = (wanted_turn + skidded) * gone + off_turn * reach
        middle = heading + turned * 0.5
        self._at = Truth(
            x + way * detrun.cos(middle),
            y + way * detrun.sin(middle),
            heading + turned,
            wanted_speed + off_speed * left,
            wanted_turn + off_turn * left,
        )
        squares = SPEED_LOSS * off_speed * off_speed + TURN_LOSS * off_turn * off_turn
        self.energy = self.energy + squares * (1.0 - left * left) * (0.5 / LAG_SECONDS)
        return self._at

    def command(self, speed: Any, turn: Any) -> None:
        """From now on."""
        self.now()
        self.commanded = (speed, turn)

    def slide(self, speed: Any, turn: Any) -> None:
        """From now on the ground adds this."""
        self.now()
        self.slip = (speed, turn)
