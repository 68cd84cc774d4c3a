"""Soft choices: branches, minima, thresholds, counts and orders that have a derivative where the exact ones jump.

A program calls them in place of ``if``, ``min``, ``sorted``, … At temperature 0, which every run has but those of
``detrun.gradient(kind="relaxed", temperature=…)``, they are exact: the program is the one that it was. At a temperature
T they mix both sides by how close the decision is: a comparison whose margin is m weighs ``1 / (1 + exp(-m / T))``. The
smaller T, the closer to the exact program, and the larger the variance of the derivative.

Every function takes

- ``temperature``: of this call, in the unit of what it compares; by default that of the run times ``scale``;
- ``scale``: the unit of what is compared here (seconds, jobs, …), so that one temperature serves a whole program;
- ``straight_through=True``: the exact result, so that the program goes on as it would, with the derivative of the soft
  one. The bias of such a derivative does not vanish with the temperature.

Where the exact result counts, the call is a discontinuity site of the line that made it, like an ``if`` there.

Numbers are floats or `Value`s, and so are results. Softened results lie between the exact ones, apart from `minimum`
and `maximum` (see there).

Source: Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017, and Bengio, Léonard and
Courville (2013) for straight-through; Prillo and Eisenschlos, "SoftSort", ICML 2020, for `sort`; Petersen et al.,
"Learning with algorithmic supervision via continuous relaxations", NeurIPS 2021, for branches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detrun.ad import adjoint_rules as rules
from detrun.ad import functions
from detrun.ad.temperature import asked
from detrun.ad.value import Value, apply, primal_of
from detrun_scheduler.errors import UsageError

Number = Value | float


def where(
    margin: Number,
    a: Number,
    b: Number,
    *,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Number:
    """``a`` if ``margin > 0``, else ``b``. The margin is the difference of what is compared: ``x - y`` for ``x > y``.

    Raises:
        UsageError: the margin is a bool, which says nothing of how close the decision is.
    """
    if isinstance(margin, bool):
        raise UsageError(
            "relaxed.where: a bool has no margin; pass the difference of what is compared: x - y for x > y"
        )
    soft = asked(temperature, scale)
    exact = a if _deciding(margin, soft, straight_through) > 0.0 else b
    if not soft:
        return exact
    share: Number = apply(rules.SIGMOID, margin / soft)
    return _through(b + (a - b) * share, exact, straight_through)


def threshold(
    x: Number, at: Number, *, temperature: float | None = None, scale: float = 1.0, straight_through: bool = False
) -> Number:
    """1 if ``x > at``, else 0."""
    return where(x - at, 1.0, 0.0, temperature=temperature, scale=scale, straight_through=straight_through)


def count(
    margins: Iterable[Number],
    *,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Number:
    """How many of the margins are positive."""
    return functions.sum(
        where(margin, 1.0, 0.0, temperature=temperature, scale=scale, straight_through=straight_through)
        for margin in margins
    )


def maximum(
    *numbers: Number, temperature: float | None = None, scale: float = 1.0, straight_through: bool = False
) -> Number:
    """The largest: softly ``T * log(sum(exp(x / T)))``, above it by at most ``T * log(n)`` for n numbers."""
    soft = asked(temperature, scale)
    exact = _extreme("maximum", [_deciding(x, soft, straight_through) for x in numbers], 1.0)
    if not soft:
        return exact
    return _through(functions.logsumexp([x / soft for x in numbers]) * soft, exact, straight_through)


def minimum(
    *numbers: Number, temperature: float | None = None, scale: float = 1.0, straight_through: bool = False
) -> Number:
    """The smallest: softly ``-T * log(sum(exp(-x / T)))``, below it by at most ``T * log(n)`` for n numbers."""
    soft = asked(temperature, scale)
    exact = _extreme("minimum", [_deciding(x, soft, straight_through) for x in numbers], -1.0)
    if not soft:
        return exact
    return _through(functions.logsumexp([-x / soft for x in numbers]) * -soft, exact, straight_through)


def clip(
    x: Number,
    low: Number,
    high: Number,
    *,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Number:
    """``x`` held between two bounds: softly ``low + T softplus((x - low) / T) - T softplus((x - high) / T)``.

    Raises:
        UsageError: the bounds are out of order.
    """
    soft = asked(temperature, scale)
    exact = functions.clip(_deciding(x, soft, straight_through), low, high)
    if not soft:
        return exact
    above: Number = apply(rules.SOFTPLUS, (x - low) / soft) - apply(rules.SOFTPLUS, (x - high) / soft)
    return _through(low + above * soft, exact, straight_through)


def argmax(
    scores: Iterable[Number],
    *,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> list[Number]:
    """A weight for each score: 1 for the highest (the first of equals) and 0 for the others; softly the softmax.

    Raises:
        UsageError: there are no scores.
    """
    return _weights("argmax", list(scores), 1.0, asked(temperature, scale), straight_through)


def argmin(
    costs: Iterable[Number],
    *,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> list[Number]:
    """A weight for each cost: 1 for the lowest (the first of equals) and 0 for the others; softly the softmax of -cost.

    Raises:
        UsageError: there are no costs.
    """
    return _weights("argmin", list(costs), -1.0, asked(temperature, scale), straight_through)


def route(
    scores: Iterable[Number],
    options: Sequence[Number],
    *,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Number:
    """The option whose score is the highest; softly the mean of all options, weighed by `argmax`.

    Raises:
        UsageError: there is not one score for each option, or there are none.
    """
    listed = list(scores)
    if len(listed) != len(options):
        raise UsageError(f"relaxed.route: {len(listed)} scores for {len(options)} options; give one score for each")
    soft = asked(temperature, scale)
    weights = _weights("route", listed, 1.0, soft, straight_through)
    if not soft:
        return options[[primal_of(weight) for weight in weights].index(1.0)]
    return functions.dot(weights, options)


def sort(
    numbers: Iterable[Number],
    *,
    reverse: bool = False,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> list[Number]:
    """The numbers in ascending order; softly each place holds the mean of all, weighed by nearness to the exact one.

    Takes n² operations for n numbers at a temperature above 0.
    """
    listed = list(numbers)
    soft = asked(temperature, scale)
    exact = sorted(listed, reverse=reverse)
    if not soft:
        return exact
    places = []
    for one in exact:
        apart = [_distance(one, x) for x in listed]
        weights = _weights("sort", apart, -1.0, soft, False)
        places.append(_through(functions.dot(weights, listed), one, straight_through))
    return places


def _extreme(name: str, numbers: Sequence[Number], sign: float) -> Number:
    if not numbers:
        raise UsageError(f"relaxed.{name}: needs at least one number")
    pick = functions.maximum if sign > 0.0 else functions.minimum
    found = numbers[0]
    for number in numbers[1:]:
        found = pick(found, number)
    return found


def _weights(name: str, scores: list[Number], sign: float, soft: float, straight_through: bool) -> list[Number]:
    if not scores:
        raise UsageError(f"relaxed.{name}: needs at least one number")
    best, decide = 0, [_deciding(score, soft, straight_through) for score in scores]
    for index in range(1, len(scores)):
        if (decide[index] > decide[best]) if sign > 0.0 else (decide[index] < decide[best]):
            best = index
    exact = [float(index == best) for index in range(len(scores))]
    if not soft:
        return list(exact)
    logits = [score * (sign / soft) for score in scores]
    total = functions.logsumexp(logits)
    return [
        _through(apply(rules.EXP, logit - total), hard, straight_through)
        for logit, hard in zip(logits, exact, strict=True)
    ]


def _distance(a: Number, b: Number) -> Number:
    apart = a - b
    return apart if primal_of(apart) >= 0.0 else -apart  # no jump, so no discontinuity site


def _deciding(number: Number, soft: float, straight_through: bool) -> Number:
    """What a decision looks at: the `Value`, whose comparison is a discontinuity site, where the result may jump.

    A soft result does not depend on the outcome, so there the plain number is enough.
    """
    return primal_of(number) if soft and not straight_through else number


def _through(soft: Number, exact: Number, straight_through: bool) -> Number:
    """The soft number, or the exact one with the derivative of the soft one."""
    if not straight_through:
        return soft
    # The difference has a primal of exactly 0, so the sum is the exact number to the last bit.
    return primal_of(exact) + (soft - primal_of(soft))
