"""`follow`: the motion from a state to the next event, in adaptive steps, with the derivative of the event's time.

A leg is planned on plain numbers: how long each step is, and when the first guard falls to zero. It is then carried
out on the numbers that were given. Its steps have no derivatives, as they only approximate what does not depend on
them (Eberhard and Bischof, "Automatic differentiation of numerical integration algorithms", Mathematics of
Computation 68, 1999). The time of the event has: at the planned time the margin is zero, and moves with a parameter,
so the event moves by that over the rate at which the margin falls, as the implicit function theorem says. The state
there moves along. What a jump of the velocity then makes of this is known as the saltation matrix (Leine and
Nijmeijer, "Dynamics and Bifurcations of Non-Smooth Mechanical Systems", 2004; Kong et al., "Saltation matrices",
Proceedings of the IEEE 112, 2024).

What decided a leg are sites of the gradient: which guard fell first, and each that came near to zero and turned.
Their margins say how far a parameter may move until another thing happens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.exact.crossings import Cubic, locate, pieces
from detrun_scenarios.physics.exact.flow import Flow, Guard, has_values, plain_numbers
from detrun_scenarios.physics.exact.runge_kutta import ORDER, Numbers, advance, error_of, on_floats, on_values, remade
from detrun_scheduler.errors import UsageError

TOLERANCE = 1e-10
STEPS_MAX = 5_000
SAFETY, NARROWER, WIDER = 0.9, 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a leg ends.

    Attributes:
        state: there.
        elapsed: seconds since its start.
        event: the guard that fell to zero; None where the time was over.
    """

    state: Any
    elapsed: Any
    event: str | None


@dataclass(slots=True)
class _Plan:
    """Steps, on plain numbers; the state before the last correction.

    Attributes:
        dips: where a guard came near to zero and turned: the step, the seconds into it, and the guard.
        fell, rate: the guard that fell to zero, and how fast its margin fell, for each second.
    """

    state: Any
    slope: Numbers
    steps: list[float] = field(default_factory=list)
    dips: list[tuple[int, float, Guard]] = field(default_factory=list)
    fell: Guard | None = None
    rate: float = 0.0


def follow(
    flow: Flow, state: Any, guards: Sequence[Guard] = (), duration: Any = math.inf, tolerance: float = TOLERANCE
) -> Arrival:
    """Move until a guard falls to zero or the time is over.

    A guard that is zero or less at the start ends the leg at once if it falls, and is none if it rises: a ball that has
    just been hit leaves. The end of one that is below zero there is the start itself, which takes no time. One that
    goes on below zero, as that of a body which rests, is for the caller to leave out.

    Args:
        state: a named tuple of floats or Values.
        duration: seconds at most, a float or a Value.
        tolerance: of each step, relative to numbers above one and absolute below.

    Raises:
        UsageError: there is neither an event nor an end within `STEPS_MAX` steps.
    """
    plan = _plan(flow.on_plain_numbers(), plain_numbers(state), guards, plain(duration), tolerance)
    moves = has_values(state, flow.constants)
    reached = _carry_out(flow, state, plan) if moves else plan.state
    if plan.fell is None:
        late, elapsed = (duration - plain(duration) if isinstance(duration, detrun.Value) else None), duration
    elif plan.fell.margin(plan.state, flow.constants) < 0.0 and not plan.steps:
        late, elapsed = None, 0.0  # it had fallen before, and a start moved a little is no less the end
    else:
        late = plan.fell.margin(reached, flow.constants) * (-1.0 / plan.rate)
        elapsed = late + math.fsum(plan.steps)
    if late is not None:
        reached = remade(reached, [one + fast * late for one, fast in zip(reached, plan.slope, strict=True)])
    if moves:
        for guard in guards:
            if guard is not plan.fell or not plan.steps:
                _note(guard, reached, flow)
    return Arrival(reached, elapsed, None if plan.fell is None else plan.fell.name)


