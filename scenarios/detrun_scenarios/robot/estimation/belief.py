"""`Belief`: an extended Kalman filter of the moving base, as steps that give a new belief each.

The state is position (x, y), heading, speed, turn and the bias of the gyro. Between measurements speed and turn wander
as random walks; the position follows them along an arc, by its middle heading. A measurement comes in as scalars with
independent noise, one after the other, so that nothing is inverted. One whose innovation is wider than `GATE` standard
deviations is left out: sensors lie now and then.

Source: Thrun, Burgard and Fox, "Probabilistic Robotics", 2005, chapters 3.3 and 7.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import detrun
from detrun_scenarios.robot.linear.matrices import (
    Matrix,
    Vector,
    diagonal,
    identity,
    inner,
    plus,
    product,
    transposed,
)

X, Y, HEADING, SPEED, TURN, BIAS = range(6)
GATE: Final = 6.0
BIAS_WANDER = 0.001  # rad/s per square root of a second
SLIDE_WANDER = 0.005  # m per square root of a second: what neither speed nor turn explains


@dataclass(frozen=True, slots=True)
class Belief:
    """Mean and covariance; see the module."""

    mean: Vector
    covariance: Matrix

    def moved(self, seconds: Any, speed_wander: Any, turn_wander: Any) -> Belief:
        """So much later. Wanders are standard deviations after one second."""
        x, y, heading, speed, turn, bias = self.mean
        way, turned = speed * seconds, turn * seconds
        middle = heading + 0.5 * turned
        cosine, sine = detrun.cos(middle), detrun.sin(middle)
        mean = [x + way * cosine, y + way * sine, heading + turned, speed, turn, bias]
        slope = identity(6)
        slope[X][HEADING], slope[X][SPEED], slope[X][TURN] = -way * sine, seconds * cosine, -0.5 * way * sine * seconds
        slope[Y][HEADING], slope[Y][SPEED], slope[Y][TURN] = way * cosine, seconds * sine, 0.5 * way * cosine * seconds
        slope[HEADING][TURN] = seconds
        noise = _wandered(seconds, cosine, sine, speed_wander * speed_wander, turn_wander * turn_wander)
        spread = product(product(slope, self.covariance), transposed(slope))
        return Belief(mean, plus(spread, noise))

    def expected(self, slope: Sequence[Any]) -> Any:
        """Of a measurement that is linear in the state, with this slope."""
        return inner(slope, self.mean)

    def corrected(self, slope: Sequence[Any], innovation: Any, variance: Any) -> Belief:
        """With one scalar measured; the same belief where that is outside the gate.

        Args:
            slope: of what is measured, by the state.
            innovation: what was measured, less what was expected.
            variance: of its noise.
        """
        spread = [inner(slope, row) for row in self.covariance]
        total = inner(slope, spread) + variance
        if innovation * innovation > GATE * GATE * total:
            return self
        gains = [one / total for one in spread]
        mean = [one + gain * innovation for one, gain in zip(self.mean, gains, strict=True)]
        covariance: Matrix = []
        for row, (gain, entries) in enumerate(zip(gains, self.covariance, strict=True)):
            upper = [entries[column] - gain * spread[column] for column in range(row, len(gains))]
            covariance.append([*(covariance[column][row] for column in range(row)), *upper])
        return Belief(mean, covariance)


def _wandered(seconds: Any, cosine: Any, sine: Any, by_speed: Any, by_turn: Any) -> Matrix:
    """The covariance that speed and turn gather by wandering, and that position and heading gather through them."""
    slid = SLIDE_WANDER * SLIDE_WANDER * seconds
    noise = diagonal([slid, slid, slid, by_speed * seconds, by_turn * seconds, BIAS_WANDER * BIAS_WANDER * seconds])
    half, third = seconds * seconds / 2.0, seconds * seconds * seconds / 3.0
    along, turned = by_speed * third, by_turn * third
    noise[X][X], noise[Y][Y] = slid + along * cosine * cosine, slid + along * sine * sine
    noise[X][Y] = noise[Y][X] = along * cosine * sine
    noise[X][SPEED] = noise[SPEED][X] = by_speed * half * cosine
    noise[Y][SPEED] = noise[SPEED][Y] = by_speed * half * sine
    noise[HEADING][HEADING] = slid + turned
    noise[HEADING][TURN] = noise[TURN][HEADING] = by_turn * half
    return noise


def seen_from(mean: Sequence[Any], x: float, y: float) -> tuple[Any, Any, Vector, Vector]:
    """Range and bearing of a landmark, and their slopes; the bearing is not wrapped."""
    across, up = x - mean[X], y - mean[Y]
    square = across * across + up * up
    away = detrun.sqrt(square)
    by_range = [-across / away, -up / away, 0.0, 0.0, 0.0, 0.0]
    by_bearing = [up / square, -across / square, -1.0, 0.0, 0.0, 0.0]
    return away, detrun.atan2(up, across) - mean[HEADING], by_range, by_bearing


def direct(*entries: int) -> Vector:
    """The slope of a measurement that is the sum of these entries of the state."""
    return [1.0 if at in entries else 0.0 for at in range(6)]
