"""Motion that is exact between events: closed forms of times, places and their derivatives are the oracles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun_scenarios.physics.exact.course import travel
from detrun_scenarios.physics.exact.crossings import Cubic, locate, pieces
from detrun_scenarios.physics.exact.flow import Flow, Guard
from detrun_scenarios.physics.exact.impacts import DISC, Surface, cascade, exchange, rebound
from detrun_scenarios.physics.exact.legs import follow
from detrun_scenarios.physics.geometry.vectors import Vector
from detrun_scenarios.physics.relaxed import damping_for
from detrun_scenarios.physics.scenes import (
    arm,
    billiards,
    bouncing_ball,
    cradle,
    hopper,
    pendulum,
    sliding_block,
    throw,
)

G = 9.81
Closed = Callable[..., float]


def slopes_of(closed: Closed, at: Mapping[str, float]) -> dict[str, float]:
    """Central differences of a closed form."""
    return {
        name: (closed(**{**at, name: one * (1 + 1e-5)}) - closed(**{**at, name: one * (1 - 1e-5)})) / (2e-5 * one)
        for name, one in at.items()
    }


def agrees(scene: Callable[..., Any], closed: Closed, at: Mapping[str, float], accuracy: float = 1e-7) -> None:
    """The value and every derivative of a scene are those of its closed form."""
    found = detrun.gradient(lambda params: scene(**params), dict(at), verify=False)
    assert found.value == pytest.approx(closed(**at), rel=accuracy)
    assert found.grads == pytest.approx(slopes_of(closed, at), rel=accuracy)


def agm(a: float, b: float) -> float:
    while abs(a - b) > 1e-15:
        a, b = 0.5 * (a + b), math.sqrt(a * b)
    return a


def test_the_time_until_a_bouncing_ball_rests_is_the_sum_of_all_its_bounces() -> None:
    def closed(height: float, restitution: float) -> float:
        return math.sqrt(2 * height / G) * (1 + restitution) / (1 - restitution)

    agrees(bouncing_ball.settling_time, closed, {"height": 1.3, "restitution": 0.8})


def test_a_bounce_moves_a_difference_as_its_saltation_matrix_says() -> None:
    """Height and speed after a bounce by those before; the matrix maps differences just before to just after."""
    e, speed, later = 0.7, -3.0, 0.2
    flow = Flow(lambda ball, fall: (ball.speed, -fall.gravity), bouncing_ball.Fall(G))

    def after(params: Mapping[str, Any]) -> Any:
        before = bouncing_ball.Ball(params["height"], params["speed"])
        hit = follow(flow, before, [bouncing_ball.GROUND])
        up = bouncing_ball.Ball(hit.state.height, -e * hit.state.speed)
        end = follow(flow, up, duration=0.5 - hit.elapsed).state
        return end.height * params["one"] + end.speed * params["other"]

    height = 0.4
    found = [
        detrun.gradient(after, {"height": height, "speed": speed, **dict(zip(("one", "other"), unit, strict=True))})
        for unit in ((1.0, 0.0), (0.0, 1.0))
    ]
    impact = -math.sqrt(speed * speed + 2 * G * height)
    time = (impact - speed) / -G
    before, later = np.array([[1, time], [0, 1]]), 0.5 - time
    jump = np.array([[-e, 0.0], [-(1 + e) * G / impact, -e]])
    expected = np.array([[1, later], [0, 1]]) @ jump @ before
    assert [[one.grads["height"], one.grads["speed"]] for one in found] == pytest.approx(expected)


def test_the_range_of_a_throw_in_vacuum() -> None:
    def closed(launch_speed: float, launch_angle: float) -> float:
        up, ahead = launch_speed * math.sin(launch_angle), launch_speed * math.cos(launch_angle)
        return ahead * (up + math.sqrt(up * up + 2 * G * throw.HAND)) / G

    async def range_of(params: Mapping[str, Any]) -> Any:
        _, deaf = trio.open_memory_channel[Any](0)
        still = {"restitution": 0.5, "friction": 0.1}
        return (await throw.Throw(drag=0.0, bounces=0).fly({**params, **still}, deaf)).x

    at = {"launch_speed": 12.0, "launch_angle": 0.6}
    found = detrun.gradient(range_of, at)
    assert found.value == pytest.approx(closed(**at), rel=1e-12)
    assert found.grads == pytest.approx(slopes_of(closed, at), rel=1e-8)


def test_a_block_stops_where_its_energy_is_used_up() -> None:
    agrees(sliding_block.slide, lambda speed, friction: speed**2 / (2 * friction * G), {"speed": 3.0, "friction": 0.3})


def test_a_block_on_a_steep_slope_comes_back() -> None:
    def closed(speed: float, friction: float, slope: float) -> float:
        weight, held = G * math.sin(slope), G * friction * math.cos(slope)
        time = speed / (weight + held)
        return speed * time / 2 - (weight - held) * (2.0 - time) ** 2 / 2

    def scene(**params: Any) -> Any:
        return sliding_block.slide(**params, seconds=2.0)

    agrees(scene, closed, {"speed": 3.0, "friction": 0.3, "slope": 0.8})


def test_a_block_on_a_belt_sticks_and_slips_with_a_known_period() -> None:
    def closed(belt: float, friction: float, sliding: float, spring: float) -> float:
        weaker, turn = (friction - sliding) * G / spring, math.sqrt(spring)
        return 2 * (math.pi - math.atan2(turn * weaker, belt)) / turn + 2 * weaker / belt

    at = {"belt": 0.2, "friction": 0.5, "sliding": 0.3, "spring": 50.0}
    agrees(sliding_block.stick_slip_period, closed, at, accuracy=1e-6)


@pytest.mark.parametrize("amplitude", [0.1, 2.5])
def test_the_period_of_a_pendulum_is_that_of_the_arithmetic_geometric_mean(amplitude: float) -> None:
    def closed(amplitude: float, length: float) -> float:
        return 2 * math.pi * math.sqrt(length / G) / agm(1.0, math.cos(amplitude / 2))

    agrees(pendulum.period, closed, {"amplitude": amplitude, "length": 0.5}, accuracy=1e-6)


def test_the_last_ball_of_a_cradle_takes_on_what_the_first_one_had() -> None:
    def last(params: Mapping[str, Any]) -> Any:
        return cradle.swing(params["lifted"], 1.0, 0.2, 0.5)[cradle.BALLS - 1]

    free = Flow(lambda at, motor: (at.spin, -motor.weight * detrun.sin(at.angle)), pendulum.Motor(G / 0.2, 0.0, 0.0))

    def alone(params: Mapping[str, Any]) -> Any:
        return follow(free, pendulum.Swing(-params["lifted"], 0.0), duration=0.5).state.angle

    row, single = (detrun.gradient(one, {"lifted": 0.3}) for one in (last, alone))
    assert row.value == pytest.approx(single.value, rel=1e-8)
    assert row.grads == pytest.approx(single.grads, rel=1e-6)


numbers = st.floats(-5.0, 5.0)


@given(st.lists(st.tuples(st.floats(0.1, 5.0), numbers), min_size=2, max_size=6), st.floats(0.0, 1.0))
@settings(max_examples=50, deadline=None)
def test_a_row_keeps_its_momentum_gains_no_energy_and_parts(balls: list[tuple[float, float]], e: float) -> None:
    masses, before = [one for one, _ in balls], [one for _, one in balls]
    after = cascade(masses, before, e)
    momenta = [math.fsum(m * v for m, v in zip(masses, one, strict=True)) for one in (before, after)]
    energies = [math.fsum(m * v * v for m, v in zip(masses, one, strict=True)) for one in (before, after)]
    assert momenta[1] == pytest.approx(momenta[0], abs=1e-9)
    assert energies[1] <= energies[0] + 1e-9
    assert all(a <= b + 1e-9 for a, b in pairwise(after))


@given(numbers, st.floats(-5.0, -0.01), numbers, st.floats(0.0, 1.0), st.floats(0.0, 2.0))
@settings(max_examples=50, deadline=None)
def test_a_rebound_keeps_the_angular_momentum_about_the_contact_and_friction_in_its_cone(
    along: float, down: float, rim: float, e: float, mu: float
) -> None:
    after, turned = rebound(Vector(along, down), rim, Vector(0.0, 1.0), Surface(e, mu))
    assert after.y == pytest.approx(-e * down)
    assert DISC * turned - after.x == pytest.approx(DISC * rim - along, abs=1e-9)
    assert abs(after.x - along) <= mu * (1 + e) * -down + 1e-9
    before = along * along + down * down + DISC * rim * rim
    assert after.x**2 + after.y**2 + DISC * turned**2 <= before + 1e-9


def test_two_bodies_exchange_their_velocities() -> None:
    assert exchange((2.0, 2.0), (3.0, -1.0), 1.0) == (-1.0, 3.0)


# Events.


@given(st.tuples(numbers, numbers, numbers, numbers), st.floats(0.1, 3.0))
@settings(max_examples=100, deadline=None)
def test_a_cubic_falls_where_a_fine_grid_sees_it_fall(ends: tuple[float, float, float, float], width: float) -> None:
    cubic = Cubic(width, *ends)
    grid = [width * at / 400 for at in range(401)]
    seen = [high for low, high in pairwise(grid) if cubic(low) > 1e-9 and cubic(high) < -1e-9]
    stretch = cubic.first_fall()
    if seen:
        assert stretch is not None
        assert locate(*stretch, lambda at: (cubic(at), 0.0)) <= seen[0] + 1e-9


@given(st.tuples(numbers, numbers, numbers, numbers, numbers))
@settings(max_examples=50, deadline=None)
def test_a_guard_with_more_turns_than_a_cubic_is_taken_in_pieces(factors: tuple[float, ...]) -> None:
    """A polynomial of order four, as the distance of two bodies with constant forces is."""

    def quartic(at: float) -> tuple[float, float]:
        powers = range(len(factors))
        return (
            math.fsum(factors[n] * at**n for n in powers),
            math.fsum(n * factors[n] * at ** (n - 1) for n in powers if n),
        )

    found = pieces(2.0, quartic)
    size = max(map(abs, factors)) * 16
    for begins, cubic in found:
        for at in (0.25, 0.5, 0.75):
            assert cubic(at * cubic.width) == pytest.approx(quartic(begins + at * cubic.width)[0], abs=0.01 * size)


def test_a_guard_that_nearly_fell_says_how_far_a_parameter_may_move() -> None:
    """A ball that flies over an edge: it would touch it if the throw were 1.2 m/s slower, and that is known."""
    over = Guard("edge", lambda ball, fall: 1.0 - ball.height, lambda ball, slope, fall: -slope[0])
    flow = Flow(lambda ball, fall: (ball.speed, -fall.gravity), bouncing_ball.Fall(G))

    def flight(params: Mapping[str, Any]) -> Any:
        return follow(flow, bouncing_ball.Ball(0.5, params["speed"]), [over], 0.6).state.height

    found = detrun.gradient(flight, {"speed": 3.0})
    apex, touches = 0.5 + 9.0 / (2 * G), math.sqrt(2 * G * 0.5)
    near = found.validity["speed"]
    assert near.up == pytest.approx((1.0 - apex) / (3.0 / G), rel=1e-6)  # to first order
    assert near.up == pytest.approx(touches - 3.0, rel=0.05)


def test_a_guard_below_zero_ends_the_leg_at_once_if_it_falls() -> None:
    flow = Flow(lambda ball, fall: (ball.speed, -fall.gravity), bouncing_ball.Fall(G))
    falling = follow(flow, bouncing_ball.Ball(0.0, -1.0), [bouncing_ball.GROUND])
    assert (falling.event, falling.elapsed) == ("ground", 0.0)
    assert follow(flow, bouncing_ball.Ball(0.0, 1.0), [bouncing_ball.GROUND]).elapsed == pytest.approx(2.0 / G)
    below = follow(flow, bouncing_ball.Ball(-0.25, -1.0), [bouncing_ball.GROUND])
    assert (below.event, below.elapsed, below.state) == ("ground", 0.0, bouncing_ball.Ball(-0.25, -1.0))


def test_the_end_of_a_guard_below_zero_moves_with_the_start_and_takes_no_time() -> None:
    """A hopper that leans so far that its leg is longest as it comes down has a first half of its stance of no time."""
    flow = Flow(lambda ball, fall: (ball.speed, -fall.gravity), bouncing_ball.Fall(G))

    async def fallen(params: Mapping[str, Any]) -> Any:
        hears = trio.open_memory_channel[Any](0)[1]
        start = bouncing_ball.Ball(params["height"], -1.0)
        end, _ = await travel(flow, start, [bouncing_ball.GROUND], hears)
        return end.state.height + 10.0 * trio.current_time()

    found = detrun.gradient(fallen, {"height": -0.25})
    assert found.value == -0.25
    assert found.grads == {"height": 1.0}
    assert found.validity["height"].up == pytest.approx(0.25)  # where the guard has not fallen before


def test_a_leg_without_an_end_is_refused() -> None:
    still = Flow(lambda ball, fall: (ball.speed, 0.0 * ball.height), bouncing_ball.Fall(0.0))
    never = Guard("never", lambda ball, fall: 1.0, lambda ball, slope, fall: 0.0)
    with pytest.raises(detrun.UsageError, match="give the leg a duration"):
        follow(still, bouncing_ball.Ball(0.0, 1.0), [never])


# The relaxed contact.


@pytest.mark.parametrize("restitution", [0.3, 0.7, 0.95])
def test_a_wall_that_gives_way_gives_back_the_share_that_it_should(restitution: float) -> None:
    flow = Flow(bouncing_ball.sprung_slope, bouncing_ball.Sprung(0.0, damping_for(restitution, 2.0)))
    end = follow(flow, bouncing_ball.Ball(0.001, -2.0), duration=0.3).state
    assert end.speed == pytest.approx(2.0 * restitution, rel=1e-6)


def test_the_derivative_on_soft_ground_comes_close_to_the_exact_one_and_that_in_steps_does_not() -> None:
    """Lower after a bounce, if dropped from higher: time steps say the opposite."""
    at = {"height": 1.0, "restitution": 0.8}
    exact, soft, stepped = (
        detrun.gradient(lambda p, scene=scene, rest=rest: scene(0.55, **p, **rest), at, verify=False)
        for scene, rest in (
            (bouncing_ball.height_after, {}),
            (bouncing_ball.height_on_spring, {}),
            (bouncing_ball.height_by_steps, {"step": 0.0005}),
        )
    )
    assert exact.grads["height"] == pytest.approx(-0.40742, rel=1e-4)
    assert soft.grads == pytest.approx(exact.grads, rel=0.12)
    assert stepped.value == pytest.approx(exact.value, abs=2e-3)
    assert stepped.grads["height"] == 1.0


# Billiards.


def test_a_break_is_differentiated_through_its_impacts_and_holds_for_a_hairs_breadth() -> None:
    def first(params: Mapping[str, Any]) -> Any:
        return billiards.Break().shoot(params["speed"], params["aim"], seconds=2.0).place(1).x

    at = {"speed": 3.0, "aim": 0.01}
    found = detrun.gradient(first, at, verify=False)
    for name, one in at.items():
        up, down = (first({**at, name: one + step}) for step in (1e-8, -1e-8))
        assert found.grads[name] == pytest.approx((up - down) / 2e-8, rel=1e-4)
    assert abs(found.grads["aim"]) > 10.0  # m/rad, on a table of 2.5 m
    assert found.validity["aim"].radius < 0.01


def test_a_ball_that_is_shot_alone_rests_where_the_line_of_centres_leads() -> None:
    """One impact: the angle of the line of centres by the sine, the speed there by rolling, the way by its square."""
    speed, aim = 0.62, -0.02
    cue, ball = billiards.CUE, billiards.SPOT
    between = (ball.x - cue.x) * math.sin(-aim) / (2.0 * billiards.RADIUS)  # sine of the way to the line of centres
    turned = aim + math.asin(between)
    way = (ball.x - cue.x) * math.cos(aim) - 2.0 * billiards.RADIUS * math.cos(math.asin(between))
    struck = math.sqrt(speed**2 - 2.0 * billiards.ROLLING * way) * math.cos(math.asin(between)) * (1.0 + 0.95) / 2.0
    rolled = struck**2 / (2.0 * billiards.ROLLING)
    place = (ball.x + rolled * math.cos(turned), ball.y + rolled * math.sin(turned))
    assert place[0] < billiards.POCKET.x, "no cushion on the way"
    assert place[1] < billiards.POCKET.y
    expected = (place[0] - billiards.POCKET.x) ** 2 + (place[1] - billiards.POCKET.y) ** 2
    assert billiards.squared_miss(speed, aim, rows=1) == pytest.approx(expected, rel=1e-8)


def test_a_break_keeps_its_momentum_and_gains_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billiards, "ROLLING", 1e-12)
    shot = billiards.Break(rows=3)
    end = shot.shoot(3.0, 0.01, seconds=0.6)
    velocities = [end.velocity(ball) for ball in range(7)]
    assert shot.impacts >= 4
    assert sum(one.x for one in velocities) == pytest.approx(3.0 * math.cos(0.01), rel=1e-9)
    assert sum(one.y for one in velocities) == pytest.approx(3.0 * math.sin(0.01), abs=1e-9)
    assert 4.0 < sum(one.dot(one) for one in velocities) < 9.0


# What has no closed form, held against differences of frozen runs.


@pytest.mark.parametrize(
    ("scene", "at"),
    [
        (throw.Throw().miss, {"launch_speed": 12.0, "launch_angle": 0.785, "restitution": 0.7, "friction": 0.1}),
        (lambda params: arm.reach(params, 0.3), {"shoulder_gain": 10.0, "elbow_damping": 0.5, "wrist_gain": 1.25}),
    ],
)
def test_derivatives_are_those_of_runs_beside(scene: Any, at: dict[str, float]) -> None:
    fixed = {"shoulder_damping": 1.0, "elbow_gain": 5.0, "wrist_damping": 0.125}

    async def main(params: Mapping[str, Any]) -> Any:
        return await scene({**fixed, **params})

    found = detrun.gradient(main, at, seed=3, verify=False)
    for name, one in at.items():
        sides = [detrun.record(main, {**at, name: one * (1 + step)}, seed=3).result for step in (1e-6, -1e-6)]
        assert found.grads[name] == pytest.approx((sides[0] - sides[1]) / (2e-6 * one), rel=1e-6, abs=1e-8)


def test_the_work_of_the_motors_is_the_energy_of_the_arm() -> None:
    """Constant torques from rest: their work is that of each link's angle, since nothing rubs."""
    torques = arm.Torques(0.3, -0.2, 0.1)
    end = follow(Flow(arm.slope, torques), arm.Posture(0.1, 0.5, 0.2, 0.0, 0.0, 0.0, 0.0), duration=0.5).state
    moments = (0.3 + 0.2, -0.2 - 0.1, 0.1)
    work = sum(moment * (now - then) for moment, now, then in zip(moments, end, (0.1, 0.5, 0.2), strict=False))
    assert arm.kinetic_energy(end) == pytest.approx(work, rel=1e-8)


def test_a_hopper_on_the_way_gains_what_the_thrust_gives_and_falls_if_it_is_too_much() -> None:
    async def run(params: Mapping[str, Any]) -> hopper.Way:
        return await hopper.hop(params, hops=6)

    usual = {"hop_thrust": 0.015, "speed_gain": 0.05, "foot_offset": 0.0}
    way = detrun.record(run, usual).result
    assert not way.has_fallen
    assert 0.5 < way.distance / way.seconds < 1.5
    fallen = detrun.record(run, {**usual, "hop_thrust": 0.08}).result
    assert fallen.has_fallen
    assert fallen.cost == hopper.FALLEN
    # It lifts off while it sinks, or has no room to swing the leg: an error, once.
    for seed in (0, 2):
        assert detrun.record(
            run, {"hop_thrust": 0.017, "speed_gain": 0.15, "foot_offset": 0.03}, seed=seed
        ).result.has_fallen
