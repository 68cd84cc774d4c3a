"""Places are chosen with the probabilities that are said, exactly: the comb is integrated over where it falls."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.gradients.expected.choosing import FLOOR, chosen, probabilities

WORTHS = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=12)


@settings(max_examples=60)
@given(worths=WORTHS, count=st.integers(1, 6))
def test_probabilities_sum_to_the_number_of_places_and_follow_their_worth(worths: list[float], count: int) -> None:
    shares = probabilities(worths, count)
    assert math.fsum(shares) == pytest.approx(min(count, len(worths)))
    assert all(0.0 < share <= 1.0 for share in shares)
    floor = FLOOR * math.fsum(worths) / len(worths)
    for worth, share in zip(worths, shares, strict=True):
        for other, other_share in zip(worths, shares, strict=True):
            if share < 1.0 and other_share < 1.0:
                assert share * max(other, floor) == pytest.approx(other_share * max(worth, floor))


@settings(max_examples=40)
@given(worths=WORTHS, count=st.integers(1, 4))
def test_a_place_is_hit_from_as_many_positions_of_the_comb_as_its_probability(worths: list[float], count: int) -> None:
    shares = probabilities(worths, count)
    # Between two borders nothing changes; these are where a tooth meets the end of a place.
    borders = sorted({0.0, 1.0, *(math.fsum(shares[:place]) % 1.0 for place in range(len(shares) + 1))})
    hit = [0.0] * len(shares)
    for low, high in itertools.pairwise(borders):
        found = chosen(shares, 0.5 * (low + high))
        assert len(found) == len(set(found))
        for place in found:
            hit[place] += high - low
    assert hit == pytest.approx(shares, abs=1e-9)


def test_what_has_no_finite_worth_keeps_its_chance() -> None:
    assert probabilities([math.inf, math.nan, 0.0], 1) == pytest.approx([1 / 3] * 3)
    assert probabilities([5.0, 1.0], 2) == [1.0, 1.0]


def test_a_choice_that_is_certain_is_not_tried_in_place_of_one_that_is_open() -> None:
    """Twelve choices by cost, of which one is open: its derivative is 2.5. Weights of the others move, too."""

    async def main(params: Any) -> float:
        found = 0.0
        for place in range(12):
            costs = [params["cost"], 1.0 if place == 7 else 100.0]
            found += float(detrun.choice(2, [cost**-10.0 for cost in costs]))
        return found

    found = detrun.gradient(main, {"cost": 1.0}, kind="expected", samples=25, pairs=1)
    assert abs(found.grads["cost"] - 2.5) < 4 * found.std_error["cost"]
    assert found.std_error["cost"] < 0.6  # 1.7, if all places are worth the same


@pytest.mark.parametrize("tiny", [0.0, 1e-17])
def test_an_option_that_no_draw_gives_is_passed_over_only_where_its_probability_stands_still(tiny: float) -> None:
    def main(weight: Any) -> Any:
        async def run(params: Any) -> float:
            return float(detrun.choice(2, [1.0, weight(params["p"])]))

        return run

    flat = detrun.gradient(main(lambda p: p**10), {"p": 0.01}, kind="expected", samples=3)
    assert flat.grads["p"] == 0.0  # it is 1e-19
    with pytest.raises(detrun.NotDifferentiableError, match="cannot force choice"):
        detrun.gradient(main(lambda p: p), {"p": tiny}, kind="expected", samples=3)
