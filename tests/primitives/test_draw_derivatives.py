"""Derivatives of probabilities of draws: score terms against differences of scipy's, and how far draws can move."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from scipy import stats

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.gradients.local import LocalOptions, local_gradient
from detrun.gradients.result import Gradient
from detrun.primitives.score_terms import ScoreTerms, Term
from detrun.races.watch import replayed_run

ADDRESS = ("main", 0)
P = 0.3
# A draw with the parameter p, an outcome of it, and the logarithm of its probability by p.
LAWS: list[tuple[str, Callable[[Any], Any], Any, Callable[[float], float]]] = [
    ("bernoulli", lambda p: detrun.bernoulli(p), True, lambda p: math.log(p)),
    ("bernoulli, no", lambda p: detrun.bernoulli(p), False, lambda p: math.log(1 - p)),
    ("poisson", lambda p: detrun.poisson(10 * p), 4, lambda p: stats.poisson(10 * p).logpmf(4)),
    ("poisson, none", lambda p: detrun.poisson(p), 0, lambda p: -p),
    ("binomial", lambda p: detrun.binomial(7, p), 3, lambda p: stats.binom(7, p).logpmf(3)),
    ("geometric", lambda p: detrun.geometric(p), 4, lambda p: stats.geom(p).logpmf(4)),
    ("choice", lambda p: detrun.choice(3, [p, 2 * p, 1.0]), 1, lambda p: math.log(2 * p / (3 * p + 1))),
    ("exponential", lambda p: detrun.exponential(p), 0.7, lambda p: stats.expon(scale=p).logpdf(0.7)),
    ("normal", lambda p: detrun.normal(p, 2 * p), 0.9, lambda p: stats.norm(p, 2 * p).logpdf(0.9)),
    (
        "lognormal",
        lambda p: detrun.lognormal(p, p),
        1.7,
        lambda p: stats.lognorm(p, 0, math.exp(p)).logpdf(1.7),
    ),
    ("uniform", lambda p: detrun.uniform(0, 2 * p), 0.1, lambda p: -math.log(2 * p)),
]


def with_terms(main: Callable[[Any], Any], *terms: Term, force: Any = None, **options: Any) -> Gradient:
    recording = detrun.record(main, {"p": P}, force=force, strategy="fifo").recording if force else None
    execution = replayed_run(recording) if recording is not None else NewRun(0, "fifo")
    return local_gradient(
        main, {"p": P}, execution, LocalOptions(of_run=Options(terms=ScoreTerms({ADDRESS: terms})), **options)
    )


@pytest.mark.parametrize(("name", "draw", "outcome", "log_probability"), LAWS, ids=[one[0] for one in LAWS])
def test_terms_have_the_derivatives_of_scipys_probabilities(
    name: str, draw: Callable[[Any], Any], outcome: Any, log_probability: Callable[[float], float]
) -> None:
    def main(params: Any) -> Any:
        draw(params["p"])
        return 5.0 + params["p"]

    h = 1e-5
    slope = (log_probability(P + h) - log_probability(P - h)) / (2 * h)
    found = with_terms(main, Term(3.0), force={ADDRESS: outcome})
    assert found.value == 5.0 + P
    assert found.grads["p"] == pytest.approx(1.0 + 3.0 * slope, rel=1e-7)
    by_probability = with_terms(main, Term(1.0, "probability", outcome))
    assert by_probability.grads["p"] - 1.0 == pytest.approx(slope * math.exp(log_probability(P)), rel=1e-7)


def test_terms_are_the_same_in_windows_and_in_forward_mode_and_for_tensor_losses() -> None:
    async def main(params: Any) -> Any:
        detrun.bernoulli(params["p"] * params["p"])
        total = 0.0
        for _ in range(3):
            await detrun.sleep(params["p"])
            total = total + params["p"] * 2.0
        return total

    terms = Term(2.0, "probability", True), Term(-1.0, "probability"), Term(10.0, "probability", False)
    # The coin falls on tails: 6 + (2 + 1 - 10) 2 p.
    expected = 6.0 + (2.0 + 1.0 - 10.0) * 2 * P
    assert with_terms(main, *terms).grads["p"] == pytest.approx(expected)
    assert with_terms(main, *terms, mode="forward").grads["p"] == pytest.approx(expected)
    assert with_terms(main, *terms, window=2, snapshots=2).grads["p"] == pytest.approx(expected)
    torch = pytest.importorskip("torch")

    def of_tensors(params: Any) -> Any:
        detrun.bernoulli(params["p"])
        return torch.tensor([1.0, 2.0]).sum() * params["p"]

    assert with_terms(of_tensors, Term(2.0, "probability", True)).grads["p"] == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("draw", "step"),
    [
        (lambda p: detrun.bernoulli(p), 0.999),
        (lambda p: detrun.geometric(p), 0.999),
        (lambda p: detrun.choice(4, [1.0, p, 0.5, 2 * p]), 0.999),
        # The margins of these are linear in the parameter to first order only: the draws below are near an end.
        (lambda p: detrun.poisson(10 * p), 0.9),
        (lambda p: detrun.binomial(9, p), 0.9),
    ],
)
def test_a_discrete_draw_moves_just_beyond_its_validity_and_not_before(draw: Callable[[Any], Any], step: float) -> None:
    def main(params: Any) -> Any:
        return draw(params["p"]) + params["p"]

    def outcome(p: float, unit: float) -> Any:
        return detrun.record(main, {"p": p}, force={ADDRESS: detrun.Unit(unit)}).result - p

    for start in (0.05, 0.35, 0.6, 0.9):
        run = detrun.record(main, {"p": P}, force={ADDRESS: detrun.Unit(start)}, draws=True)
        assert run.draws is not None
        law: Any = run.draws[0].law
        low, high = law.interval(run.draws[0].outcome)
        for unit in (low + 1e-3 * (high - low), high - 1e-3 * (high - low)):
            recording = detrun.record(main, {"p": P}, force={ADDRESS: detrun.Unit(unit)}).recording
            found = detrun.gradient(main, {"p": P}, recording=recording).validity["p"]
            here = outcome(P, unit)
            for sign, way in ((-1, found.down), (1, found.up)):
                inside = P + sign * way * step
                if way < (0.5 if step > 0.99 else 0.02) * P:  # farther away first order says nothing of counts
                    assert outcome(inside, unit) == pytest.approx(here)
                    assert outcome(P + sign * way / step, unit) != pytest.approx(here)


def test_a_watched_draw_with_values_allots_the_ids_of_an_unwatched_one() -> None:
    def main(params: Any) -> Any:
        detrun.choice(3, [params["p"], 1.0, 2.0])
        detrun.poisson(params["p"])
        return params["p"] * 2.0

    plain = detrun.gradient(main, {"p": P})
    windowed = detrun.gradient(main, {"p": P}, window=1)
    assert plain.grads == windowed.grads == {"p": 2.0}
