"""What lies beside a local gradient: flips within a distance, jumps of the loss there, both sides of a tie."""

from __future__ import annotations

import math

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.gradients.sides import OneSided


async def stairs(params):
    """Steps at x = 1, 2, …, 9, each 10 high, on a slope; y matters to nothing before x * y = 20."""
    x, y = params["x"], params["y"]
    height = x * 0.5
    for step in range(1, 10):
        if x >= step:
            height = height + 10.0
    if x * y > 20.0:
        height = height - 3.0
    await trio.lowlevel.checkpoint()
    return height


@pytest.mark.parametrize("how", [{}, {"mode": "forward"}, {"window": 2}])
def test_flips_within_a_distance_are_counted_and_the_nearest_have_their_jumps(how):
    found = detrun.gradient(stairs, {"x": 4.25, "y": 4.0}, **how)
    flips = found.flips(3.0, nearest=2)
    assert (flips["x"].down, flips["x"].up) == (3, 4)  # 4, 3, 2; and 5, 6, 7 and x * y = 20 at x = 5
    assert [(one.move, one.jump) for one in flips["x"].nearest] == [
        (-0.25, pytest.approx(-10.0)),
        (0.75, pytest.approx(7.0)),
    ]
    assert (flips["y"].down, flips["y"].up) == (0, 1)
    (only,) = flips["y"].nearest
    assert (only.move, only.jump) == (pytest.approx(20 / 4.25 - 4.0), pytest.approx(-3.0))
    assert "> at " in str(only.site)
    assert "the loss jumps by -3" in str(only)
    assert "3 flips below, 4 above" in str(flips["x"])


def test_flips_along_a_direction():
    found = detrun.gradient(stairs, {"x": 4.25, "y": 4.0})
    flips = found.flips.along({"x": -1.0, "y": 100.0}, within=0.02, nearest=1)
    assert (flips.down, flips.up) == (0, 1)  # x * y rises by (425 - 4) t: 20 is reached at t = 3 / 421
    assert flips.nearest[0].move == pytest.approx(3 / 421)
    assert flips.nearest[0].jump == pytest.approx(-3.0, rel=1e-3)
    assert found.flips({"y": 0.5}, jumps=False)["y"].nearest[0].jump is None
    with pytest.raises(detrun.UsageError, match="none of the parameters x, y"):
        found.flips({"z": 1.0})
    with pytest.raises(detrun.UsageError, match="finite"):
        found.flips.along({"x": math.nan})
    many = detrun.gradient(stairs, {"x": 4.25, "y": 4.0, **{f"p{i}": 0.0 for i in range(40)}})
    with pytest.raises(detrun.UsageError, match="name at most 32"):
        many.flips(1.0)


async def raced(params):
    """Whichever comes first leaves its mark: 100 if ``a`` does."""
    first = []

    async def runner(name, seconds):
        await trio.sleep(seconds)
        first.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner, "a", params["a"])
        nursery.start_soon(runner, "b", 2.0)
    return params["a"] + (100.0 if first[0] == "a" else 0.0)


def test_an_order_of_timers_has_the_jump_of_the_run_that_takes_the_other():
    flips = detrun.gradient(raced, {"a": 1.5}, seed=3).flips(1.0)
    assert (flips["a"].down, flips["a"].up) == (0, 1)
    assert flips["a"].nearest[0].jump == pytest.approx(-100.0)


async def heartbeats(params):
    seen = []

    async def beats():
        for _ in range(5):
            await trio.sleep(params["beat"])
        seen.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beats)
        nursery.start_soon(trio.sleep, params["timeout"])
    return seen[0]


@pytest.mark.parametrize("how", [{}, {"mode": "forward"}])
def test_a_tie_whose_sides_agree_has_their_derivative(how):
    found = detrun.gradient(heartbeats, {"beat": 0.1, "timeout": 0.5}, **how)
    assert found.validity["beat"].radius == 0.0
    assert found.grads == pytest.approx({"beat": 5.0, "timeout": 0.0})
    assert found.one_sided["beat"] == OneSided(pytest.approx(5.0), pytest.approx(5.0))
    assert found.warnings == []


def test_a_tie_whose_sides_differ_has_both():
    async def kink(params):
        return detrun.maximum(params["x"] * 3.0, params["y"])

    async def cliff(params):
        return params["x"] * 2.0 + (7.0 if params["x"] >= 1.0 else 0.0)

    async def wall(params):
        await trio.sleep(params["x"])
        return trio.current_time()

    found = detrun.gradient(kink, {"x": 1.0, "y": 3.0})
    assert (found.one_sided["x"].left, found.one_sided["x"].right) == (0.0, 3.0)
    assert (found.one_sided["y"].left, found.one_sided["y"].right) == (0.0, 1.0)
    assert "0 just below, 3 just above" in found.warnings[0]
    found = detrun.gradient(cliff, {"x": 1.0})
    assert found.grads == {"x": 2.0}
    assert found.one_sided["x"] == OneSided(2.0, 2.0, pytest.approx(-7.0), 0.0)
    assert "2 just below, where the loss is -7 away, 2 just above" in found.warnings[0]
    found = detrun.gradient(wall, {"x": 0.0})
    assert found.one_sided["x"] == OneSided(None, 1.0)
    assert any("the program fails just below" in warning for warning in found.warnings)


waits = st.tuples(st.integers(1, 40), st.integers(-4, 4), st.integers(0, 40), st.integers(-4, 4))


def timed(shapes, order):
    """Tasks of waits of ``a + bx`` seconds, each under a deadline of ``c + dx``, if there is one; ``order`` is filled.

    Every wait ends either by itself, and its deadline is taken back, or by its deadline.
    """

    async def main(params):
        x = params["x"]

        async def task(number, waits):
            for turn, (a, b, c, d) in enumerate(waits):
                with trio.CancelScope() as scope:
                    if c:
                        scope.deadline = trio.current_time() + (c * 0.37 + x * d * 0.011)
                    await trio.sleep(a * 0.25 + x * b * 0.013)
                order.append((number, turn, scope.cancelled_caught))

        async with trio.open_nursery() as nursery:
            for number, waits in enumerate(shapes):
                nursery.start_soon(task, number, waits)
        return trio.current_time()

    return main


def holds_within_the_radius_and_not_beyond(shapes, seed):
    """Times are linear in x, so first order is exact: nothing flips at 0.99 of the radius, and something beyond it."""
    order = []
    main = timed(shapes, order)

    def order_at(x):
        order.clear()
        detrun.record(main, {"x": x}, seed=seed)
        return list(order)

    near = detrun.gradient(main, {"x": 0.7}, seed=seed, verify=False).validity["x"]
    base = order_at(0.7)
    for distance, sign in ((near.up, 1.0), (near.down, -1.0)):
        if distance < 1e-6:
            continue  # a tie
        assert order_at(0.7 + sign * 0.99 * min(distance, 2.0)) == base
        if distance < 2.0:
            assert order_at(0.7 + sign * 1.01 * distance) != base


shapes = st.lists(st.lists(waits, min_size=1, max_size=3), min_size=2, max_size=4)


@settings(max_examples=40)
@given(shapes, st.integers(0, 2**32))
def test_inside_the_radius_no_timer_flips_and_beyond_it_one_does(shapes, seed):
    holds_within_the_radius_and_not_beyond(shapes, seed)


@pytest.mark.slow
@settings(max_examples=1000)
@given(shapes, st.integers(0, 2**32))
def test_inside_the_radius_no_timer_flips_and_beyond_it_one_does_in_many_programs(shapes, seed):
    holds_within_the_radius_and_not_beyond(shapes, seed)
