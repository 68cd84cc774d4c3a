"""Forward mode and Hessian-vector products list what they lose, and forward mode knows how far a run is valid."""

from __future__ import annotations

import math

import pytest

import detrun
from detrun.ad import validity as validities


async def loses_some(params):
    x = params["x"]
    return x * x + math.exp(x)


def test_every_mode_lists_the_lines_that_take_the_bare_number():
    line = loses_some.__code__.co_firstlineno + 2
    for mode in ("reverse", "forward"):
        found = detrun.gradient(loses_some, {"x": 1.0}, mode=mode)
        assert found.grads == {"x": 2.0}
        assert found.diagnostics.detachments == [(__file__, line, 1)], mode
        assert f"{__file__}:{line}" in found.warnings[-1]
    twice = detrun.hessian_vector_product(loses_some, {"x": 1.0}, {"x": 1.0})
    assert twice.diagnostics.detachments == [(__file__, line, 1)]
    assert f"{__file__}:{line}" in twice.warnings[-1]


async def decides(params):
    total = params["x"] * 0.0
    for turn in range(30):
        total = total + (params["x"] if params["x"] * 0.1 > turn * params["y"] else params["y"])
    return detrun.maximum(total, abs(params["y"]) * math.floor(params["x"]))


def test_forward_mode_has_the_validity_of_the_tape():
    params = {"x": 7.3, "y": 0.05}
    whole = detrun.gradient(decides, params)
    moving = detrun.gradient(decides, params, mode="forward")
    assert moving.grads == whole.grads
    for name in params:
        one, other = whole.validity[name], moving.validity[name]
        assert (other.down, other.up) == pytest.approx((one.down, one.up))
        assert str(one.site) == str(other.site)
    assert moving.diagnostics.sites_passed == whole.diagnostics.sites_passed
    assert moving.diagnostics.nearest_margins == whole.diagnostics.nearest_margins


def many_branches(count):
    source = "async def main(p):\n s = 0.0\n" + "".join(
        f" if p['p{i}'] * s <= {i} + 1.0: s = s + p['p{i}'] * 0.01\n" for i in range(count)
    )
    space = {}
    exec(compile(source + " return s\n", "branches.py", "exec"), space)
    return space["main"], {f"p{i}": float(i % 7) for i in range(count)}


def test_the_validity_of_many_parameters_and_branches_looks_at_the_nearest_margins_only(monkeypatch):
    main, params = many_branches(60)
    whole = detrun.gradient(main, params)
    assert all(one.complete for one in whole.validity.values())
    sweeps = []
    swept = validities.backward
    monkeypatch.setattr(validities, "backward", lambda *given, **named: sweeps.append(1) or swept(*given, **named))
    monkeypatch.setattr(validities, "ENTRIES_SWEPT_MAX", 1)
    bounded = detrun.gradient(main, params)
    assert len(sweeps) == validities.SWEEPS_MIN
    assert bounded.grads == whole.grads
    assert not any(one.complete for one in bounded.validity.values())
    assert all(bounded.validity[name].radius >= one.radius for name, one in whole.validity.items())
    assert any(bounded.validity[name].radius == one.radius < math.inf for name, one in whole.validity.items())
