"""Newton's cradle: balls that hang side by side, of which the first is lifted and let go.

Between impacts each ball is a pendulum. Balls that touch when one is hit pass the impulse on, pair by pair.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.exact.flow import Flow, Guard
from detrun_scenarios.physics.exact.impacts import cascade
from detrun_scenarios.physics.exact.legs import follow
from detrun_scenarios.physics.exact.runge_kutta import Numbers

GRAVITY = 9.81  # m/s²
BALLS = 5
TOUCHING = 1e-9  # rad between neighbours
TOGETHER = 1e-9  # rad/s between neighbours that touch and stay so


class Balls(NamedTuple):
    """Angles from hanging straight down, to the right, and their velocities."""

    angle0: Any
    angle1: Any
    angle2: Any
    angle3: Any
    angle4: Any
    spin0: Any
    spin1: Any
    spin2: Any
    spin3: Any
    spin4: Any


class String(NamedTuple):
    """Gravity over the length of the strings."""

    pull: Any


def _slope(balls: Balls, string: String) -> Numbers:
    return (*balls[BALLS:], *(-string.pull * detrun.sin(angle) for angle in balls[:BALLS]))


def _meets(at: int) -> Guard:
    return Guard(
        f"ball {at} meets ball {at + 1}",
        lambda balls, string: balls[at + 1] - balls[at],
        lambda balls, slope, string: slope[at + 1] - slope[at],
    )


GUARDS = [_meets(at) for at in range(BALLS - 1)]


def swing(lifted: Any, restitution: Any, length: Any, seconds: Any) -> Balls:
    """Angles and spins of the balls after a while.

    Args:
        lifted: angle of the first ball at the start, in radians, to the left.
    """
    flow = Flow(_slope, String(GRAVITY / length))
    balls: Balls = Balls(-lifted, *[0.0] * (2 * BALLS - 1))
    left = seconds
    while True:
        apart = [guard for at, guard in enumerate(GUARDS) if not _rest_together(balls, at)]
        arrival = follow(flow, balls, apart, left)
        balls = arrival.state
        if arrival.event is None:
            return balls
        left = left - arrival.elapsed
        balls = Balls(*balls[:BALLS], *_struck(balls, restitution))


def _touch(balls: Balls, at: int) -> bool:
    return plain(balls[at + 1]) - plain(balls[at]) <= TOUCHING


def _rest_together(balls: Balls, at: int) -> bool:
    approach = plain(balls[BALLS + at]) - plain(balls[BALLS + at + 1])
    return _touch(balls, at) and abs(approach) <= TOGETHER


def _struck(balls: Balls, restitution: Any) -> list[Any]:
    """Spins after the impacts in each row of balls that touch."""
    found: list[Any] = []
    row = [0]
    for at in range(1, BALLS + 1):
        if at < BALLS and _touch(balls, at - 1):
            row.append(at)
            continue
        found += cascade([1.0] * len(row), [balls[BALLS + one] for one in row], restitution)
        row = [at]
    return found
