"""What each scene comes to: a loss of its own, from the scenario's parameters.

- ``miss_distance``: metres between a ball that is thrown, bounces once, and the cart that drives to meet it.
- ``squared_miss``: its square, in square metres, whose derivative goes to zero with it.
- ``settling_time``: seconds until a pendulum that a motor holds stays near its goal, let go at a drawn angle.
- ``reach_cost``: square metre seconds by which a hand is off its goal, and the effort of the motors.
- ``hopping_cost``: joules for each kilogram and metre of a hopper, and what its speed is off.
- ``energy_used``: these joules alone.
- ``height``, ``height_on_spring``, ``height_by_steps``: metres above the ground of a ball that was dropped a while ago
  and has bounced once; from event to event, on ground that gives way, and in time steps.
- ``pot_miss``, ``break_miss``: square metres from a corner to where a billiard ball comes to rest; the cue ball was
  shot at it alone, or at a triangle of three that it leads. The player's hand is drawn.
- ``pile_height``: metres, the mean height of bodies that have fallen into a box, by the engine and its workers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import detrun
from detrun_scenarios.physics.scenes import arm, billiards, bouncing_ball, hopper, pendulum
from detrun_scenarios.physics.scenes.box import Box
from detrun_scenarios.physics.scenes.throw import Throw

DROP_SECONDS = 0.55  # after which a ball dropped from one metre is on its way up
HAND_SHAKE = 0.05  # m, by which the height differs from what was meant, at most
AIM_ERROR = 0.002  # rad, of a player's hand, standard deviation
AMPLITUDE = (0.6, 1.0)  # rad, of a pendulum
POURED = Box(columns=3, rows=2, steps=20)

Params = Mapping[str, Any]


async def miss_distance(params: Params) -> Any:
    """See the module."""
    return abs(await Throw().miss(params))


async def squared_miss(params: Params) -> Any:
    """See the module."""
    off = await Throw().miss(params)
    return off * off


async def settling_time(params: Params) -> Any:
    """See the module."""
    return pendulum.settling_time(detrun.uniform(*AMPLITUDE), params["damping"])


async def reach_cost(params: Params) -> Any:
    """See the module."""
    return await arm.reach(params)


async def hopping_cost(params: Params) -> Any:
    """See the module."""
    return (await hopper.hop(params)).cost


async def energy_used(params: Params) -> Any:
    """See the module."""
    return (await hopper.hop(params)).energy_used


async def height(params: Params) -> Any:
    """See the module."""
    return bouncing_ball.height_after(DROP_SECONDS, _dropped_from(params), params["restitution"])


async def height_on_spring(params: Params) -> Any:
    """See the module."""
    return bouncing_ball.height_on_spring(DROP_SECONDS, _dropped_from(params), params["restitution"])


async def height_by_steps(params: Params) -> Any:
    """See the module."""
    return bouncing_ball.height_by_steps(
        DROP_SECONDS, _dropped_from(params), params["restitution"], bouncing_ball.STEP_SECONDS
    )


def _dropped_from(params: Params) -> Any:
    return params["drop_height"] + detrun.uniform(-HAND_SHAKE, HAND_SHAKE)


async def pot_miss(params: Params) -> Any:
    """See the module."""
    return billiards.squared_miss(params["cue_speed"], _aimed_at(params), rows=1)


async def break_miss(params: Params) -> Any:
    """See the module."""
    return billiards.squared_miss(params["cue_speed"], _aimed_at(params), rows=2)


def _aimed_at(params: Params) -> Any:
    return params["cue_angle"] + detrun.normal(0.0, AIM_ERROR)


async def pile_height(params: Params) -> Any:
    """See the module."""
    return await POURED.fill(params)


SCENES: Mapping[str, Callable[[Params], Awaitable[Any]]] = {
    "miss_distance": miss_distance,
    "squared_miss": squared_miss,
    "settling_time": settling_time,
    "reach_cost": reach_cost,
    "hopping_cost": hopping_cost,
    "energy_used": energy_used,
    "height": height,
    "height_on_spring": height_on_spring,
    "height_by_steps": height_by_steps,
    "pot_miss": pot_miss,
    "break_miss": break_miss,
    "pile_height": pile_height,
}