def _plan(flow: Flow, state: Any, guards: Sequence[Guard], duration: float, tolerance: float) -> _Plan:
    plan = _Plan(state, flow.slope(state))
    for guard in guards:
        rate = guard.rate(state, plan.slope, flow.constants)
        if guard.margin(state, flow.constants) <= 0.0 and rate < 0.0:
            plan.fell, plan.rate = guard, rate
            return plan
    gone, refused, wanted = 0.0, 0, _first_step(state, plan.slope)
    while gone < duration:
        if len(plan.steps) + refused >= STEPS_MAX:
            raise UsageError(f"no event within {gone:g} s and {STEPS_MAX} steps; give the leg a duration")
        is_last = wanted >= duration - gone
        step = duration - gone if is_last else wanted
        reached, slopes = advance(flow.slope, plan.state, step, plan.slope, on_floats)
        error = error_of(plan.state, reached, slopes, step, tolerance)
        factor = WIDER if error == 0.0 else SAFETY * error ** (-1.0 / ORDER)
        wanted = step * min(max(factor, NARROWER), WIDER)
        if not error <= 1.0:
            refused += 1
            continue
        if _fall_within(plan, flow, guards, step, reached, slopes[-1]):
            return plan
        plan.state, plan.slope = reached, slopes[-1]
        plan.steps.append(step)
        gone = duration if is_last else gone + step
    return plan


def _first_step(state: Any, slope: Numbers) -> float:
    """Seconds in which the state changes by a hundredth of its size, or of one."""
    size: float = max([1.0, *map(abs, state)])
    speed: float = max([1e-3, *map(abs, slope)])
    return 0.01 * size / speed


def _between(
    start: Any, start_slope: Numbers, end: Any, end_slope: Numbers, width: float
) -> Callable[[float], tuple[Any, Numbers]]:
    """States and slopes within a step, by cubics."""
    cubics = [Cubic(width, *ends) for ends in zip(start, start_slope, end, end_slope, strict=True)]

    @cache
    def at(seconds: float) -> tuple[Any, Numbers]:
        if seconds == 0.0:
            return start, start_slope
        if seconds == width:
            return end, end_slope
        return remade(start, [one(seconds) for one in cubics]), tuple(one.rate(seconds) for one in cubics)

    return at


def _fall_within(plan: _Plan, flow: Flow, guards: Sequence[Guard], step: float, reached: Any, end: Numbers) -> bool:
    """Whether a guard falls to zero within a step; then the plan ends there."""
    constants, falls, dips = flow.constants, [], []
    between = _between(plan.state, plan.slope, reached, end, step)
    for number, guard in enumerate(guards):

        def on_the_way(at: float, guard: Guard = guard) -> tuple[float, float]:
            there, slope = between(at)
            return guard.margin(there, constants), guard.rate(there, slope, constants)

        for begins, cubic in pieces(step, on_the_way):
            dips += [(len(plan.steps), begins + at, guard) for at in cubic.dips()]
            if (stretch := cubic.first_fall()) is not None:
                falls.append((begins + cubic.zero(*stretch), number, (begins + stretch[0], begins + stretch[1])))
                break
    if not falls:
        plan.dips += dips
        return False
    _, number, stretch = min(falls)
    guard = plan.fell = guards[number]

    def margin_and_rate(at: float) -> tuple[float, float]:
        there, slopes = advance(flow.slope, plan.state, at, plan.slope, on_floats)
        return guard.margin(there, constants), guard.rate(there, slopes[-1], constants)

    last = locate(*stretch, margin_and_rate)
    plan.dips += [one for one in dips if one[1] < last]
    plan.state, slopes = advance(flow.slope, plan.state, last, plan.slope, on_floats)
    plan.slope = slopes[-1]
    plan.rate = guard.rate(plan.state, plan.slope, constants)
    plan.steps.append(last)
    return True


def _carry_out(flow: Flow, state: Any, plan: _Plan) -> Any:
    """The planned steps on Values. Comparisons note what decided the leg, for the validity of the gradient."""
    dips = sorted(plan.dips, key=lambda one: one[:2])
    slope = flow.slope(state)
    for number, step in enumerate(plan.steps):
        while dips and dips[0][0] == number:
            _, seconds, guard = dips.pop(0)
            there, _ = advance(flow.slope, state, seconds, slope, on_values)
            _note(guard, there, flow)
        state, slopes = advance(flow.slope, state, step, slope, on_values)
        slope = slopes[-1]
    return state


def _note(guard: Guard, state: Any, flow: Flow) -> bool:
    return bool(guard.margin(state, flow.constants) > 0.0)
