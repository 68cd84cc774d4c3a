"""Regulators, iterative LQR and the filter against scipy, closed forms and differences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as product_of
from typing import Any

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are, solve_discrete_lyapunov

import detrun
from detrun_scenarios.robot.control.horizon import Wheels
from detrun_scenarios.robot.control.tracking import across_model, along_model
from detrun_scenarios.robot.estimation.belief import HEADING, SPEED, Belief, X, direct, seen_from
from detrun_scenarios.robot.linear import ilqr
from detrun_scenarios.robot.linear.matrices import (
    Matrix,
    Vector,
    applied,
    diagonal,
    identity,
    inner,
    plus,
    product,
    solved,
    transposed,
)
from detrun_scenarios.robot.linear.riccati import RiccatiError, backward, regulator

pytestmark = pytest.mark.one_python
MODELS = {"along": along_model(0.05), "across": across_model(0.05)}
START = [0.3, -0.2, 0.1]
HORIZON = 6


class Linear:
    """A linear motion, as `ilqr.Motion`."""

    def __init__(self, a: Matrix, b: Matrix) -> None:
        self.a, self.b = a, b

    def step(self, state: Sequence[Any], control: Sequence[Any]) -> Vector:
        return [one + other for one, other in zip(applied(self.a, state), applied(self.b, control), strict=True)]

    def slopes(self, state: Sequence[Any], control: Sequence[Any]) -> tuple[Matrix, Matrix]:
        return self.a, self.b


def test_matrices_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 4)), rng.normal(size=(4, 3))
    positive = a @ a.T + np.eye(4)
    assert np.allclose(product(a.tolist(), b.tolist()), a @ b, atol=1e-14)
    assert np.allclose(solved(positive.tolist(), b.tolist()), np.linalg.solve(positive, b), atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_a_regulator_solves_the_riccati_equation(name: str) -> None:
    a, b = MODELS[name]
    q, r = diagonal([10.0, 2.0, 0.5][: len(a)]), [[0.7]]
    found = regulator(a, b, q, r)
    cost = solve_discrete_are(*map(np.array, (a, b, q, r)))
    gains = np.linalg.solve(np.array(r) + np.array(b).T @ cost @ np.array(b), np.array(b).T @ cost @ np.array(a))
    assert np.allclose(found.cost, cost, rtol=1e-10)
    assert np.allclose(found.gains, gains, rtol=1e-10)


@pytest.mark.parametrize("weights", [*product_of((0.1, 200.0), (0.05, 50.0), (0.02, 20.0))])
def test_a_regulator_settles_at_the_corners_of_its_weights(weights: tuple[float, float, float]) -> None:
    """The slowest of these loops keeps 0.996 of a deviation at each step."""
    cross, heading, cost = weights
    a, b = MODELS["across"]
    q, r = diagonal([cross, heading, 0.01]), [[cost]]
    assert np.allclose(regulator(a, b, q, r).cost, solve_discrete_are(*map(np.array, (a, b, q, r))), rtol=1e-9)


def test_a_system_that_no_feedback_holds_has_no_regulator() -> None:
    """The second state grows by itself, and the control does not reach it."""
    with pytest.raises(RiccatiError, match="no feedback holds"):
        regulator([[0.5, 0.0], [0.0, 1.5]], [[1.0], [0.0]], diagonal([1.0, 1.0]), [[1.0]])


def test_gains_have_the_derivatives_of_differences_through_the_riccati_equation() -> None:
    a, b = MODELS["across"]

    def gain(params: Any) -> Any:
        q = diagonal([params["cross"], params["heading"], 0.01])
        return regulator(a, b, q, [[params["cost"]]]).gains[0][0]

    at = {"cross": 10.0, "heading": 2.0, "cost": 1.0}
    found = detrun.gradient(gain, at)
    for name, number in at.items():
        above, below = (gain({**at, name: number * (1 + sign * 1e-5)}) for sign in (1, -1))
        assert found.grads[name] == pytest.approx((above - below) / (2e-5 * number), rel=1e-7)


def test_the_cost_of_feedback_has_the_gradient_of_fazel_and_others() -> None:
    """``2 ((R + BᵀPB) K - BᵀPA) Σ`` (Fazel, Ge, Kakade and Mesbahi 2018, lemma 1), away from the best gains."""
    a, b = MODELS["across"]
    q, r = diagonal([10.0, 2.0, 0.5]), [[0.7]]
    at = {"k0": 2.0, "k1": 2.5, "k2": 0.3}

    def cost(params: Any) -> Any:
        state, total = START, 0.0
        for _ in range(1_500):
            control = -inner([params["k0"], params["k1"], params["k2"]], state)
            total = total + inner(applied(q, state), state) + r[0][0] * control * control
            state = [one + row[0] * control for one, row in zip(applied(a, state), b, strict=True)]
        return total

    found = detrun.gradient(cost, at, validity=False)
    big_a, big_b, big_q, big_r, k = (np.array(one) for one in (a, b, q, r, [list(at.values())]))
    closed = big_a - big_b @ k
    assert max(abs(np.linalg.eigvals(closed))) ** 3_000 < 1e-15  # what comes after the sum does not count
    p = solve_discrete_lyapunov(closed.T, big_q + k.T @ big_r @ k)
    sigma = solve_discrete_lyapunov(closed, np.outer(START, START))
    exact = 2 * ((big_r + big_b.T @ p @ big_b) @ k - big_b.T @ p @ big_a) @ sigma
    assert found.value == pytest.approx(START @ p @ START, rel=1e-10)
    assert [found.grads[name] for name in at] == pytest.approx(exact[0].tolist(), rel=1e-8)


def test_one_iteration_is_exact_for_a_linear_system() -> None:
    a, b = MODELS["across"]
    q, r, last = diagonal([3.0, 1.0, 0.1]), [[0.5]], diagonal([9.0, 4.0, 1.0])
    course = ilqr.Course([[0.0] * 3] * (HORIZON + 1), [[0.0]] * HORIZON, q, r, last)
    found = ilqr.optimized(Linear(a, b), START, [[0.4]] * HORIZON, course, iterations=1)
    cost, gains = last, []
    for _ in range(HORIZON):
        step = backward(cost, a, b, q, r)
        cost = step.cost
        gains.append(step.gains)
    state = START
    for gain, control in zip(reversed(gains), found.controls, strict=True):
        assert control[0] == pytest.approx(-inner(gain[0], state), abs=1e-12)
        state = Linear(a, b).step(state, control)
    assert ilqr.cost_of(found, course) == pytest.approx(0.5 * inner(applied(cost, START), START), rel=1e-12)


def test_iterations_on_wheels_come_to_a_stationary_trajectory() -> None:
    """At the end no single control can be moved for the better; differences of the cost, 1e-6 of its size."""
    motion, start = Wheels(), [0.0, 0.1, 0.4, 0.3, 0.0]
    states = [[0.0625 * at, 0.0, 0.0, 0.5, 0.0] for at in range(HORIZON + 1)]
    q = diagonal([4.0, 4.0, 0.3, 0.5, 0.0])
    course = ilqr.Course(states, [[0.5, 0.0]] * HORIZON, q, diagonal([0.5, 0.1]), plus(q, q))
    found = ilqr.optimized(motion, start, course.controls, course, iterations=12)
    least = ilqr.cost_of(found, course)
    for number in range(HORIZON):
        for part in (0, 1):
            sides = []
            for sign in (1, -1):
                controls = [list(one) for one in found.controls]
                controls[number][part] += sign * 1e-4
                sides.append(ilqr.cost_of(ilqr.rolled_out(motion, start, controls), course))
            assert abs(sides[0] - sides[1]) / 2e-4 < 1e-6 * least + 1e-5
            assert min(sides) >= least


def test_slopes_are_differences_of_the_motion() -> None:
    motion, state, control = Wheels(), [0.1, 0.2, 0.7, 0.4, 0.9], [0.5, -0.6]
    a, b = motion.slopes(state, control)
    for column in range(5):
        sides = [
            motion.step([*state[:column], state[column] + h, *state[column + 1 :]], control) for h in (1e-6, -1e-6)
        ]
        assert [row[column] for row in a] == pytest.approx(
            [(p - m) / 2e-6 for p, m in zip(*sides, strict=True)], abs=1e-8
        )
    for column in range(2):
        sides = [
            motion.step(state, [*control[:column], control[column] + h, *control[column + 1 :]]) for h in (1e-6, -1e-6)
        ]
        assert [row[column] for row in b] == pytest.approx(
            [(p - m) / 2e-6 for p, m in zip(*sides, strict=True)], abs=1e-8
        )


def test_the_filter_comes_to_the_steady_state_of_its_riccati_equation() -> None:
    """Driving straight on, position and speed along the way are a linear system; scipy solves the dual equation."""
    seconds, wander, noise = 0.1, 0.8, 0.05
    belief = Belief([0.0, 0.0, 0.0, 0.5, 0.0, 0.0], identity(6))
    for _ in range(400):
        belief = belief.moved(seconds, wander, 1e-3)
        belief = belief.corrected(direct(X), 0.0, noise * noise)
    a = np.array([[1.0, seconds], [0.0, 1.0]])
    cubed = wander**2 * seconds**3 / 3 + 0.005**2 * seconds
    q = np.array([[cubed, wander**2 * seconds**2 / 2], [wander**2 * seconds**2 / 2, wander**2 * seconds]])
    before = solve_discrete_are(a.T, np.array([[1.0], [0.0]]), q, np.array([[noise**2]]))
    gain = before[:, :1] / (before[0, 0] + noise**2)
    after = before - gain @ before[:1]
    found = [[belief.covariance[row][column] for column in (X, SPEED)] for row in (X, SPEED)]
    assert np.allclose(found, after, rtol=1e-9)


def test_a_correction_is_that_of_the_textbook_and_a_gate_leaves_it_out() -> None:
    rng = np.random.default_rng(3)
    root = rng.normal(size=(6, 6))
    covariance = root @ root.T
    _, bearing, _, slope = seen_from([0.2, 0.1, 0.3, 0.0, 0.0, 0.0], 2.0, 1.0)
    h = np.array(slope)
    gain = covariance @ h / (h @ covariance @ h + 0.01)
    found = Belief([0.0] * 6, covariance.tolist()).corrected(slope, 0.2, 0.01)
    assert np.allclose(found.mean, gain * 0.2)
    assert np.allclose(found.covariance, covariance - np.outer(gain, h @ covariance))
    assert transposed(found.covariance) == found.covariance
    same = found.corrected(direct(HEADING), 1e3, 0.01)
    assert same is found
    assert bearing == pytest.approx(np.arctan2(0.9, 1.8) - 0.3)
