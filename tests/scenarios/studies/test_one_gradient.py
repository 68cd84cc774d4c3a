"""One gradient: what the pipeline promises, each boundary against an oracle, and torch beside numbers."""

from __future__ import annotations

import math

import pytest

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.studies.one_gradient import SCENARIO
from detrun_scenarios.studies.one_gradient.pipeline import (
    CANDIDATES,
    CAP,
    FITS,
    TEMPERATURE,
    fitting,
    judge,
    plan,
    planned,
    retrieve,
)
from detrun_scenarios.studies.one_gradient.ranker import WEIGHTS, logistic, module
from detrun_scenarios.studies.one_gradient.requests import best_worth, drawn_documents
from detrun_scenarios.studies.one_gradient.workload import pipeline_of

pytestmark = pytest.mark.one_python


def test_a_plan_that_does_not_fit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "detrun_scenarios.studies.one_gradient.pipeline"
    monkeypatch.setattr(f"{module}.plan", lambda values, sizes, request: tuple(range(len(sizes))))

    def main():
        planned(drawn_documents(0), logistic(SCENARIO.defaults), 2.0, 0)

    with pytest.raises(AssertionViolatedError, match=FITS):
        detrun.record(main, seed=1)


def test_full_plans_are_those_of_all_subsets_into_which_nothing_fits() -> None:
    sizes, capacity = (1, 2, 3, 2, 3), 5
    subsets = [[place for place in range(5) if bits >> place & 1] for bits in range(32)]
    fits = [set(one) for one in subsets if sum(sizes[place] for place in one) <= capacity]
    full = [one for one in fits if not any(one < other for other in fits)]
    assert sorted(map(sorted, full)) == sorted(map(list, fitting(sizes, capacity)))


def test_what_was_missed_is_measured_from_the_best_of_all_subsets() -> None:
    def main():
        documents = drawn_documents(0)[:8]
        subsets = ([one for place, one in enumerate(documents) if bits >> place & 1] for bits in range(256))
        sums = [sum(one.worth for one in chosen) for chosen in subsets if sum(one.size for one in chosen) <= 5]
        return best_worth(documents, 5), max(sums)

    for seed in range(5):
        best, brute = detrun.record(main, seed=seed).result
        assert best == pytest.approx(brute, rel=1e-12)


def test_the_gradient_of_a_plan_is_that_of_the_sum_over_all_plans() -> None:
    """Within four standard errors: by chance once in 16,000 seeds, and the seed is fixed."""
    sizes, worth, slopes = (1, 2, 2, 3), (0.3, 0.9, 0.5, 1.4), (0.5, 1.0, -1.0, 0.7)

    def values(weight):
        return [0.5 + slope * weight for slope in slopes]

    def main(params):
        return sum(worth[place] for place in plan(values(params["weight"]), sizes, 0))

    def mean(weight):
        plans = fitting(sizes, 5)
        weights = [math.exp(sum(values(weight)[at] * sizes[at] for at in one) / TEMPERATURE) for one in plans]
        return sum(w * sum(worth[at] for at in one) for w, one in zip(weights, plans, strict=True)) / sum(weights)

    exact = (mean(0.1001) - mean(0.0999)) / 0.0002
    for kind in ("local", "expected"):
        found = detrun.gradient(main, {"weight": 0.1}, kind=kind, samples=400)
        assert abs(found.grads["weight"] - exact) < 4.0 * found.std_error["weight"]
        assert found.std_error["weight"] < 0.2 * abs(exact)


def test_the_gradient_of_retrieval_is_that_of_the_score_of_its_draws() -> None:
    """The mean match of the first candidate, whose distribution is a softmax: d/dfocus of it is a variance."""

    def main(params):
        documents = drawn_documents(0)
        chosen = [documents[one] for one in retrieve(documents, params["focus"], 0)]
        return sum(one.match for one in chosen) / CANDIDATES

    found = detrun.gradient(main, {"focus": 2.0}, kind="expected", samples=150)
    sides = [
        [float(detrun.record(main, {"focus": 2.0 + by}, seed=10_000 + seed).result) for seed in range(150)]
        for by in (-0.6, 0.6)
    ]
    quotients = [(above - below) / 1.2 for below, above in zip(*sides, strict=True)]
    difference = sum(quotients) / 150
    error = math.sqrt(sum((one - difference) ** 2 for one in quotients)) / 150
    assert abs(found.grads["focus"] - difference) < 4.0 * math.hypot(error, found.std_error["focus"])
    assert difference > 6.0 * error


def test_rules_cap_and_round_and_their_slope_is_that_of_what_they_round() -> None:
    assert judge(0.97, 0.5) == pytest.approx(CAP)
    assert judge(0.512, 0.5) == pytest.approx(0.5)
    assert judge(0.512, 0.1) == pytest.approx(0.6)

    def main(params):
        return judge(params["score"] + 0.3 * detrun.uniform(), 0.5)

    found = detrun.gradient(main, {"score": 0.2}, samples=50)  # never at the cap, so that the mean moves as the score
    assert found.grads["score"] == pytest.approx(1.0, abs=1e-9)


def test_a_ranker_of_torch_has_the_gradient_of_the_one_of_numbers_beside_that_of_the_time_outs() -> None:
    """The same draws and the same scores to rounding, so that every decision is the same: 1e-9 of the gradients."""
    torch = pytest.importorskip("torch")
    weights = [1.1, 0.9, -0.2]
    layer = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
    layer.weight.data = torch.tensor([weights], dtype=torch.float64)

    def loss_of(program):
        async def main(params):
            return (await program(params))["missed_reward"]

        return main

    shared = {"focus": 2.0, "timeout": 0.4, "backoff": 0.05}
    options = {"kind": "expected", "samples": 3, "pairs": 2}
    ours = detrun.gradient(
        loss_of(pipeline_of(1, logistic, False)), {**shared, **dict(zip(WEIGHTS, weights, strict=True))}, **options
    )
    theirs = detrun.gradient(loss_of(pipeline_of(1, module, False)), {**shared, "ranker": layer}, **options)
    found = theirs.grads["ranker"]["weight"].flatten().tolist()
    assert found == pytest.approx([float(ours.grads[name]) for name in WEIGHTS], rel=1e-9)
    assert any(abs(one) > 1e-3 for one in found)
    for name in shared:
        assert theirs.grads[name] == pytest.approx(ours.grads[name], rel=1e-9)
