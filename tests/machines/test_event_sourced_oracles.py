"""Gradients of machines whose answer is known by other means: closed forms, tangents, Riccati, saltation, torch."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun

np = pytest.importorskip("numpy")

IN_WINDOWS = {"snapshots": 4, "window": 16}


@given(step=st.floats(0.01, 0.5), curvature=st.floats(0.1, 2.0), steps=st.integers(1, 200))
def test_gradient_descent_on_a_quadratic_with_respect_to_its_step_size(step, curvature, steps):
    """``x_n = (1 - eta a)^n x_0``, so ``d x_n / d eta = -n a (1 - eta a)^(n - 1) x_0``."""
    machine = detrun.StateMachine(lambda x, event, p: x - p["eta"] * (curvature * x), 3.0, params={"eta": step})
    machine.dispatch_all([None] * steps)
    gradient = machine.gradient(lambda x: x, ("params", "initial state"), **IN_WINDOWS)
    decay = 1.0 - step * curvature
    assert gradient.initial_state == pytest.approx(decay**steps, rel=1e-9)
    assert gradient.params["eta"] == pytest.approx(-steps * curvature * decay ** (steps - 1) * 3.0, rel=1e-9)


def test_a_leapfrog_pendulum_has_the_gradient_that_tangents_carry_forward():
    """Tangents of kick, drift, kick: ``dv -= h/2 cos(q) dq``, ``dq += h dv``, ``dv -= h/2 cos(q) dq``, by hand."""
    h, steps = 0.05, 2000

    def leapfrog(state, event):
        q, v = state
        v = v - 0.5 * h * detrun.sin(q)
        q = q + h * v
        return q, v - 0.5 * h * detrun.sin(q)

    machine = detrun.StateMachine(leapfrog, (1.0, 0.2))
    machine.dispatch_all([None] * steps)
    gradient = machine.gradient(lambda state: state[0], snapshots=5, window=20).initial_state
    for place in (0, 1):
        q, v = 1.0, 0.2
        dq, dv = (1.0, 0.0) if place == 0 else (0.0, 1.0)
        for _ in range(steps):
            v, dv = v - 0.5 * h * math.sin(q), dv - 0.5 * h * math.cos(q) * dq
            q, dq = q + h * v, dq + h * dv
            v, dv = v - 0.5 * h * math.sin(q), dv - 0.5 * h * math.cos(q) * dq
        assert gradient[place] == pytest.approx(dq, rel=1e-9)


class TestLinearQuadraticRegulator:
    """``x' = A x + B u``, ``u = -K x``, cost ``sum x'Q x + u'R u``, against scipy over a horizon that is as good as
    infinite.
    """

    A = np.array([[1.0, 0.1], [0.0, 1.0]])
    B = np.array([[0.0], [0.1]])
    Q = np.diag([1.0, 0.1])
    R = np.array([[0.05]])
    START = (1.0, -0.5)

    def gradient(self, gain):
        (a, b), (c, d) = self.A.tolist()
        (e,), (f,) = self.B.tolist()

        def step(state, event, p):
            x, y = state["x"]
            u = -(p["kx"] * x + p["ky"] * y)
            cost = state["cost"] + x * x * self.Q[0, 0].item() + y * y * self.Q[1, 1].item() + u * u * self.R.item()
            return {"x": (a * x + b * y + e * u, c * x + d * y + f * u), "cost": cost}

        machine = detrun.StateMachine(step, {"x": self.START, "cost": 0.0}, params={"kx": gain[0], "ky": gain[1]})
        machine.dispatch_all([None] * 2000)
        return machine.gradient(lambda state: state["cost"], ("initial state", "params"), snapshots=10, window=50)

    def riccati(self):
        linalg = pytest.importorskip("scipy.linalg")
        P = linalg.solve_discrete_are(self.A, self.B, self.Q, self.R)
        K = np.linalg.solve(self.R + self.B.T @ P @ self.B, self.B.T @ P @ self.A)
        return P, K

    def test_the_gain_of_the_riccati_solution_is_stationary_and_its_cost_is_the_quadratic_form(self):
        """``J = x0' P x0``, ``dJ/dx0 = 2 P x0``, and ``dJ/dK = 0`` at ``K = (R + B'PB)^-1 B'PA``."""
        P, K = self.riccati()
        gradient = self.gradient(K[0].tolist())
        x0 = np.array(self.START)
        assert gradient.value == pytest.approx(x0 @ P @ x0, rel=1e-9)
        assert gradient.initial_state["x"] == pytest.approx(tuple(2 * P @ x0), rel=1e-9)
        assert list(gradient.params.values()) == pytest.approx([0.0, 0.0], abs=1e-9)

    def test_another_gain_has_the_gradient_of_its_lyapunov_equations(self):
        """``dJ/dK = 2 ((R + B'PB) K - B'PA) S``: P from the cost of K, ``S = sum x x'``, both Lyapunov solutions."""
        linalg = pytest.importorskip("scipy.linalg")
        K = np.array([[2.0, 3.0]])
        closed = self.A - self.B @ K
        P = linalg.solve_discrete_lyapunov(closed.T, self.Q + K.T @ self.R @ K)
        S = linalg.solve_discrete_lyapunov(closed, np.outer(self.START, self.START))
        expected = 2 * ((self.R + self.B.T @ P @ self.B) @ K - self.B.T @ P @ self.A) @ S
        assert abs(expected).max() > 0.01
        assert list(self.gradient(K[0].tolist()).params.values()) == pytest.approx(expected[0].tolist(), rel=1e-8)


