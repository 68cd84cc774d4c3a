"""A pendulum with a large swing, and one that a motor brings to rest.

The free one has a period that is known: by the arithmetic-geometric mean (Gauss; Abramowitz and Stegun, 17.6). The
other is held by a spring and a damper of the motor, and its *settling time* is the last time at which it comes within
`BAND` of its goal. With more damping it overshoots less. Where the top of an overshoot just stays within the band,
the last time is another one at once: the settling time jumps, and no single run shows it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import detrun
from detrun_scenarios.physics.exact.flow import Flow, Guard
from detrun_scenarios.physics.exact.legs import follow
from detrun_scenarios.physics.exact.runge_kutta import Numbers

GRAVITY, LENGTH, MASS = 9.81, 0.5, 1.0
STIFFNESS = 20.0  # N m/rad
HORIZON = 6.0  # s, in which it comes to rest
BAND = 0.05  # rad


class Swing(NamedTuple):
    """Angle from hanging straight down, and its velocity."""

    angle: Any
    spin: Any


class Motor(NamedTuple):
    """What moves the pendulum: gravity over length, and the motor's stiffness and damping over its inertia."""

    weight: Any
    stiffness: Any
    damping: Any


def _slope(swing: Swing, motor: Motor) -> Numbers:
    pull = motor.stiffness * swing.angle + motor.damping * swing.spin
    return (swing.spin, -motor.weight * detrun.sin(swing.angle) - pull)


def _free_slope(swing: Swing, motor: Motor) -> Numbers:
    return (swing.spin, -motor.weight * detrun.sin(swing.angle))


HANGS = Guard("hangs", lambda swing, motor: swing.angle, lambda swing, slope, motor: slope[0])
ENTERS = Guard(
    "enters the band",
    lambda swing, motor: swing.angle * swing.angle - BAND * BAND,
    lambda swing, slope, motor: 2.0 * swing.angle * slope[0],
)
LEAVES = Guard(
    "leaves the band",
    lambda swing, motor: BAND * BAND - swing.angle * swing.angle,
    lambda swing, slope, motor: -2.0 * swing.angle * slope[0],
)


def period(amplitude: Any, length: Any = LENGTH) -> Any:
    """Seconds of a full swing: four times the time in which it falls from its amplitude to hanging straight down."""
    flow = Flow(_free_slope, Motor(GRAVITY / length, 0.0, 0.0))
    return 4.0 * follow(flow, Swing(amplitude, 0.0), [HANGS]).elapsed


def settling_time(amplitude: Any, damping: Any) -> Any:
    """The last time at which the pendulum enters the band, in seconds.

    Args:
        amplitude: from which it is let go, in radians.
        damping: of the motor, in N m s/rad.
    """
    inertia = MASS * LENGTH * LENGTH
    flow = Flow(_slope, Motor(GRAVITY / LENGTH, STIFFNESS / inertia, damping / inertia))
    swing, time, settled = Swing(amplitude, 0.0), 0.0, 0.0
    is_inside = False
    while True:
        left = HORIZON - time
        arrival = follow(flow, swing, [LEAVES if is_inside else ENTERS], left)
        if arrival.event is None:
            return settled
        time, swing, is_inside = time + arrival.elapsed, arrival.state, not is_inside
        if is_inside:
            settled = time
