"""A ball that is thrown through gusts, bounces once, and should come down on a cart that drives to meet it.

Three tasks in virtual time: the ball, from event to event; the wind, which changes at drawn times and tells the ball;
and the cart, whose driver starts some time after the throw. How long the ball flies decides where the cart is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import trio

import detrun
from detrun_scenarios.physics.exact.course import travel
from detrun_scenarios.physics.exact.flow import Flow, Guard
from detrun_scenarios.physics.exact.impacts import Surface, rebound
from detrun_scenarios.physics.exact.runge_kutta import Numbers
from detrun_scenarios.physics.geometry.vectors import Vector

GRAVITY = 9.81  # m/s²
DRAG = 0.008  # 1/m: of a ball of 7 cm and 0.15 kg
WIND = 2.0  # m/s, of gusts, standard deviation
GUST_SECONDS = 0.4  # mean
HAND = 1.5  # m above the ground
CART_AT = 17.0  # m away
CART_SPEED = 1.5  # m/s, towards the thrower
REACTION_SECONDS = 0.25  # mean
UP = Vector(0.0, 1.0)


class Ball(NamedTuple):
    """Where the ball is, and how it moves."""

    x: Any
    y: Any
    vx: Any
    vy: Any


class Air(NamedTuple):
    """What moves the ball."""

    gravity: Any
    drag: Any
    wind: Any


def _slope(ball: Ball, air: Air) -> Numbers:
    across = ball.vx - air.wind
    held = air.drag * detrun.sqrt(across * across + ball.vy * ball.vy)
    return (ball.vx, ball.vy, -held * across, -air.gravity - held * ball.vy)


def _slope_in_vacuum(ball: Ball, air: Air) -> Numbers:
    return (ball.vx, ball.vy, 0.0, -air.gravity)


GROUND = Guard("ground", lambda ball, air: ball.y, lambda ball, slope, air: slope[1])


@dataclass(slots=True)
class Throw:
    """One throw.

    Attributes:
        gusts: whether there is wind.
        drag: of the ball, in 1/m; 0 for a throw in vacuum.
        bounces: before the ball is caught.
    """

    gusts: bool = True
    drag: float = DRAG
    bounces: int = 1

    async def miss(self, params: Mapping[str, Any]) -> Any:
        """How far behind the cart's middle the ball comes down, in metres."""
        cart = _Cart()
        async with trio.open_nursery() as others:
            tell, news = trio.open_memory_channel[Any](0)
            others.start_soon(cart.drive, name="cart")
            if self.gusts:
                others.start_soon(_blow, tell, name="wind")
            landed = await self.fly(params, news)
            found = landed.x - cart.place()
            others.cancel_scope.cancel()
        return found

    async def fly(self, params: Mapping[str, Any], news: trio.MemoryReceiveChannel[Any]) -> Ball:
        """The ball when it comes down for the last time."""
        speed, angle = params["launch_speed"], params["launch_angle"]
        ball: Ball = Ball(0.0, HAND, speed * detrun.cos(angle), speed * detrun.sin(angle))
        spin: Any = 0.0
        surface = Surface(params["restitution"], params["friction"])
        slope = _slope if self.drag else _slope_in_vacuum
        wind, left = 0.0, self.bounces
        while True:
            arrival, gust = await travel(Flow(slope, Air(GRAVITY, self.drag, wind)), ball, [GROUND], news)
            ball = arrival.state
            if gust is not None:
                wind = gust
            elif left == 0:
                return ball
            else:
                left -= 1
                after, spin = rebound(Vector(ball.vx, ball.vy), spin, UP, surface)
                ball = ball._replace(vx=after.x, vy=after.y)


async def _blow(tell: trio.MemorySendChannel[Any]) -> None:
    while True:
        await trio.sleep(detrun.exponential(GUST_SECONDS))
        await tell.send(detrun.normal(0.0, WIND))


@dataclass(slots=True)
class _Cart:
    """Stands until its driver has reacted, and drives towards the thrower then."""

    started: Any = None

    async def drive(self) -> None:
        await trio.sleep(detrun.exponential(REACTION_SECONDS))
        self.started = trio.current_time()

    def place(self) -> Any:
        """Now, in metres from the thrower."""
        if self.started is None:
            return CART_AT
        return CART_AT - CART_SPEED * (trio.current_time() - self.started)