def test_a_bouncing_ball_has_the_gradient_of_its_saltation_matrices():
    """Flow ``F(t) = [[1, t], [0, 1]]`` between impacts, ``S = [[-e, 0], [-g (1 + e) / v, -e]]`` at each, v before it.

    The state is (elapsed time, height, speed); an impact event computes its own time, so the derivative of *when* the
    ball meets the floor is part of the tape. A matrix that reflects the speed alone would miss it: the last assertion.
    """
    g, e, height, speed, horizon = 9.81, 0.8, 1.0, 0.3, 2.5

    def impact_time(h, v):
        return (v + detrun.sqrt(v * v + 2.0 * g * h)) / g

    def apply(state, event):
        elapsed, h, v = state
        if event == "impact":
            t = impact_time(h, v)
            return elapsed + t, h + v * t - 0.5 * g * t * t, -e * (v - g * t)
        t = horizon - elapsed
        return elapsed + t, h + v * t - 0.5 * g * t * t, v - g * t

    machine = detrun.StateMachine(apply, (0.0, height, speed))
    matrix = naive = np.eye(2)
    elapsed, h, v = 0.0, height, speed
    while (t := impact_time(max(h, 0.0), v)) + elapsed < horizon:
        machine.dispatch("impact")
        before = v - g * t
        flow = np.array([[1.0, t], [0.0, 1.0]])
        matrix = np.array([[-e, 0.0], [-g * (1 + e) / before, -e]]) @ flow @ matrix
        naive = np.array([[1.0, 0.0], [0.0, -e]]) @ flow @ naive
        elapsed, h, v = elapsed + t, 0.0, -e * before
    machine.dispatch("end")
    assert len(machine.events) >= 4
    flow = np.array([[1.0, horizon - elapsed], [0.0, 1.0]])
    matrix, naive = flow @ matrix, flow @ naive
    for place in (0, 1):
        found = machine.gradient(lambda state, place=place: state[1 + place], snapshots=2, window=1).initial_state[1:]
        assert found == pytest.approx(tuple(matrix[place]), rel=1e-7)
        assert found != pytest.approx(tuple(naive[place]), rel=1e-2)


def test_the_hypergradient_of_adam_is_that_of_torch_unrolled():
    """``d (loss after 60 steps) / d (rate, beta1, beta2, start)``, torch in double precision, the same update."""
    torch = pytest.importorskip("torch")
    rows = [(1.0, 0.5), (0.3, -1.2), (-0.7, 0.9)]
    targets = [1.0, -0.5, 0.2]

    def residuals(w):
        return [row[0] * w[0] + row[1] * w[1] - target for row, target in zip(rows, targets, strict=True)]

    def adam(state, number, p):
        w, m, s = state
        row, residual = rows[number % 3], residuals(w)[number % 3]
        after_w, after_m, after_s = [], [], []
        for i in (0, 1):
            slope = 2.0 * residual * row[i]
            m_i = p["beta1"] * m[i] + (1.0 - p["beta1"]) * slope
            s_i = p["beta2"] * s[i] + (1.0 - p["beta2"]) * slope * slope
            m_hat = m_i / (1.0 - p["beta1"] ** (number + 1))
            s_hat = s_i / (1.0 - p["beta2"] ** (number + 1))
            after_w.append(w[i] - p["rate"] * m_hat / (s_hat**0.5 + 1e-8))
            after_m.append(m_i)
            after_s.append(s_i)
        return after_w, after_m, after_s

    def loss(state):
        a, b, c = residuals(state[0])
        return a * a + b * b + c * c

    numbers = {"rate": 0.05, "beta1": 0.9, "beta2": 0.99}
    start = [0.4, -0.3]
    machine = detrun.StateMachine(adam, (start, [0.0, 0.0], [0.0, 0.0]), params=numbers)
    machine.dispatch_all(range(60))
    gradient = machine.gradient(loss, ("initial state", "params"), snapshots=3, window=7)

    tensors = {name: torch.tensor(one, dtype=torch.float64, requires_grad=True) for name, one in numbers.items()}
    begin = [torch.tensor(one, dtype=torch.float64, requires_grad=True) for one in start]
    zero = torch.zeros((), dtype=torch.float64)
    state = (begin, [zero, zero], [zero, zero])
    for number in range(60):
        state = adam(state, number, tensors)
    found = torch.autograd.grad(loss(state), [*tensors.values(), *begin])
    mine = [*gradient.params.values(), *gradient.initial_state[0]]
    assert mine == pytest.approx([one.item() for one in found], rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 80))
