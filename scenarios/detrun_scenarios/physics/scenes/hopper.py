"""A hopper: a mass on a springy leg that runs over bumps, held up and held to a speed by Raibert's two rules.

In flight the leg is swung forward, so that the foot comes down ahead of the middle of its path by what the speed is
off; a controller in a task of its own computes that from the apex on, and the leg takes the last angle that it was
told of. In stance, at the deepest compression, the spring is lengthened by the thrust, which makes up for what the
leg loses. Source: Raibert, "Legged Robots That Balance", 1986, chapter 2; Blickhan, "The spring-mass model for
running and hopping", Journal of Biomechanics 22, 1989.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import trio

import detrun
from detrun_scenarios.physics.exact.course import travel
from detrun_scenarios.physics.exact.flow import Flow, Guard
from detrun_scenarios.physics.exact.legs import Arrival
from detrun_scenarios.physics.exact.runge_kutta import Numbers

GRAVITY = 9.81  # m/s²
MASS = 1.0  # kg
LEG = 0.5  # m, unloaded
STIFFNESS = 400.0  # N/m
DAMPING = 1.0  # N s/m, along the leg
WANTED_SPEED = 1.0  # m/s
STANCE_SECONDS = 0.17  # half a period of the leg's spring
APEX_HEIGHT = 0.65  # m, at the start
BUMP = 0.01  # m, standard deviation
THINKING_SECONDS = 0.02  # mean time of the controller
HOPS = 8
SPEED_WEIGHT = 10.0  # J/kg/m for a square metre a second of the mean speed
FALLEN = 20.0  # what a fall costs


class Hopper(NamedTuple):
    """The mass; in stance relative to the foot."""

    x: Any
    y: Any
    vx: Any
    vy: Any


class Flight(NamedTuple):
    """How high the mass is when the foot touches the ground."""

    touches_at: Any


class Stance(NamedTuple):
    """The length of the leg's spring, unloaded."""

    rest: Any


def _flight_slope(hopper: Hopper, flight: Flight) -> Numbers:
    return (hopper.vx, hopper.vy, 0.0, -GRAVITY)


def _stance_slope(hopper: Hopper, stance: Stance) -> Numbers:
    length = _length(hopper)
    shortens = (hopper.x * hopper.vx + hopper.y * hopper.vy) / length
    push = (STIFFNESS * (stance.rest - length) - DAMPING * shortens) / (MASS * length)
    return (hopper.vx, hopper.vy, push * hopper.x, push * hopper.y - GRAVITY)


def _length(hopper: Hopper) -> Any:
    return detrun.sqrt(hopper.x * hopper.x + hopper.y * hopper.y)


def _along(hopper: Hopper, slope: Numbers) -> Any:
    return hopper.x * slope[0] + hopper.y * slope[1]


APEX = Guard("apex", lambda hopper, flight: hopper.vy, lambda hopper, slope, flight: slope[3])
TOUCHDOWN = Guard(
    "touchdown", lambda hopper, flight: hopper.y - flight.touches_at, lambda hopper, slope, flight: slope[1]
)
DEEPEST = Guard(
    "deepest",
    lambda hopper, stance: -(hopper.x * hopper.vx + hopper.y * hopper.vy),
    lambda hopper, slope, stance: (
        -(hopper.vx * slope[0] + hopper.vy * slope[1] + hopper.x * slope[2] + hopper.y * slope[3])
    ),
)
LIFTOFF = Guard(
    "liftoff",
    lambda hopper, stance: stance.rest * stance.rest - hopper.x * hopper.x - hopper.y * hopper.y,
    lambda hopper, slope, stance: -2.0 * _along(hopper, slope),
)
FALL = Guard("fall", lambda hopper, stance: hopper.y - 0.2, lambda hopper, slope, stance: slope[1])


@dataclass(frozen=True, slots=True)
class Way:
    """What a run came to.

    Attributes:
        energy: that the springs were given, in joules.
        distance, seconds: from the first apex to the last.
        has_fallen: before the last hop.
    """

    energy: Any
    distance: Any
    seconds: Any
    has_fallen: bool

    @property
    def cost(self) -> Any:
        """Energy for each kilogram and metre, and the square of what the speed is off."""
        if self.has_fallen:
            return FALLEN
        off = self.distance / self.seconds - WANTED_SPEED
        return self.energy_used + SPEED_WEIGHT * off * off

    @property
    def energy_used(self) -> Any:
        """The energy alone."""
        return FALLEN if self.has_fallen else self.energy / (MASS * self.distance)


