"""Comparisons whose last draw decides nothing where they flip: jumps count on the line of an earlier draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun
from detrun.ad.value import primal_of
from detrun.execution.options import Options
from detrun.gradients.expected.mixing import Mixing
from detrun.gradients.expected.taped_run import TapedRun
from detrun.gradients.sampling.program import SampledProgram


def of_jumps(margin: Callable[[Any], Any], at: float = 0.7, samples: int = 12, **options: Any) -> Any:
    """The gradient of P(margin > 0)."""

    def main(params: Any) -> Any:
        return 1.0 if margin(params["p"]) > 0.0 else 0.0

    return detrun.gradient(main, {"p": at}, kind="expected", samples=samples, **options)


def lines_of(p: Any, law: Callable[[], Any], of: Callable[[Any, Any, Any], Any]) -> Any:
    x = detrun.exponential()
    return of(x, law(), p)


LAWS: list[Callable[[], Any]] = [
    detrun.uniform,
    detrun.exponential,
    lambda: detrun.lognormal(-1.0, 0.5),
    lambda: 1.0 + detrun.uniform(),
]
TRUTH = math.exp(-0.7)  # of what comes out otherwise where an exponential draw is p


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    ("of", "sign"),
    [
        # A common factor, on one side and on both.
        (lambda x, y, p: (x - p) * y, -1.0),
        (lambda x, y, p: p * y - x * y, 1.0),
        (lambda x, y, p: (x - p) * y**3, -1.0),
        (lambda x, y, p: (x - p) * detrun.exp(-y), -1.0),
        # Products and quotients that share a draw.
        (lambda x, y, p: x * y / p - y, -1.0),
        (lambda x, y, p: y / p - y / x, -1.0),
        (lambda x, y, p: detrun.exp(x + y) - detrun.exp(p + y), -1.0),
        # The later draw is there twice, once beside the earlier one: (x - p) (x + y), less than nothing for no x.
        (lambda x, y, p: x * (x + y + 2.0) - p * (x + y + 2.0), -1.0),
        # Where it would flip along the later draw lies at the end of what that can be, or behind it.
        (lambda x, y, p: (x - p) * (y + 1e-12), -1.0),
        (lambda x, y, p: (p - x) * (y + 0.5), 1.0),
    ],
)
def test_a_factor_that_no_draw_makes_zero_decides_nothing(
    law: Callable[[], Any], of: Callable[[Any, Any, Any], Any], sign: float
) -> None:
    """P(x > p) or P(x < p) for an exponential x: no sample deviates."""
    found = of_jumps(lambda p: lines_of(p, law, of), samples=3)
    assert found.grads["p"] == pytest.approx(sign * TRUTH, rel=1e-6)
    assert found.std_error["p"] < 1e-6


def test_the_last_of_its_support_is_a_root_that_is_never_crossed() -> None:
    """(u - 1) is below 0 for every uniform u, so (u - 1) (x - p) > 0 is x < p: the root in u is its end."""
    found = of_jumps(lambda p: lines_of(p, detrun.uniform, lambda x, u, p: (u - 1.0) * (x - p)), samples=6)
    assert found.grads["p"] == pytest.approx(TRUTH, rel=1e-6)


def test_both_factors_may_flip_each_on_the_line_of_its_draw() -> None:
    """P((x - p) (y - 2 p) > 0) = A B + (1 - A) (1 - B), with A = exp(-p) and B = exp(-2 p): slopes -A and -2 B."""
    found = of_jumps(lambda p: lines_of(p, detrun.exponential, lambda x, y, p: (x - p) * (y - 2.0 * p)), samples=60)
    a, b = math.exp(-0.7), math.exp(-1.4)
    truth = -a * (2 * b - 1) - 2 * b * (2 * a - 1)
    assert abs(found.grads["p"] - truth) <= 4 * found.std_error["p"] <= 0.4


def test_a_product_of_draws_counts_on_the_last_alone() -> None:
    """P(X Y > p) for uniform X, Y is 1 - p + p log p: by p log p. Three of them: 1 - p (1 - log p + log² p / 2)."""
    two = of_jumps(lambda p: detrun.uniform() * detrun.uniform() - p, at=0.3, samples=80, pairs=3)
    assert abs(two.grads["p"] - math.log(0.3)) <= 4 * two.std_error["p"] <= 0.4
    three = of_jumps(lambda p: detrun.uniform() * detrun.uniform() * detrun.uniform() - p, at=0.3, samples=80, pairs=3)
    assert abs(three.grads["p"] + 0.5 * math.log(0.3) ** 2) <= 4 * three.std_error["p"] <= 0.4


def test_a_draw_whose_mean_is_a_draw_counts_on_the_last_alone() -> None:
    """P(E2 > p) given a mean of 1 + U: minus the mean of exp(-p/m)/m for m in (1, 2)."""
    found = of_jumps(lambda p: detrun.exponential(1.0 + detrun.uniform()) - p, samples=60, pairs=3)
    count = 2000
    means = [1.0 + (place + 0.5) / count for place in range(count)]
    truth = -math.fsum(math.exp(-0.7 / mean) / mean for mean in means) / count
    assert abs(found.grads["p"] - truth) <= 4 * found.std_error["p"] <= 0.2


def test_a_factor_of_three_draws() -> None:
    """(x y - p) z > 0 is x y > p whatever z is, for uniform draws."""
    found = of_jumps(
        lambda p: (detrun.uniform() * detrun.uniform() - p) * detrun.uniform(), at=0.3, samples=80, pairs=3
    )
    assert abs(found.grads["p"] - math.log(0.3)) <= 4 * found.std_error["p"] <= 0.4


def test_time_outs_in_proportion_to_a_draw() -> None:
    """A work of x y seconds is given up after p y: P(x < p)."""

    async def main(params: Any) -> Any:
        x, y = detrun.exponential(), detrun.uniform()
        with trio.move_on_after(params["p"] * y):
            await trio.sleep(x * y)
            return 1.0
        return 0.0

    found = detrun.gradient(main, {"p": 0.7}, kind="expected", samples=8)
    assert found.grads["p"] == pytest.approx(TRUTH, rel=1e-6)


def test_decisions_that_flip_at_one_point_are_one_jump() -> None:
    """Three draws later are compared, all of which flip with x: three times the density, from a run of either side."""

    def main(params: Any) -> Any:
        x = detrun.exponential()
        return sum(1.0 if x * y > params["p"] * y else 0.0 for y in (detrun.uniform() for _ in range(3)))

    found = detrun.gradient(main, {"p": 0.7}, kind="expected", samples=30)
    assert found.grads["p"] == pytest.approx(-3.0 * TRUTH, rel=1e-6)


def test_an_earlier_line_that_turns_back_is_named_only_where_it_may_count() -> None:
    """Along x (x - 1)² turns back: all of ``y (x - 1)² > p`` is seen along y, nothing of ``((x - 1)² - p) y > 0``."""
    seen = of_jumps(lambda p: lines_of(p, detrun.exponential, lambda x, y, p: y * (x - 1.0) ** 2 - p), samples=12)
    assert seen.grads["p"] < 0.0
    with pytest.raises(detrun.NotDifferentiableError, match="not monotone"):
        of_jumps(lambda p: lines_of(p, detrun.exponential, lambda x, y, p: ((x - 1.0) ** 2 - p) * y))


@pytest.mark.parametrize(
    ("of", "truth"),
    [
        (lambda x, y: 3.0 * x * y + x - y, 3.0),
        (lambda x, y: x + y, 0.0),
        (lambda x, y: (x + y) / (1.0 + x * y), None),
        (lambda x, y: 2.0 / 3.0 * y / (x + y * x), None),
        (lambda x, y: x * 2.0 / (3.0 + y) + detrun.exp(x) - detrun.log(y), None),
        (lambda x, y: (x * x + y) * (y * 2.0 + x) * (x - y), None),
        (lambda x, y: detrun.exp(x * y), math.nan),
        (lambda x, y: (x + y) ** 2, math.nan),
    ],
)
def test_mixed_derivatives_are_those_of_differences(of: Callable[[Any, Any], Any], truth: float | None) -> None:
    """Of uniform draws, whose noise is the draw."""

    def main(params: Any) -> Any:
        return of(detrun.uniform(), detrun.uniform())

    program = SampledProgram(main, {"p": 1.0}, Options(draws=True, noises={}))
    run = TapedRun(program)
    program.run(program.params, 3, run)
    x, y = run.draws
    at_x, at_y = float(primal_of(x.outcome)), float(primal_of(y.outcome))
    h = 1e-4
    if truth is None:
        corners = [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]
        values = [sign * float(primal_of(of(at_x + a * h, at_y + b * h))) for a, b, sign in corners]
        truth = math.fsum(values) / (4 * h * h)
    assert run.loss_id is not None
    found = Mixing(run).of(y, x, {run.loss_id: 2.0})
    assert found == pytest.approx(2.0 * truth, rel=1e-5, abs=1e-9, nan_ok=True)
