"""Controls leave the mean of samples as it was, and take off what samples share with them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.gradients.expected.controls import SAMPLES_MIN, controlled

NUMBERS = st.floats(-10.0, 10.0)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=SAMPLES_MIN, max_size=24)


@settings(max_examples=40)
@given(rows=ROWS, place=st.integers(0, SAMPLES_MIN - 1), moved=NUMBERS)
def test_what_is_taken_off_a_sample_does_not_depend_on_it(
    rows: list[tuple[float, float, float]], place: int, moved: float
) -> None:
    """And is in proportion to its controls, whose mean is 0: so the mean of the result is that of the samples."""
    given_controls = [row[1:] for row in rows]
    numbers = [row[0] for row in rows]
    taken = controlled(numbers, given_controls)[place] - numbers[place]
    others = [moved if one == place else number for one, number in enumerate(numbers)]
    assert controlled(others, given_controls)[place] - moved == pytest.approx(taken, rel=1e-6, abs=1e-6)
    doubled = [tuple(2 * one for one in row) if at == place else row for at, row in enumerate(given_controls)]
    assert controlled(numbers, doubled)[place] - numbers[place] == pytest.approx(2 * taken, rel=1e-6, abs=1e-6)


def test_what_samples_share_with_their_controls_is_taken_off() -> None:
    rows = [(float(one % 7), float(one % 5)) for one in range(30)]
    numbers = [4.0 + 3.0 * left - 2.0 * right for left, right in rows]
    centred = [(left - 3.0, right - 2.0) for left, right in rows]
    assert controlled(numbers, centred) == pytest.approx([4.0 + 9.0 - 4.0] * 30)
    assert controlled(numbers[:5], centred[:5]) == numbers[:5]
    assert controlled([1.0] * 20, [(float(one), 0.0) for one in range(20)]) == [1.0] * 20
    assert controlled(numbers, [(0.0, 0.0)] * 30) == numbers


def test_a_walks_squared_end_moves_with_its_heads_which_is_taken_off() -> None:
    """E[X²] = 4 n p (1-p) + n² (2p-1)². The pair at coin i is 4 times the end without i: in sum linear in the score.

    So nothing varies with all coins tried, where without controls a sample has a deviation of 78.
    """

    def walk(params: Any) -> Any:
        return float(sum(1 if detrun.bernoulli(params["p"]) else -1 for _ in range(8))) ** 2

    found = detrun.gradient(walk, {"p": 0.6}, kind="expected", samples=20, pairs=8)
    assert found.grads["p"] == pytest.approx(4 * 8 * (1 - 1.2) + 4 * 64 * 0.2)
    assert found.std_error["p"] < 1e-9


def test_continuous_draws_are_controls_by_their_score_or_by_their_noise() -> None:
    """E[2 m z + s exp(y / 10)], z exponential and y normal: 2 by m without noise, exp(0.005) by s with nearly none."""

    def main(params: Any) -> Any:
        return 2.0 * detrun.exponential(params["m"]) + params["s"] * detrun.lognormal(0.0, 0.1)

    found = detrun.gradient(main, {"m": 1.0, "s": 0.5}, kind="expected", samples=40)
    assert found.grads["m"] == pytest.approx(2.0)
    assert found.std_error["m"] < 1e-9
    assert abs(found.grads["s"] - math.exp(0.005)) <= 4 * found.std_error["s"] < 0.012
