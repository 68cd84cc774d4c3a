"""A break: a ball is shot at a triangle of balls on a table with cushions, and all roll until they stop.

Rolling slows a ball at a constant rate along its way, so that between impacts every path is known exactly, and the
time of each impact is found on it. A pair that touches exchanges impulses along the line of its centres; a cushion
turns a ball round. Each impact multiplies a difference of directions by about the free path over the radius, so the
derivative of a place after ten impacts is of the order of a million: it is right, and holds for a hair's breadth
(Sinai, "Dynamical systems with elastic reflections", Russian Mathematical Surveys 25, 1970; Metz et al., "Gradients are
not all you need", 2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.exact.flow import Flow, Guard
from detrun_scenarios.physics.exact.impacts import Surface, exchange, rebound
from detrun_scenarios.physics.exact.legs import follow
from detrun_scenarios.physics.exact.runge_kutta import Numbers
from detrun_scenarios.physics.geometry.vectors import ORIGIN, Vector

RADIUS = 0.0286  # m
TABLE = (2.54, 1.27)  # m
ROLLING = 0.1  # m/s²: the table's coefficient of rolling, 0.01, times gravity
RESTING = 1e-9  # m/s
CUSHION = Surface(0.85, 0.0)
SPOT = Vector(1.9, 0.635)  # of the first ball of the triangle
CUE = Vector(0.6, 0.635)
GAP = 1e-3  # m between the balls of the triangle
POCKET = Vector(TABLE[0] - RADIUS, TABLE[1] - RADIUS)  # where a ball lies in the corner


class Balls(tuple[Any, ...]):
    """x, y and their speeds of each ball in turn."""

    @classmethod
    def _make(cls, numbers: Sequence[Any]) -> Balls:
        return cls(numbers)

    def place(self, ball: int) -> Vector:
        return Vector(self[4 * ball], self[4 * ball + 1])

    def velocity(self, ball: int) -> Vector:
        return Vector(self[4 * ball + 2], self[4 * ball + 3])

    def moving(self, ball: int, velocity: Vector) -> Balls:
        """The same with another velocity."""
        return Balls([*self[: 4 * ball + 2], velocity.x, velocity.y, *self[4 * ball + 4 :]])


def _slope(balls: Balls, slowing: Balls) -> Numbers:
    """``slowing`` has x and y of each ball's deceleration."""
    found: list[Any] = []
    for ball in range(len(balls) // 4):
        found += [balls[4 * ball + 2], balls[4 * ball + 3], slowing[2 * ball], slowing[2 * ball + 1]]
    return tuple(found)


def _meet(first: int, second: int) -> Guard:
    def margin(balls: Balls, slowing: Balls) -> Any:
        apart = balls.place(second) - balls.place(first)
        return apart.dot(apart) - 4.0 * RADIUS * RADIUS

    def rate(balls: Balls, slope: Numbers, slowing: Balls) -> Any:
        apart, speeds = balls.place(second) - balls.place(first), Balls(slope)
        return 2.0 * apart.dot(speeds.place(second) - speeds.place(first))

    return Guard(f"{first} meets {second}", margin, rate)


def _cushion(ball: int, axis: int, side: float) -> Guard:
    at, edge = 4 * ball + axis, TABLE[axis] - RADIUS if side > 0.0 else RADIUS
    return Guard(
        f"{ball} meets cushion {axis} {side:g}",
        lambda balls, slowing: (edge - balls[at]) * side,
        lambda balls, slope, slowing: -slope[at] * side,
    )


def _stop(ball: int) -> Guard:
    """What is left of the speed, along the way that the ball has."""

    def margin(balls: Balls, slowing: Balls) -> Any:
        return -(balls[4 * ball + 2] * slowing[2 * ball] + balls[4 * ball + 3] * slowing[2 * ball + 1])

    def rate(balls: Balls, slope: Numbers, slowing: Balls) -> Any:
        return -(slope[4 * ball + 2] * slowing[2 * ball] + slope[4 * ball + 3] * slowing[2 * ball + 1])

    return Guard(f"{ball} stops", margin, rate)


@dataclass(slots=True)
class Break:
    """One shot.

    Attributes:
        rows: of the triangle: with one, a single ball to be shot.
        impacts: between balls so far.
        path: seconds and states at events, on plain numbers.
    """

    rows: int = 2
    impacts: int = 0
    path: list[tuple[float, list[float]]] = field(default_factory=list)

    def start(self, speed: Any, aim: Any) -> Balls:
        """The cue ball, shot at an angle from straight ahead, and the triangle at rest."""
        places = [CUE]
        across = RADIUS + 0.5 * GAP
        for row in range(self.rows):
            for at in range(row + 1):
                places.append(SPOT + Vector(row * math.sqrt(3.0) * across, (2 * at - row) * across))
        velocities = [Vector(speed * detrun.cos(aim), speed * detrun.sin(aim)), *[ORIGIN] * (len(places) - 1)]
        return Balls([one for p, v in zip(places, velocities, strict=True) for one in (p.x, p.y, v.x, v.y)])

    def shoot(self, speed: Any, aim: Any, restitution: Any = 0.95, seconds: float = math.inf) -> Balls:
        """Where the balls are when all have stopped, or after a while."""
        balls, now, left = self.start(speed, aim), 0.0, seconds
        count = len(balls) // 4
        while True:
            self.path.append((now, [plain(one) for one in balls]))
            rolling = [ball for ball in range(count) if _speed(balls, ball) > RESTING]
            if not rolling or left <= 0.0:
                return balls
            arrival = follow(Flow(_slope, _slowing(balls, rolling)), balls, _guards(rolling, count), left)
            balls, now, left = arrival.state, now + plain(arrival.elapsed), left - arrival.elapsed
            if arrival.event is not None:
                balls = self._after(balls, arrival.event.split(), restitution)

    def _after(self, balls: Balls, event: list[str], restitution: Any) -> Balls:
        ball = int(event[0])
        if event[1] == "stops":
            return balls.moving(ball, balls.velocity(ball) * 0.0)
        if event[2] == "cushion":
            side = -float(event[4])
            normal = Vector(side, 0.0) if event[3] == "0" else Vector(0.0, side)
            return balls.moving(ball, rebound(balls.velocity(ball), 0.0, normal, CUSHION)[0])
        other = int(event[2])
        self.impacts += 1
        normal = (balls.place(other) - balls.place(ball)).unit()
        before = (balls.velocity(ball).dot(normal), balls.velocity(other).dot(normal))
        after = exchange((1.0, 1.0), before, restitution)
        for one, now, then in zip((ball, other), after, before, strict=True):
            balls = balls.moving(one, balls.velocity(one) + normal * (now - then))
        return balls


def squared_miss(speed: Any, aim: Any, rows: int) -> Any:
    """How far from the corner the foremost ball of the triangle comes to rest, in square metres."""
    off = Break(rows).shoot(speed, aim).place(1) - POCKET
    return off.dot(off)


def _speed(balls: Balls, ball: int) -> float:
    return math.hypot(plain(balls[4 * ball + 2]), plain(balls[4 * ball + 3]))


def _slowing(balls: Balls, rolling: Sequence[int]) -> Balls:
    found: list[Any] = [0.0] * (len(balls) // 2)
    for ball in rolling:
        backward = balls.velocity(ball).unit() * -ROLLING
        found[2 * ball : 2 * ball + 2] = [backward.x, backward.y]
    return Balls(found)


def _guards(rolling: Sequence[int], count: int) -> list[Guard]:
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count) if a in rolling or b in rolling]
    cushions = [(ball, axis, side) for ball in rolling for axis in (0, 1) for side in (-1.0, 1.0)]
    return [*(_meet(*pair) for pair in pairs), *(_cushion(*one) for one in cushions), *map(_stop, rolling)]
