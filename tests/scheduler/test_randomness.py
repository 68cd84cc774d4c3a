"""Draws are pure functions, and each transform inverts its distribution function."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from random import Random
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun_scheduler import randomness
from detrun_scheduler.errors import UsageError


def test_a_generator_that_is_seeded_again_is_as_a_new_one() -> None:
    used = Random(5)
    used.gauss(0, 1)  # which keeps a second number
    for seed in (0, 1, 2**70, -3):
        randomness.seed_again(used, seed)
        new = Random(seed)
        assert [used.random(), used.gauss(0, 1), used.getrandbits(70)] == [
            new.random(),
            new.gauss(0, 1),
            new.getrandbits(70),
        ]


bits = st.integers(0, 2**64 - 1)
open_units = bits.map(randomness.to_open_unit)
STREAM = randomness.stream_key(7, "test")


class Dual:
    """A number with a tangent: an independent stand-in for a differentiable parameter."""

    def __init__(self, primal: float, tangent: float = 0.0) -> None:
        self.primal, self.tangent = primal, tangent

    def _lift(self, other: Any) -> Dual:
        return other if isinstance(other, Dual) else Dual(other)

    def __add__(self, other: Any) -> Dual:
        other = self._lift(other)
        return Dual(self.primal + other.primal, self.tangent + other.tangent)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        return self + self._lift(other) * -1.0

    def __mul__(self, other: Any) -> Dual:
        other = self._lift(other)
        return Dual(self.primal * other.primal, self.primal * other.tangent + self.tangent * other.primal)

    __rmul__ = __mul__

    def exp(self) -> Dual:
        return Dual(math.exp(self.primal), math.exp(self.primal) * self.tangent)

    def __float__(self) -> float:
        raise AssertionError("a transform must not detach its parameter")

    def __lt__(self, other: Any) -> bool:
        raise AssertionError("a transform must not branch on its parameter")

    __le__ = __gt__ = __ge__ = __lt__


def test_keys_and_draws_never_change_between_releases() -> None:
    """Recordings name draws by these numbers, so another value here breaks every recording."""
    assert randomness.stream_key(0, "main").hex() == "4f0f0b79b404f98b342793a4350ba691ba19d2c18407f1f92d2092d450b1409c"
    assert randomness.draw_bits(randomness.stream_key(0, "main"), 0) == 2729121722602231801
    assert randomness.derived_seed(-5, "numpy") == 17313256988690601688


@given(st.lists(st.tuples(st.integers(), st.text()), unique=True, min_size=2, max_size=8))
def test_streams_of_different_seed_or_name_have_different_keys(names: list[tuple[int, str]]) -> None:
    assert len({randomness.stream_key(seed, name) for seed, name in names}) == len(names)


def test_a_huge_seed_and_a_lone_surrogate_are_accepted() -> None:
    assert len(randomness.stream_key(10**5000, "\ud800")) == 32


def test_a_draw_depends_on_its_index_alone_and_not_on_what_was_drawn_before() -> None:
    forward = [randomness.draw_bits(STREAM, index) for index in range(100)]
    backward = [randomness.draw_bits(STREAM, index) for index in reversed(range(100))]
    assert forward == backward[::-1]
    assert len(set(forward)) == 100


def test_the_bytes_of_draws_are_uniform() -> None:
    """Chi-square over 256 byte values, fixed seed; a correct generator fails for one seed in 10**4."""
    counts = Counter(byte for index in range(8000) for byte in randomness.draw_bits(STREAM, index).to_bytes(8, "big"))
    expected = 8000 * 8 / 256
    statistic = sum((counts[value] - expected) ** 2 / expected for value in range(256))
    assert 178 < statistic < 346  # the 0.5e-4 tails of chi-square with 255 degrees of freedom


@given(bits)
def test_units_lie_where_they_are_promised(number: int) -> None:
    assert 0.0 <= randomness.to_unit(number) < 1.0
    assert 0.0 < randomness.to_open_unit(number) < 1.0
    assert randomness.to_open_unit(2**64 - 1 - number) == 1.0 - randomness.to_open_unit(number)


def test_units_at_the_ends_of_the_range() -> None:
    assert randomness.to_unit(0) == 0.0
    assert randomness.to_unit(2**64 - 1) == 1.0 - 2.0**-53
    assert randomness.to_open_unit(0) == 2.0**-53


@given(open_units, st.floats(0.01, 100), st.floats(-10, 10), st.floats(0.01, 3))
def test_each_continuous_transform_inverts_its_distribution_function(
    unit: float, mean: float, location: float, scale: float
) -> None:
    assert -math.expm1(-randomness.exponential(unit, mean) / mean) == pytest.approx(unit, rel=1e-9, abs=1e-12)
    distribution = NormalDist(location, scale)
    assert distribution.cdf(randomness.normal(unit, location, scale)) == pytest.approx(unit, rel=1e-6, abs=1e-9)
    logarithm = math.log(randomness.lognormal(unit, location, scale))
    assert distribution.cdf(logarithm) == pytest.approx(unit, rel=1e-6, abs=1e-9)
    sample = randomness.uniform(unit, location, location + scale)
    assert (sample - location) / scale == pytest.approx(unit, abs=1e-9)
    assert location <= sample <= location + scale


@pytest.mark.parametrize(
    ("sample", "point"),
    [
        (randomness.uniform, (1.0, 4.0)),
        (randomness.exponential, (2.5,)),
        (randomness.normal, (1.0, 0.5)),
        (
            lambda unit, *p: randomness.lognormal(unit, *p, lambda x: x.exp() if hasattr(x, "exp") else math.exp(x)),
            (0.3, 0.7),
        ),
    ],
    ids=["uniform", "exponential", "normal", "lognormal"],
)
def test_continuous_samples_carry_the_derivative_in_each_parameter(sample: Any, point: tuple[float, ...]) -> None:
    """Against central differences, through a parameter type that forbids comparing and detaching."""
    step = 1e-6
    for unit in (0.01, 0.3, 0.5, 0.97):
        for index in range(len(point)):
            duals = [Dual(value, float(index == place)) for place, value in enumerate(point)]
            up, down = (
                sample(unit, *(value + sign * step * (index == place) for place, value in enumerate(point)))
                for sign in (1, -1)
            )
            assert sample(unit, *duals).tangent == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-8)


def poisson_oracle(unit: float, mean: float) -> int:
    """The smallest k with F(k) > unit, in 60-digit arithmetic from k = 0 upward."""
    with localcontext() as context:
        context.prec = 60
        rate = Decimal(mean)
        term = cumulative = (-rate).exp()
        count = 0
        while cumulative <= Decimal(unit):
            count += 1
            term = term * rate / count
            cumulative += term
        return count


@given(bits.map(randomness.to_unit), st.floats(0.0, 60.0))
def test_poisson_is_the_inverse_of_its_distribution_function(unit: float, mean: float) -> None:
    # The table is good to 1e-12 in probability, so the sample lies between the exact ones of the draw's neighbours.
    lowest, highest = (
        poisson_oracle(min(max(unit + error, 0.0), 1 - 2**-53), mean) if 0.0 < unit + error < 1.0 else bound
        for error, bound in ((-1e-12, 0), (1e-12, 10**6))
    )
    assert lowest <= randomness.poisson(unit, mean) <= highest


@pytest.mark.parametrize("mean", [1e3, 1e5, 1e8])
def test_poisson_is_exact_at_large_means(mean: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    for unit in (1e-9, 0.001, 0.25, 0.5, 0.9, 0.9999, 1 - 1e-9):
        count = randomness.poisson(unit, mean)
        # scipy's own distribution function is good to some 1e-11 here.
        assert stats.poisson.cdf(count - 1, mean) <= unit + 1e-9
        assert stats.poisson.cdf(count, mean) >= unit - 1e-9


def test_poisson_at_the_ends_of_its_range() -> None:
    assert randomness.poisson(0.999, 0.0) == 0
    assert randomness.poisson(0.0, 1e-300) == 0
    assert 75 < randomness.poisson(1 - 2**-53, 30.0) < 110


@given(st.lists(open_units, min_size=2, max_size=20))
def test_every_transform_is_monotone_in_the_draw(units: list[float]) -> None:
    """Common random numbers reduce variance only if a larger draw never means a smaller sample."""
    for sample in (
        lambda unit: randomness.uniform(unit, -1.0, 2.0),
        lambda unit: randomness.exponential(unit, 3.0),
        lambda unit: randomness.normal(unit, 0.0, 1.0),
        lambda unit: randomness.lognormal(unit, 0.0, 1.0),
        lambda unit: randomness.poisson(unit, 17.5),
        lambda unit: randomness.weighted_index(unit, [1.0, 0.0, 2.5]),
    ):
        samples = [sample(unit) for unit in sorted(units)]
        assert all(first <= second for first, second in pairwise(samples))


def test_discrete_samples_of_differentiable_parameters_are_plain_numbers() -> None:
    assert randomness.bernoulli(0.2, Dual(0.3)) is True
    assert type(randomness.poisson(0.5, Dual(4.0))) is int
    assert randomness.weighted_index(0.9, [Dual(1.0), Dual(1.0)]) == 1


@given(bits.map(randomness.to_unit), st.floats(0, 1))
def test_bernoulli_is_true_below_its_probability(unit: float, probability: float) -> None:
    assert randomness.bernoulli(unit, probability) is (unit < probability)
    assert randomness.bernoulli(unit, 0.0) is False
    assert randomness.bernoulli(unit, 1.0) is True


@given(bits, st.integers(1, 2**64))
def test_an_index_is_the_draw_scaled_down(number: int, count: int) -> None:
    assert randomness.index_below(number, count) == math.floor(Fraction(number, 2**64) * count)


@given(bits.map(randomness.to_unit), st.lists(st.integers(0, 50), min_size=1, max_size=10).filter(any))
def test_a_weighted_index_is_the_first_whose_running_share_exceeds_the_draw(unit: float, weights: list[int]) -> None:
    target, running = Fraction(unit) * sum(weights), Fraction(0)
    expected = -1
    while running <= target:
        expected += 1
        running += weights[expected]
    chosen = randomness.weighted_index(unit, weights)
    # Rounding unit * total may move a draw that lies within 1e-15 of a boundary to its upper neighbour.
    assert chosen == expected or abs(float(running - target)) < 1e-12
    assert weights[chosen] > 0


def test_an_option_without_weight_is_never_chosen_even_where_rounding_reaches_the_total() -> None:
    tiny = 5e-324  # unit * tiny rounds up to tiny
    assert randomness.weighted_index(1 - 2.0**-53, [0.0, tiny, 0.0]) == 1


@given(bits, st.integers(0, 40))
def test_a_permutation_keeps_every_element(number: int, count: int) -> None:
    assert sorted(randomness.permutation(number, count)) == list(range(count))


def test_permutations_are_uniform() -> None:
    """Chi-square over the 24 orders of 4, fixed seed; a correct shuffle fails for one seed in 10**4."""
    counts = Counter(tuple(randomness.permutation(randomness.draw_bits(STREAM, index), 4)) for index in range(4800))
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 58.6


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: randomness.uniform(0.5, 2.0, 1.0), "low=2.0"),
        (lambda: randomness.uniform(0.5, 0.0, math.inf), "high=inf"),
        (lambda: randomness.exponential(0.5, 0.0), "mean=0.0"),
        (lambda: randomness.exponential(0.5, Dual(-1.0)), "mean=-1.0"),
        (lambda: randomness.exponential(0.5, math.nan), "mean=nan"),
        (lambda: randomness.normal(0.5, 0.0, -1.0), "std=-1.0"),
        (lambda: randomness.lognormal(0.5, 0.0, -1.0), "log_std=-1.0"),
        (lambda: randomness.poisson(0.5, -1.0), "mean=-1.0"),
        (lambda: randomness.poisson(0.5, 1e9), "mean=1000000000.0"),
        (lambda: randomness.bernoulli(0.5, 1.5), "probability=1.5"),
        (lambda: randomness.bernoulli(0.5, math.nan), "probability=nan"),
        (lambda: randomness.index_below(0, 0), "0 options"),
        (lambda: randomness.weighted_index(0.5, []), "weights []"),
        (lambda: randomness.weighted_index(0.5, [0.0, 0.0]), "weights [0.0, 0.0]"),
        (lambda: randomness.weighted_index(0.5, [1.0, -1.0]), "weights[1]=-1.0"),
        (lambda: randomness.exponential(0.5, "1.5"), "'1.5'"),
        (lambda: randomness.normal(0.5, None, 1.0), "None"),
    ],
)
def test_a_parameter_outside_its_range_is_named(call: Any, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert named in str(caught.value)