def test_a_token_bucket_gains_by_its_rate_only_since_it_was_last_full(seed, count):
    """``tokens = min(capacity, tokens + rate dt) - cost``: ``d tokens / d rate`` is the time since it was last full,
    ``d tokens / d capacity`` is 1 if it ever was.
    """
    draw = random.Random(seed)
    arrivals = [(draw.expovariate(1.0), draw.uniform(0.0, 1.5)) for _ in range(count)]

    def arrive(tokens, event, p):
        dt, cost = event
        return detrun.minimum(p["capacity"], tokens + p["rate"] * dt) - cost

    machine = detrun.StateMachine(arrive, 1.0, params={"rate": 0.7, "capacity": 2.0})
    machine.dispatch_all(arrivals)
    gradient = machine.gradient(lambda tokens: tokens, ("params", "initial state"), **IN_WINDOWS)
    tokens, since_full, was_full = 1.0, 0.0, False
    for dt, cost in arrivals:
        since_full += dt
        tokens += 0.7 * dt
        if tokens > 2.0:
            tokens, since_full, was_full = 2.0, 0.0, True
        tokens -= cost
    assert gradient.params["rate"] == pytest.approx(since_full, rel=1e-12)
    assert gradient.params["capacity"] == float(was_full)
    assert gradient.initial_state == float(not was_full)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 80))
def test_a_leaky_bucket_is_a_lindley_recursion(seed, count):
    """``level = max(0, level - rate dt) + size``: ``d level / d rate`` is minus the time since it was last empty, and
    every size that came in since then counts 1, every earlier one 0.
    """
    draw = random.Random(seed)
    arrivals = [(draw.expovariate(1.0), draw.uniform(0.0, 1.5)) for _ in range(count)]

    def arrive(level, event, p):
        dt, size = event
        return detrun.maximum(0.0, level - p["rate"] * dt) + size

    machine = detrun.StateMachine(arrive, 0.5, params={"rate": 0.8})
    machine.dispatch_all(arrivals)
    gradient = machine.gradient(lambda level: level, ("params", "events"), **IN_WINDOWS)
    level, since_empty, first_counting = 0.5, 0.0, 0
    for number, (dt, size) in enumerate(arrivals):
        since_empty += dt
        level -= 0.8 * dt
        if level < 0.0:
            level, since_empty, first_counting = 0.0, 0.0, number
        level += size
    assert gradient.params["rate"] == pytest.approx(-since_empty, rel=1e-12)
    assert [adjoints[1] for adjoints in gradient.events] == [float(n >= first_counting) for n in range(count)]


@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 60))
def test_stochastic_gradient_descent_with_stale_gradients_obeys_the_delayed_adjoint_recursion(seed, steps):
    """``x_{k+1} = x_k - eta a x_{k-d_k}``. Backward, with ``l_n = 1``:
    ``l_k = l_{k+1} - eta a sum of l_{j+1} over all j with j - d_j = k``, and
    ``d x_n / d eta = - sum of l_{k+1} a x_{k-d_k}``.
    """
    draw = random.Random(seed)
    staleness_max, eta, a = 5, 0.1, 1.3
    staleness = [draw.randint(0, min(k, staleness_max)) for k in range(steps)]

    def descend(recent, stale, p):
        new = recent[-1] - p["eta"] * (a * recent[-1 - stale])
        return [*recent, new][-1 - staleness_max :]

    machine = detrun.StateMachine(descend, [2.0], params={"eta": eta})
    machine.dispatch_all(staleness)
    gradient = machine.gradient(lambda recent: recent[-1], ("params", "initial state"), **IN_WINDOWS)
    x = [2.0]
    for k, stale in enumerate(staleness):
        x.append(x[k] - eta * a * x[k - stale])
    adjoint = [0.0] * steps + [1.0]
    for k in range(steps - 1, -1, -1):
        readers = [j for j in range(k, steps) if j - staleness[j] == k]
        adjoint[k] = adjoint[k + 1] - eta * a * sum(adjoint[j + 1] for j in readers)
    by_eta = -sum(adjoint[k + 1] * a * x[k - staleness[k]] for k in range(steps))
    assert gradient.initial_state == [pytest.approx(adjoint[0], rel=1e-9, abs=1e-12)]
    assert gradient.params["eta"] == pytest.approx(by_eta, rel=1e-9, abs=1e-12)


def test_exploding_adjoints_are_diagnosed():
    """``x' = 1.05 x``: the adjoint grows by 1.05^5000, about 1e106."""
    machine = detrun.StateMachine(lambda x, event: x * 1.05, 1e-100)
    machine.dispatch_all([None] * 5000)
    gradient = machine.gradient(lambda x: x, snapshots=5, window=100)
    assert "explode" in gradient.warnings[0]
    assert gradient.diagnostics.adjoint_growth[-1][1] > 1e100
