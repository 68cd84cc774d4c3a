"""Programs of many tasks whose gradient is known in closed form, the same for every interleaving."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun

SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.integers(2, 5), st.integers(1, 6))
def test_gossip_preserves_the_mean_under_any_interleaving(seed: int, nodes: int, rounds: int) -> None:
    """Pairwise averaging is doubly stochastic: 1ᵀW = 1ᵀ, so d mean / d xᵢ = 1/n after any sequence of exchanges."""

    async def main(params: dict[str, Any]) -> Any:
        states = [params[f"x{index}"] for index in range(nodes)]

        async def gossip(index: int) -> None:
            for _ in range(rounds):
                await trio.lowlevel.checkpoint()
                peer = (index + 1 + detrun.choice(nodes - 1)) % nodes
                average = (states[index] + states[peer]) * 0.5
                states[index] = states[peer] = average

        async with trio.open_nursery() as nursery:
            for index in range(nodes):
                nursery.start_soon(gossip, index)
        return detrun.mean(states)

    params = {f"x{index}": float(index * index) for index in range(nodes)}
    found = detrun.gradient(main, params, seed=seed)
    assert found.value == pytest.approx(sum(params.values()) / nodes)
    # Each exchange halves and adds: exact in binary but for the final division by n.
    assert found.grads == pytest.approx(dict.fromkeys(params, 1 / nodes), rel=1e-12)


@given(SEEDS, st.integers(1, 3), st.integers(1, 8))
@settings(max_examples=30)
def test_asynchronous_gradient_descent_has_the_delayed_adjoint_recursion(seed: int, workers: int, turns: int) -> None:
    """On f = h/2 w², an update made from a stale read: w[k+1] = w[k] - η h w[s(k)]. With ḡ[n] = w[n] (loss w²/2):
    the adjoint runs back λ[k] += λ[k+1], λ[s(k)] -= η h λ[k+1], and dL/dη = -Σ h w[s(k)] λ[k+1].
    """
    curvature, start, rate = 0.8, 2.0, 0.3
    reads: list[int] = []

    async def main(params: dict[str, Any]) -> Any:
        weight = detrun.Shared(params["start"])
        version = 0
        reads.clear()

        async def worker() -> None:
            nonlocal version
            for _ in range(turns):
                seen, read_at = weight.value, version
                await trio.lowlevel.checkpoint()
                weight.value = weight.value - params["rate"] * (curvature * seen)
                reads.append(read_at)
                version += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(workers):
                nursery.start_soon(worker)
        return weight.value * weight.value * 0.5

    found = detrun.gradient(main, {"start": start, "rate": rate}, seed=seed)
    weights = [start]
    for read_at in reads:
        weights.append(weights[-1] - rate * curvature * weights[read_at])
    adjoints = [0.0] * len(weights)
    adjoints[-1] = weights[-1]
    by_rate = 0.0
    for step in reversed(range(len(reads))):
        incoming = adjoints[step + 1]
        adjoints[step] += incoming
        adjoints[reads[step]] -= rate * curvature * incoming
        by_rate -= curvature * weights[reads[step]] * incoming
    assert found.value == pytest.approx(weights[-1] ** 2 / 2)
    assert found.grads == pytest.approx({"start": adjoints[0], "rate": by_rate}, rel=1e-10, abs=1e-12)


MASSES = (1.0, 0.5, 0.3)
SOFTENING = 0.01  # squared length
STEP = 0.01


def pull(places: Any, body: int) -> list[Any]:
    """``Σ m_j d / (d·d + ε)^(3/2)`` over the other bodies, ``d = x_j - x_i``."""
    total: list[Any] = [0.0, 0.0]
    for other, mass in enumerate(MASSES):
        if other != body:
            gap = [places[other][axis] - places[body][axis] for axis in (0, 1)]
            squared = gap[0] * gap[0] + gap[1] * gap[1] + SOFTENING
            weight = mass / (squared * detrun.sqrt(squared))
            total = [total[axis] + gap[axis] * weight for axis in (0, 1)]
    return total


def leapfrog_with_tangents(places: Any, speeds: Any, moved: Any, sped: Any, turns: int) -> tuple[Any, Any, Any, Any]:
    """Kick, drift, kick in numpy, of the bodies and of their tangents, written out by hand:
    ``δF_i = Σ m_j (δd / s³ - 3 d (d·δd) / s⁵)`` with ``s² = d·d + ε``.
    """

    def forces() -> tuple[Any, Any]:
        gap = places[None] - places[:, None]
        gap_moved = moved[None] - moved[:, None]
        root = numpy.sqrt((gap**2).sum(-1, keepdims=True) + SOFTENING)
        masses = numpy.array(MASSES)[None, :, None]
        along = (gap * gap_moved).sum(-1, keepdims=True)
        force = (masses * gap / root**3).sum(1)
        return force, (masses * (gap_moved / root**3 - 3.0 * gap * along / root**5)).sum(1)

    for _ in range(turns):
        for kick in (True, False):
            force, force_moved = forces()
            speeds, sped = speeds + force * STEP / 2, sped + force_moved * STEP / 2
            if kick:
                places, moved = places + speeds * STEP, moved + sped * STEP
    return places, speeds, moved, sped


def test_bodies_as_tasks_agree_with_tangent_propagation() -> None:
    """Three bodies, a task each, in leapfrog steps (kick, drift, kick) between barriers, against tangents carried along
    by hand: ``dL/dp = ∂L/∂x·δx + ∂L/∂v·δv`` for a loss of the last places and speeds.
    """
    turns = 20

    async def main(params: dict[str, Any]) -> Any:
        places: list[list[Any]] = [[0.0, 0.0], [params["x"], 0.0], [0.0, 2.0]]
        speeds: list[list[Any]] = [[0.0, 0.0], [0.0, params["v"]], [-0.6, 0.0]]
        arrived, gate = 0, trio.Event()

        async def together() -> None:
            nonlocal arrived, gate
            arrived += 1
            if arrived == len(MASSES):
                arrived = 0
                gate.set()
                gate = trio.Event()
            else:
                await gate.wait()

        async def body(index: int) -> None:
            for _ in range(turns):
                for kick in (True, False):
                    force = pull(places, index)
                    await together()
                    for axis in (0, 1):
                        speeds[index][axis] = speeds[index][axis] + force[axis] * (STEP / 2)
                        if kick:
                            places[index][axis] = places[index][axis] + speeds[index][axis] * STEP
                    await together()

        async with trio.open_nursery() as nursery:
            for index in range(len(MASSES)):
                nursery.start_soon(body, index)
        return places[1][0] * places[1][0] + places[2][1] * speeds[0][0]

    params = {"x": 1.0, "v": 1.1}
    found = detrun.gradient(main, params, seed=5)
    assert detrun.gradient(main, params, seed=5, mode="forward").grads == pytest.approx(found.grads, rel=1e-12)
    assert detrun.gradient(main, params, seed=5, snapshots=3, window=50).grads == found.grads
    for name, (row, column, of_speed) in {"x": (1, 0, False), "v": (1, 1, True)}.items():
        start = numpy.array([[0.0, 0.0], [params["x"], 0.0], [0.0, 2.0]])
        start_speed = numpy.array([[0.0, 0.0], [0.0, params["v"]], [-0.6, 0.0]])
        moved, sped = numpy.zeros((3, 2)), numpy.zeros((3, 2))
        (sped if of_speed else moved)[row, column] = 1.0
        x, v, dx, dv = leapfrog_with_tangents(start, start_speed, moved, sped, turns)
        assert found.value == pytest.approx(x[1, 0] ** 2 + x[2, 1] * v[0, 0], rel=1e-12)
        slope = 2 * x[1, 0] * dx[1, 0] + dx[2, 1] * v[0, 0] + x[2, 1] * dv[0, 0]
        assert found.grads[name] == pytest.approx(slope, rel=1e-9)


async def couplings(params: dict[str, Any]) -> Any:
    """L = a² b + sin(a b) + T², with T the clock after sleeping a·b."""

    async def sleeper() -> None:
        await trio.sleep(params["a"] * params["b"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper)
    a, b, now = params["a"], params["b"], trio.current_time()
    return a * a * b + detrun.sin(a * b) + now * now


def test_hessian_vector_products_of_a_program_agree_with_the_closed_form() -> None:
    """With p = ab: L = a²b + sin p + p²; H = [[2b + b²s, 2a + t + ab·s], [·, a²s]], s = 2 - sin p, t = cos p + 2p."""
    a, b = 0.7, 1.3
    product = a * b
    s, t = 2 - math.sin(product), math.cos(product) + 2 * product
    hessian = [[2 * b + b * b * s, 2 * a + t + product * s], [2 * a + t + product * s, a * a * s]]
    for direction in ({"a": 1.0}, {"b": 1.0}, {"a": 0.3, "b": -2.0}):
        found = detrun.hessian_vector_product(couplings, {"a": a, "b": b}, direction)
        u, v = direction.get("a", 0.0), direction.get("b", 0.0)
        assert found.product == pytest.approx(
            {"a": hessian[0][0] * u + hessian[0][1] * v, "b": hessian[1][0] * u + hessian[1][1] * v}
        )
        assert found.grads == pytest.approx(detrun.gradient(couplings, {"a": a, "b": b}).grads)
    with pytest.raises(detrun.UsageError, match="direction names 'c', but the parameters are a, b"):
        detrun.hessian_vector_product(couplings, {"a": a, "b": b}, {"c": 1.0})
