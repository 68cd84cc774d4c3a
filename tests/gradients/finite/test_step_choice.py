"""The chosen step of made-up pilots: a quotient ``b h^q`` with flips, where the best step has a closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from detrun.gradients.finite import step_choice
from detrun.gradients.finite.perturbed import CENTRAL, FORWARD, FREE, FROZEN
from detrun.gradients.finite.step_choice import SHARES, Pilot, chosen_share, scale
from detrun.gradients.sampling.program import OneRun
from detrun.gradients.sampling.sample import Sample

SMALL, MIDDLE, LARGE = SHARES


def pilot(*rows: tuple[float | None, float | None, float | None]) -> list[Sample]:
    return [Sample(0.0, {}, 1, 1, {"quotients": {"x": list(row)}}) for row in rows]


def spread(*means: float, at: tuple[float, float, float]) -> list[Sample]:
    """Two samples on either side of the means: a standard error of ``at``, a variance of twice its square each."""
    return pilot(*(tuple(mean + side * one for mean, one in zip(means, at, strict=True)) for side in (-1.0, 1.0)))  # type: ignore[arg-type]


def test_a_step_is_a_share_of_the_number_and_of_one_if_that_is_zero() -> None:
    assert (scale(-3.0), scale(0.0), scale(0.5)) == (3.0, 1.0, 0.5)


def test_where_nothing_flips_the_smallest_step_is_taken() -> None:
    assert chosen_share(pilot((1.0, 1.0, 1.0), (2.0, 2.0, 2.1)), "x", CENTRAL, 10) == SMALL
    assert chosen_share(pilot((1.0, 1.0, 1.0), (2.0, 2.0, 2.4)), "x", CENTRAL, 10) > SMALL


def test_steps_at_which_the_program_failed_are_left_out() -> None:
    assert chosen_share(pilot((0.0, None, None), (5.0, 9.0, None)), "x", CENTRAL, 10) == SMALL
    # Of the two that are left the means are equal; their difference has the standard error 3, each of them 1.5.
    best = (2 * 1.5**2 * MIDDLE / (4 * (3 / (MIDDLE**2 - SMALL**2)) ** 2 * 10)) ** 0.2
    assert chosen_share(pilot((0.0, 3.0, None), (3.0, 0.0, 1.0)), "x", CENTRAL, 10) == pytest.approx(best)


@pytest.mark.parametrize(("difference", "power"), [(CENTRAL, 2), (FORWARD, 1)])
@pytest.mark.parametrize("count", [50, 400])
def test_the_best_step_balances_the_jumps_and_the_bias(difference: str, power: int, count: int) -> None:
    """Variances a + c / h with c = 2 (e² of the middle - e² of the largest) / (1 / middle - 1 / largest)."""
    errors = (1.5, 1.2, 0.8)
    samples = spread(1.0, 1.0, 5.0, at=errors)
    jumps = 2 * (errors[1] ** 2 - errors[2] ** 2) / (1 / MIDDLE - 1 / LARGE)
    bias = 4.0 / (LARGE**power - MIDDLE**power)
    best = (jumps / (2 * power * bias**2 * count)) ** (1 / (2 * power + 1))
    assert SMALL < best < LARGE
    assert chosen_share(samples, "x", difference, count) == pytest.approx(best)


def test_where_the_middle_step_saw_fewer_flips_all_spread_at_the_largest_is_theirs() -> None:
    samples = spread(1.0, 1.0, 5.0, at=(0.0, 0.5, 0.8))
    jumps = 2 * 0.8**2 * LARGE
    bias = 4.0 / (LARGE**2 - MIDDLE**2)
    assert chosen_share(samples, "x", CENTRAL, 50) == pytest.approx((jumps / (4 * bias**2 * 50)) ** 0.2)


def test_a_bias_that_noise_hides_counts_as_the_noise() -> None:
    """The means at the two largest steps are equal; their difference has the standard error 0.4."""
    samples = spread(1.0, 1.0, 1.0, at=(0.5, 1.2, 0.8))
    jumps = 2 * (1.2**2 - 0.8**2) / (1 / MIDDLE - 1 / LARGE)
    bias = 0.4 / (LARGE**2 - MIDDLE**2)
    best = (jumps / (4 * bias**2 * 20_000)) ** 0.2
    assert best < LARGE
    assert chosen_share(samples, "x", CENTRAL, 20_000) == pytest.approx(best)


def test_the_steps_of_the_pilot_bound_the_choice() -> None:
    samples = spread(1.0, 1.0, 5.0, at=(1.5, 1.2, 0.8))
    assert chosen_share(samples, "x", CENTRAL, 10**12) == SMALL
    assert chosen_share(spread(1.0, 1.0, 1.001, at=(1.5, 0.8, 0.8)), "x", CENTRAL, 1) == LARGE
    # No spread at the largest step, so no jumps; and no difference at all between the two largest.
    assert chosen_share(pilot((0.0, 1.0, 3.0), (2.0, 1.0, 3.0)), "x", CENTRAL, 10) == LARGE
    assert chosen_share(pilot((0.0, 3.0, 3.0), (5.0, 1.0, 1.0)), "x", CENTRAL, 10) == LARGE


class Sloped:
    """Runs of ten steps whose loss is 3 and what x is moved by; above 0.05 they fail."""

    def base(self) -> OneRun:
        return OneRun(3.0, 7, 0)

    def allows(self, by: Mapping[str, float]) -> bool:
        return True

    def moved(self, by: Mapping[str, float]) -> OneRun:
        if by["x"] > 0.05:
            raise ValueError
        return OneRun(by["x"] if by["y"] else 3.0 + by["x"], 10, 0)


@pytest.mark.parametrize(
    ("difference", "schedule", "runs", "steps"),
    [(CENTRAL, FREE, 4, 40), (CENTRAL, FROZEN, 5, 47), (FORWARD, FREE, 3, 27), (FORWARD, FROZEN, 3, 27)],
)
def test_a_pilot_takes_both_sides_of_each_step_and_the_base_where_it_is_needed(
    difference: str, schedule: str, runs: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_choice, "runs_of", lambda program, seed, schedule: Sloped())
    far = 0.0 if difference == FORWARD else 1.0
    program: Any = None
    found = Pilot(program, difference, {"both": {"x": 1.0, "y": far}}, schedule).sample(1)
    (quotients,) = found.notes["quotients"].values()
    assert quotients == ([pytest.approx(1.0, rel=1e-9)] * 2 + [None] if difference == FORWARD else [1.0, 1.0, None])
    assert (found.runs, found.steps) == (runs, steps)


def test_a_program_that_fails_at_the_least_step_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_choice, "runs_of", lambda program, seed, schedule: Sloped())
    program: Any = None
    with pytest.raises(ValueError):
        Pilot(program, CENTRAL, {"x": {"x": 100.0, "y": 0.0}}).sample(1)