async def hop(params: Mapping[str, Any], hops: int = HOPS) -> Way:
    """Run over some bumps."""
    async with trio.open_nursery() as others:
        ask, asked = trio.open_memory_channel[Any](1)
        tell, told = trio.open_memory_channel[Any](1)
        others.start_soon(_steer, params, asked, tell, name="controller")
        way = await _Run(params, ask, told).over(hops)
        others.cancel_scope.cancel()
    return way


async def _steer(
    params: Mapping[str, Any], asked: trio.MemoryReceiveChannel[Any], tell: trio.MemorySendChannel[Any]
) -> None:
    """How far ahead of the mass the foot is to come down, for a speed at the apex, after some thinking."""
    async for speed in asked:
        await trio.sleep(detrun.exponential(THINKING_SECONDS))
        off = speed - WANTED_SPEED
        await tell.send(speed * (0.5 * STANCE_SECONDS) + params["speed_gain"] * off + params["foot_offset"])


class _Run:
    """A run, hop by hop."""

    def __init__(
        self, params: Mapping[str, Any], ask: trio.MemorySendChannel[Any], told: trio.MemoryReceiveChannel[Any]
    ) -> None:
        self.thrust = params["hop_thrust"]
        self.ask, self.told = ask, told
        self.ahead: Any = WANTED_SPEED * 0.5 * STANCE_SECONDS
        self.energy: Any = 0.0
        self.deaf = trio.open_memory_channel[Any](0)[1]

    async def over(self, hops: int) -> Way:
        hopper, distance = Hopper(0.0, APEX_HEIGHT, WANTED_SPEED, 0.0), 0.0
        began = trio.current_time()
        for _ in range(hops):
            await self.ask.send(hopper.vx)
            ground = detrun.normal(0.0, BUMP)
            down = await self._down(hopper._replace(x=0.0, y=hopper.y - ground))
            stood = None if down is None else await self._stand(Hopper(-self.ahead, down.y, down.vx, down.vy))
            if down is None or stood is None:
                return Way(self.energy, distance, trio.current_time() - began, True)
            risen = (await travel(Flow(_flight_slope, Flight(0.0)), stood, [APEX], self.deaf))[0].state
            distance = distance + down.x + self.ahead + risen.x
            hopper = risen._replace(y=risen.y + ground)
        return Way(self.energy, distance, trio.current_time() - began, False)

    async def _down(self, hopper: Hopper) -> Hopper | None:
        """Sink from the apex until the foot touches the ground; the leg goes where the controller says, meanwhile.

        None for a fall: there is not enough room for the leg.
        """
        while True:
            height = detrun.sqrt(LEG * LEG - self.ahead * self.ahead)
            if hopper.y <= height:
                return None
            flow = Flow(_flight_slope, Flight(height))
            arrival, ahead = await travel(flow, hopper, [TOUCHDOWN], self.told)
            hopper = arrival.state
            if ahead is None:
                return hopper
            self.ahead = detrun.clip(ahead, -0.6 * LEG, 0.6 * LEG)

    async def _stand(self, hopper: Hopper) -> Hopper | None:
        """From touchdown to liftoff; None for a fall, which it is already where the mass sinks as it lifts off."""
        arrival = await self._stance(hopper, LEG, DEEPEST)
        if arrival.event == FALL.name:
            return None
        length = _length(arrival.state)
        longer = LEG + self.thrust - length
        self.energy = self.energy + 0.5 * STIFFNESS * (longer * longer - (LEG - length) * (LEG - length))
        arrival = await self._stance(arrival.state, LEG + self.thrust, LIFTOFF)
        return None if arrival.event == FALL.name or arrival.state.vy <= 0.0 else arrival.state

    async def _stance(self, hopper: Hopper, rest: Any, until: Guard) -> Arrival:
        arrival, _ = await travel(Flow(_stance_slope, Stance(rest)), hopper, [until, FALL], self.deaf)
        return arrival
