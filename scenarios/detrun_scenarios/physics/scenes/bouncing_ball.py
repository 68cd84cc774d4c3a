"""A ball that is dropped and bounces: from impact to impact, on a spring, and in time steps as game engines do.

**Exactly**, each impact is at its time. Bounces grow shorter by the restitution e, and infinitely many of them end at
a time that is known: after an impact with speed v up, the rest takes ``2 v / (g (1 - e))`` seconds. From a small
speed on that sum is taken, so the ball is at rest where it would be after all of them.

**On a spring** the ground gives way (`relaxed`), nothing jumps, and the derivative is that of a smooth motion.

**In time steps** the ball is found below the ground after some step, and its velocity is turned round there. Each run
is as close to the exact one as steps are short. Its derivative is not: the number of the step in which it bounces is
kept, so a ball dropped from one centimetre higher is one centimetre higher after the bounce, too. In truth it bounces
later and is lower. Source: Hu et al., "DiffTaichi", ICLR 2020, section 4.3; Suh et al., "Do differentiable simulators
give better policy gradients?", ICML 2022.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.exact.flow import Flow, Guard
from detrun_scenarios.physics.exact.legs import follow
from detrun_scenarios.physics.exact.runge_kutta import Numbers
from detrun_scenarios.physics.relaxed import damping_for, push

GRAVITY = 9.81  # m/s²
STEP_SECONDS = 0.005  # of the method that has no events
RESTS_BELOW = 0.05  # m/s, of a rebound: the rest of the bounces is summed up


class Ball(NamedTuple):
    """A point above the ground."""

    height: Any
    speed: Any  # upward


class Fall(NamedTuple):
    """What the ball falls by."""

    gravity: Any


class Sprung(NamedTuple):
    """What the ball falls by, on soft ground."""

    gravity: Any
    damping: Any


def sprung_slope(ball: Ball, fall: Sprung) -> Numbers:
    return (ball.speed, push(ball.height, ball.speed, fall.damping) - fall.gravity)


def _slope(ball: Ball, fall: Fall) -> Numbers:
    return (ball.speed, -fall.gravity)


GROUND = Guard("ground", lambda ball, fall: ball.height, lambda ball, slope, fall: slope[0])


def settling_time(height: Any, restitution: Any) -> Any:
    """When a ball that is dropped rests, in seconds."""
    flow = Flow(_slope, Fall(GRAVITY))
    ball, time = Ball(height, 0.0), 0.0
    while True:
        arrival = follow(flow, ball, [GROUND])
        time = time + arrival.elapsed
        up = -restitution * arrival.state.speed
        if plain(up) < RESTS_BELOW:  # either way the result is the same to rounding
            return time + 2.0 * up / (GRAVITY * (1.0 - restitution))
        ball = Ball(arrival.state.height, up)


def height_after(seconds: float, height: Any, restitution: Any) -> Any:
    """Where a ball that is dropped is after a while, in metres."""
    flow = Flow(_slope, Fall(GRAVITY))
    ball, left = Ball(height, 0.0), seconds
    while True:
        arrival = follow(flow, ball, [GROUND], left)
        up = -restitution * arrival.state.speed
        if arrival.event is None:
            return arrival.state.height
        if plain(up) < RESTS_BELOW:
            return 0.0 * arrival.state.height
        left = left - arrival.elapsed
        ball = Ball(arrival.state.height, up)


def height_on_spring(seconds: float, height: Any, restitution: Any) -> Any:
    """The same on ground that gives way."""
    impact = detrun.sqrt(2.0 * GRAVITY * height)  # the first one: later ones, which are slower, lose less
    flow = Flow(sprung_slope, Sprung(GRAVITY, damping_for(restitution, impact)))
    return follow(flow, Ball(height, 0.0), duration=seconds).state.height


def height_by_steps(seconds: float, height: Any, restitution: Any, step: float) -> Any:
    """The same in steps of the semi-implicit Euler method, with the velocity turned round below the ground."""
    speed: Any = 0.0
    for _ in range(round(seconds / step)):
        speed = speed - GRAVITY * step
        if height < 0.0 and speed < 0.0:
            speed = -restitution * speed
        height = height + speed * step
    return height
