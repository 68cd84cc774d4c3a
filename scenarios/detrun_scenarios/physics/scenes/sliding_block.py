"""A block that slides to rest on a slope, and one on a belt that sticks and slips.

Friction is Coulomb's: a block that moves is held back by the coefficient times the normal force, and one that rests
is held as long as less than that is needed. Where it stops is an event; what follows is another motion. On the belt a
spring pulls the block back: it sticks to the belt until the spring is stronger than friction, slips, and sticks again
(Leine and Nijmeijer, 2004, chapter 6).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.exact.flow import Flow, Guard
from detrun_scenarios.physics.exact.legs import follow
from detrun_scenarios.physics.exact.runge_kutta import Numbers

GRAVITY = 9.81  # m/s²


class Block(NamedTuple):
    """Along the slope or the belt."""

    place: Any
    speed: Any


class Pull(NamedTuple):
    """A constant acceleration, a spring over the mass, and the speed of the belt."""

    steady: Any
    spring: Any
    belt: Any


def _slope(block: Block, pull: Pull) -> Numbers:
    return (block.speed, pull.steady - pull.spring * block.place)


def _carried(block: Block, pull: Pull) -> Numbers:
    return (pull.belt, 0.0)


STOPS = Guard("stops", lambda block, pull: block.speed, lambda block, slope, pull: slope[1])
CATCHES = Guard("catches", lambda block, pull: pull.belt - block.speed, lambda block, slope, pull: -slope[1])
SLIPS = Guard(
    "slips",
    lambda block, pull: pull.steady - pull.spring * block.place,
    lambda block, slope, pull: -pull.spring * slope[0],
)


def slide(speed: Any, friction: Any, slope: Any = 0.0, seconds: float = 10.0) -> Any:
    """How far up a slope, in metres, a block is that was pushed up at a speed.

    Args:
        slope: angle in radians; steeper than friction can hold, the block comes back.
    """
    weight, held = GRAVITY * detrun.sin(slope), friction * GRAVITY * detrun.cos(slope)
    up = Flow(_slope, Pull(-weight - held, 0.0, 0.0))
    arrival = follow(up, Block(0.0, speed), [STOPS], seconds)
    if arrival.event is None or weight <= held:
        return arrival.state.place
    down = Flow(_slope, Pull(held - weight, 0.0, 0.0))
    return follow(down, arrival.state, duration=seconds - arrival.elapsed).state.place


def stick_slip_period(belt: Any, friction: Any, sliding: Any, spring: Any) -> Any:
    """Seconds between two slips of a block on a belt.

    Args:
        belt: its speed, in m/s.
        friction, sliding: the coefficients at rest and in motion.
        spring: in N/m for each kilogram.
    """
    sticks = Pull(friction * GRAVITY, spring, belt)
    slides = Pull(sliding * GRAVITY, spring, belt)
    block = Block(sticks.steady / spring, belt)  # it is about to slip
    slipped = follow(Flow(_slope, slides), block, [CATCHES])
    assert plain(slipped.state.place) < plain(block.place)
    stuck = follow(Flow(_carried, sticks), slipped.state, [SLIPS])
    return slipped.elapsed + stuck.elapsed
