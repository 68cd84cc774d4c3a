"""Jumps that no sample saw: the result says how much they may be worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import detrun
from detrun.gradients.expected.unseen import Looks, Place, Unseen
from detrun.gradients.sampling.statistics import Estimate


def main(params: Mapping[str, Any]) -> Any:
    """Thirty comparisons that change nothing, and one that does; the derivative of the mean is 1 - 10 exp(-1/2)."""
    passed = sum(detrun.exponential(1.0) > params["x"] for _ in range(30))
    assert passed >= 0
    return params["x"] + (10.0 if detrun.exponential(1.0) > params["x"] else 0.0)


def test_jumps_that_are_rare_among_the_places_tried_are_told_of_though_the_standard_error_is_0() -> None:
    found = detrun.gradient(main, {"x": 0.5}, kind="expected", samples=6, pairs=1, seed=3)
    assert found.grads["x"] == pytest.approx(1.0)
    assert found.std_error["x"] == pytest.approx(0.0)
    (warning,) = found.warnings
    assert warning.startswith("d/dx may be off by up to ")
    assert "the loss of a run may jump at 31 places" in warning
    assert f"{__file__}:19" in warning
    assert found.details is not None
    assert found.details.as_data()["missed"]["x"] > 10.0 * 0.61


def test_a_run_whose_places_are_all_tried_has_nothing_unseen() -> None:
    found = detrun.gradient(main, {"x": 0.5}, kind="expected", samples=6, pairs=31, seed=3)
    assert found.warnings == []
    assert found.grads["x"] == pytest.approx(1.0 - 10.0 * 0.607, abs=0.01)


def test_kinds_are_held_against_one_that_missed_nothing() -> None:
    options = {"expected": {"pairs": 1}, "finite": {"step": 0.2}}
    compared = detrun.compare_gradients(
        main, {"x": 0.5}, kinds=("local", "expected", "finite"), samples=6, seed=3, options=options
    )
    assert compared.reference == "finite"
    assert compared.advised == "finite"


def look(*jumps: float, chance: float = 0.25, share: float = 0.5) -> Looks:
    looks = Looks()
    looks.has(Place("here", {"x": 4.0}, chance), share)
    for jump in jumps:
        looks.tried("here", 1.0, 1.0 + jump)
    return looks


def test_what_may_be_missed_is_a_share_of_what_was_not_tried_times_a_jump() -> None:
    # 4 / 0.5 of worth, three quarters of it untried; jumps like the spread of the losses; 3 of 30 tries.
    unseen = Unseen.of([look(0.0, 1e-9, 0.0)] * 10, [1.0, 3.0], {"x": 2.0})
    assert (unseen.sites, unseen.tries, unseen.places) == (["here"], 30, 2.0)
    assert unseen.bounds == {"x": pytest.approx(6.0 * 1.0 * 3.0 / 30.0 / 2.0)}
    assert unseen.missed({"x": Estimate(0.0, 0.1, 10)}) == unseen.bounds
    assert unseen.missed({"x": Estimate(0.0, 0.2, 10)}) == {}  # covered by two standard errors
    assert unseen.missed({"x": Estimate(2.0, 0.0, 10)}) == {}  # small beside the derivative


def test_nothing_is_unseen_where_the_loss_was_seen_to_jump() -> None:
    assert Unseen.of([look(0.0, 0.5)] * 10, [1.0, 3.0], {"x": 2.0}).bounds == {"x": 0.0}


def test_draws_that_a_number_tells_apart_are_one_site() -> None:
    """Each has a key of its own, and is seldom tried; that all of them jump is soon seen."""

    def keyed(params: Mapping[str, Any]) -> float:
        return float(sum(detrun.bernoulli(params["p"], key=("coin", "10.0.0.4", number)) for number in range(20)))

    found = detrun.gradient(keyed, {"p": 0.5}, kind="expected", samples=8)
    assert found.warnings == []
    assert found.grads["p"] == pytest.approx(20.0)
