"""numpy's functions on Values: elementwise, with the numbers that numpy gives for floats, and their derivatives."""

from __future__ import annotations

import pytest

import detrun
from detrun.ad import state
from detrun.ad.numpy_calls import RULES
from detrun.ad.reverse import backward
from detrun.ad.value import Value

np = pytest.importorskip("numpy")

POINT = (0.37, 0.61)
ABOVE_ONE = {"arccosh"}

WAYS = {
    "array * floats": lambda x, y: (np.array([x, y]) * np.array([2.0, 3.0])).sum(),
    "floats * array": lambda x, y: (np.array([2.0, 3.0]) / np.array([x, y])).sum(),
    "floats * Value": lambda x, y: np.dot(np.array([2.0, 3.0]) * x, np.array([y, 1.0])),
    "Value - floats": lambda x, y: (x - np.array([2.0, 3.0])).sum() * y,
    "a scalar of numpy": lambda x, y: np.float64(2.0) * x - y / np.float64(0.5),
    "a matrix": lambda x, y: (np.array([[x, 1.0], [2.0, y]]) @ np.array([x, y])).sum(),
    "power": lambda x, y: np.power(np.array([x, y]), 3).sum(),
    "mean and std": lambda x, y: np.array([x, y, x * y]).std() + np.array([x, y]).mean(),
    "norm": lambda x, y: np.linalg.norm(np.array([x, y, 2.0])),
    "maximum": lambda x, y: np.maximum(np.array([x, y]), 0.5).sum(),
    "where": lambda x, y: np.where(np.array([x, y]) > 0.5, np.array([x, y]), 3.0).sum() * x,
    "absolute": lambda x, y: np.abs(np.array([-x, y])).sum() + np.fabs(np.array([-x])).sum(),
    "a function of a Value": lambda x, y: np.exp(x) * np.sqrt(y),
    "floats beside a Value": lambda x, y: np.hypot(np.array([1.0, 2.0]), x).sum() + np.arctan2(y, np.array([1.0]))[0],
}
WAYS |= {
    f"np.{name}": lambda x, y, name=name: getattr(np, name)(np.array([x, y]) + (name in ABOVE_ONE)).sum()
    for name in RULES
    if name not in ("hypot", "arctan2")
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_numpy_has_the_numbers_of_floats_and_the_derivatives_of_differences(way):
    with state.taped() as tape:
        x, y = map(Value, POINT)
        loss = way(x, y)
    assert loss.primal == way(*map(np.float64, POINT))
    found = backward(tape, {loss.id: 1.0}, wanted=[x.id, y.id])
    assert not tape.detachments
    step = 1e-6
    for value, (dx, dy) in ((x, (step, 0.0)), (y, (0.0, step))):
        up, down = way(POINT[0] + dx, POINT[1] + dy), way(POINT[0] - dx, POINT[1] - dy)
        assert found[value.id] == pytest.approx((up - down) / (2 * step), rel=1e-7, abs=1e-7)


def test_comparisons_of_arrays_are_sites_of_the_line_that_makes_them():
    with state.taped() as tape:
        assert list(np.array([0.25, 1.0]) < Value(0.5)) == [True, False]
    (site,) = tape.sites
    assert [one.value for one in site.nearest] == [0.25, -0.5]
    assert __file__ in site.where


def test_what_holds_bare_numbers_only_says_what_to_do():
    x = Value(2.0)
    array = np.zeros(2)
    with pytest.raises(detrun.NotDifferentiableError, match=r"array of float64 in place.*dtype=object"):
        array += x
    with pytest.raises(detrun.NotDifferentiableError, match=r"numpy.frexp has no derivative for Values"):
        np.frexp(x)
    with state.taped() as tape:
        zero = Value(0.0)
        with np.errstate(divide="ignore"):
            loss = np.log(zero) * 2.0
    with pytest.raises(detrun.NotDifferentiableError, match="log at"):
        backward(tape, {loss.id: 1.0}, wanted=[zero.id])


def test_a_program_of_arrays_is_differentiated_in_every_mode():
    async def main(params):
        state = np.array([params["x"], params["y"]])
        for _ in range(3):
            state = np.tanh(np.array([[0.5, -0.3], [0.2, 0.9]]) @ state)
        return np.dot(state, state)

    params = {"x": 0.4, "y": -0.7}
    whole = detrun.gradient(main, params, verify=True)
    assert detrun.gradient(main, params, mode="forward").grads == pytest.approx(whole.grads)
    twice = detrun.hessian_vector_product(main, params, {"x": 1.0})
    step = 1e-5
    up, down = (detrun.gradient(main, {**params, "x": 0.4 + side}).grads["y"] for side in (step, -step))
    assert twice.product["y"] == pytest.approx((up - down) / (2 * step), rel=1e-6)
