"""Many throws at once, as tensors of torch: a place in each for every ball, which has its own time and its own events.

A step takes every ball as far as the step goes, or to the ground, if that comes first: the length of the step to there
is found by Newton's method without a derivative, and one correction with a derivative makes it the implicit one, as in
`exact.legs`. So the derivatives are those of scalars, and a thousand throws cost what a few do.

Needs torch, and is imported where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from detrun_scenarios.physics.exact.impacts import DISC
from detrun_scenarios.physics.scenes.throw import DRAG, GRAVITY, HAND

STEP_SECONDS = 0.02
NEWTON_STEPS = 6


@dataclass(frozen=True, slots=True)
class Throws:
    """Launches of balls and what they meet; each a tensor of one shape, or one that broadcasts to it.

    Attributes:
        speed, angle: of the launch, in m/s and rad.
        wind: steady, in m/s.
        restitution, friction: of the ground.
    """

    speed: Any
    angle: Any
    wind: Any
    restitution: Any
    friction: Any


def landings(throws: Throws, bounces: int = 1) -> tuple[Any, Any]:
    """How far away each ball comes down after its bounces, in metres, and when, in seconds."""
    ahead, up = throws.speed * torch.cos(throws.angle), throws.speed * torch.sin(throws.angle)
    ahead, up, wind = torch.broadcast_tensors(ahead, up, throws.wind)
    state = torch.stack([torch.zeros_like(ahead), torch.full_like(ahead, HAND), ahead, up])
    time, rim = torch.zeros_like(ahead), torch.zeros_like(ahead)
    left = torch.full_like(ahead, bounces + 1, dtype=torch.int64)
    while bool((left > 0).any()):
        step = torch.where(left > 0, STEP_SECONDS, 0.0).to(state.dtype)
        reached = _advance(state, step, wind)
        down = (reached[1] <= 0.0) & (reached[3] < 0.0) & (left > 0)
        if bool(down.any()):
            step = torch.where(down, _until_ground(state.detach(), step, wind.detach()), step)
            reached = _advance(state, step, wind)
            late = torch.where(down, -reached[1] / reached[3].detach(), 0.0)
            reached = reached + _slope(reached, wind).detach() * late
            step = step + late
            left = left - down.to(left.dtype)
            reached, rim = _rebound(reached, rim, down & (left > 0), throws)
        state, time = reached, time + step
    return state[0], time


def _slope(state: Any, wind: Any) -> Any:
    across = state[2] - wind
    held = DRAG * torch.sqrt(across * across + state[3] * state[3])
    return torch.stack([state[2], state[3], -held * across, -GRAVITY - held * state[3]])


def _advance(state: Any, step: Any, wind: Any) -> Any:
    """A step of Runge and Kutta's method of order four, of its own length for each ball."""
    first = _slope(state, wind)
    second = _slope(state + first * (0.5 * step), wind)
    third = _slope(state + second * (0.5 * step), wind)
    fourth = _slope(state + third * step, wind)
    return state + (first + 2.0 * second + 2.0 * third + fourth) * (step / 6.0)


def _until_ground(state: Any, step: Any, wind: Any) -> Any:
    """The seconds until each ball is on the ground, from above; meaningless for one that stays above."""
    found = step
    for _ in range(NEWTON_STEPS):
        there = _advance(state, found, wind)
        found = torch.minimum(torch.clamp(found - there[1] / there[3], min=0.0), step)
    return found


def _rebound(state: Any, rim: Any, hits: Any, throws: Throws) -> tuple[Any, Any]:
    """See `exact.impacts.rebound`; where a ball hits the ground."""
    pressed = -(1.0 + throws.restitution) * state[3]
    most = throws.friction * pressed
    stopping = (state[2] + rim) * (-DISC / (1.0 + DISC))
    rubbed = torch.minimum(torch.maximum(stopping, -most), most)
    after = torch.stack([state[0], state[1], state[2] + rubbed, state[3] + pressed])
    return torch.where(hits, after, state), torch.where(hits, rim + rubbed / DISC, rim)
