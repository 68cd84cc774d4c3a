"""Explosion and vanishing are told from sums and units, on one tape and over windows alike."""

from __future__ import annotations

import pytest
import trio

import detrun


async def logistic(params):
    """Its derivative by x grows by a factor of 2 a step on average (the Lyapunov exponent of r = 4 is ln 2)."""
    x = params["x"]
    for turn in range(500):
        x = x * 4.0 * (1.0 - x)
        if not turn % 50:
            await trio.lowlevel.checkpoint()
    return x


async def decays(params):
    x = params["x"]
    for turn in range(3000):
        x = x * 0.5 + params["level"]
        if not turn % 50:
            await trio.lowlevel.checkpoint()
    return x


async def used_often(params):
    total = detrun.Atomic(0.0)
    for turn in range(20_000):
        total.fetch_add(params["x"] * turn)
        if not turn % 1000:
            await trio.lowlevel.checkpoint()
    return total.load()


async def in_other_units(params):
    await trio.lowlevel.checkpoint()
    return params["x"] * 1e9


WAYS = [{}, {"window": 4}]


@pytest.mark.parametrize("how", WAYS)
def test_a_chaotic_map_explodes_within_one_segment(how):
    found = detrun.gradient(logistic, {"x": 0.3}, **how)
    assert abs(found.grads["x"]) > 1e90
    (warning,) = [one for one in found.warnings if "explode" in one]
    assert "kind=" not in warning


@pytest.mark.parametrize("how", WAYS)
def test_an_influence_that_underflows_to_zero_is_said_to_vanish(how):
    found = detrun.gradient(decays, {"x": 1.0, "level": 1.0}, **how)
    assert found.grads == {"x": 0.0, "level": 2.0}
    assert [one for one in found.warnings if "d/dx is 0, since every path from x" in one]
    assert not [one for one in found.warnings if "level" in one]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(("main", "slope"), [(used_often, 199_990_000.0), (in_other_units, 1e9)])
def test_neither_a_sum_of_many_uses_nor_a_change_of_units_is_an_explosion(main, slope, how):
    found = detrun.gradient(main, {"x": 1.0}, **how)
    assert found.grads == {"x": slope}
    assert found.warnings == []
