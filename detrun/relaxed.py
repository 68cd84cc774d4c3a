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

Numbers are floats or `Value`s, and so are results; or tensors of torch and arrays of numpy, which are taken
elementwise, broadcast against each other, or along ``dim`` (all elements if that is None). Softened results lie between
the exact ones, apart from `minimum` and `maximum` (see there).

Source: Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017, and Bengio, Léonard and
Courville (2013) for straight-through; Prillo and Eisenschlos, "SoftSort", ICML 2020, for `sort`; Petersen et al.,
"Learning with algorithmic supervision via continuous relaxations", NeurIPS 2021, for branches.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from detrun.ad import adjoint_rules as rules
from detrun.ad import array_rows, functions
from detrun.ad.temperature import asked
from detrun.ad.value import Value, apply, primal_of
from detrun_scheduler.errors import UsageError

Number = Value | float
Numbers = Any  # a number, a tensor of torch or an array of numpy


def where(
    margin: Numbers,
    a: Numbers,
    b: Numbers,
    *,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Numbers:
    """``a`` if ``margin > 0``, else ``b``. The margin is the difference of what is compared: ``x - y`` for ``x > y``.

    Raises:
        UsageError: the margin is a bool, which says nothing of how close the decision is.
    """
    if isinstance(margin, bool) or str(getattr(margin, "dtype", "")).endswith("bool"):
        raise UsageError(
            "relaxed.where: a bool has no margin; pass the difference of what is compared: x - y for x > y"
        )
    soft = asked(temperature, scale)
    if (tensors := _tensors(margin, a, b)) is not None:
        return tensors.where(margin, a, b, soft, straight_through)
    if any(map(array_rows.is_array, (margin, a, b))):
        return array_rows.elementwise(partial(_where, soft=soft, straight_through=straight_through), margin, a, b)
    return _where(margin, a, b, soft, straight_through)


def _where(margin: Number, a: Number, b: Number, soft: float, straight_through: bool) -> Number:
    exact = a if _deciding(margin, soft, straight_through) > 0.0 else b
    if not soft:
        return exact
    share: Number = apply(rules.SIGMOID, margin / soft)
    return _through(b + (a - b) * share, exact, straight_through)


def threshold(
    x: Numbers, at: Numbers, *, temperature: float | None = None, scale: float = 1.0, straight_through: bool = False
) -> Numbers:
    """1 if ``x > at``, else 0."""
    return where(x - at, 1.0, 0.0, temperature=temperature, scale=scale, straight_through=straight_through)


def count(
    margins: Iterable[Number] | Numbers,
    *,
    dim: int | None = None,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Numbers:
    """How many of the margins are positive."""
    soft = asked(temperature, scale)
    if (tensors := _tensors(margins)) is not None:
        return tensors.count(margins, dim, soft, straight_through)

    def of(row: Iterable[Number]) -> Number:
        return functions.sum(_where(margin, 1.0, 0.0, soft, straight_through) for margin in row)

    return array_rows.along(of, margins, dim) if array_rows.is_array(margins) else of(margins)


def maximum(
    *numbers: Numbers,
    dim: int | None = None,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Numbers:
    """The largest: softly ``T * log(sum(exp(x / T)))``, above it by at most ``T * log(n)`` for n numbers.

    Of several tensors or arrays elementwise, of one along ``dim``.
    """
    return _extremes("maximum", numbers, 1.0, dim, asked(temperature, scale), straight_through)


def minimum(
    *numbers: Numbers,
    dim: int | None = None,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Numbers:
    """The smallest: softly ``-T * log(sum(exp(-x / T)))``, below it by at most ``T * log(n)`` for n numbers.

    Of several tensors or arrays elementwise, of one along ``dim``.
    """
    return _extremes("minimum", numbers, -1.0, dim, asked(temperature, scale), straight_through)


def clip(
    x: Numbers,
    low: Numbers,
    high: Numbers,
    *,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Numbers:
    """``x`` held between two bounds: softly ``low + T softplus((x - low) / T) - T softplus((x - high) / T)``.

    Raises:
        UsageError: the bounds are out of order.
    """
    soft = asked(temperature, scale)
    if (tensors := _tensors(x, low, high)) is not None:
        return tensors.clip(x, low, high, soft, straight_through)
    if any(map(array_rows.is_array, (x, low, high))):
        return array_rows.elementwise(partial(_clip, soft=soft, straight_through=straight_through), x, low, high)
    return _clip(x, low, high, soft, straight_through)


def _clip(x: Number, low: Number, high: Number, soft: float, straight_through: bool) -> Number:
    exact = functions.clip(_deciding(x, soft, straight_through), low, high)
    if not soft:
        return exact
    above: Number = apply(rules.SOFTPLUS, (x - low) / soft) - apply(rules.SOFTPLUS, (x - high) / soft)
    return _through(low + above * soft, exact, straight_through)


def argmax(
    scores: Iterable[Number] | Numbers,
    *,
    dim: int = -1,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Numbers:
    """A weight for each score: 1 for the highest (the first of equals) and 0 for the others; softly the softmax.

    Raises:
        UsageError: there are no scores.
    """
    return _all_weights("argmax", scores, 1.0, dim, asked(temperature, scale), straight_through)


def argmin(
    costs: Iterable[Number] | Numbers,
    *,
    dim: int = -1,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Numbers:
    """A weight for each cost: 1 for the lowest (the first of equals) and 0 for the others; softly the softmax of -cost.

    Raises:
        UsageError: there are no costs.
    """
    return _all_weights("argmin", costs, -1.0, dim, asked(temperature, scale), straight_through)


def route(
    scores: Numbers,
    options: Numbers,
    *,
    dim: int = -1,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Numbers:
    """The option whose score is the highest; softly the mean of all options, weighed by `argmax`.

    Raises:
        UsageError: there is not one score for each option, or there are none.
    """
    soft = asked(temperature, scale)
    if (tensors := _tensors(scores, options)) is not None:
        return tensors.route(scores, options, dim, soft, straight_through)
    if array_rows.is_array(scores) and scores.ndim > 1:
        weighed = _all_weights("route", scores, 1.0, dim, soft, straight_through) * options
        return array_rows.along(functions.sum, weighed, dim)
    listed = list(scores)
    if len(listed) != len(options):
        raise UsageError(f"relaxed.route: {len(listed)} scores for {len(options)} options; give one score for each")
    weights = _weights("route", listed, 1.0, soft, straight_through)
    if not soft:
        return options[[primal_of(weight) for weight in weights].index(1.0)]
    return functions.dot(weights, options)


def sort(
    numbers: Iterable[Number] | Numbers,
    *,
    reverse: bool = False,
    dim: int = -1,
    temperature: float | None = None,
    scale: float = 1.0,
    straight_through: bool = False,
) -> Numbers:
    """The numbers in ascending order; softly each place holds the mean of all, weighed by nearness to the exact one.

    Takes n² operations for n numbers at a temperature above 0.
    """
    soft = asked(temperature, scale)
    if (tensors := _tensors(numbers)) is not None:
        return tensors.sort(numbers, dim, reverse, soft, straight_through)
    of = partial(_sorted, reverse=reverse, soft=soft, straight_through=straight_through)
    return array_rows.along(of, numbers, dim) if array_rows.is_array(numbers) else of(list(numbers))


def _sorted(listed: list[Number], reverse: bool, soft: float, straight_through: bool) -> list[Number]:
    exact = sorted(listed, reverse=reverse)
    if not soft:
        return exact
    places = []
    for one in exact:
        apart = [_distance(one, x) for x in listed]
        weights = _weights("sort", apart, -1.0, soft, False)
        places.append(_through(functions.dot(weights, listed), one, straight_through))
    return places


def _tensors(*arguments: Any) -> Any:
    """The functions of this module for tensors, if one is among the arguments; else None."""
    torch = sys.modules.get("torch")
    if torch is None or not any(isinstance(one, torch.Tensor) for one in arguments):
        return None
    from detrun.ad import soft_tensors  # few programs use torch, and the bridge takes a millisecond to import

    return soft_tensors


def _extremes(
    name: str, numbers: Sequence[Numbers], sign: float, dim: int | None, soft: float, straight_through: bool
) -> Numbers:
    if (tensors := _tensors(*numbers)) is not None:
        return tensors.extreme(list(numbers), sign, dim, soft, straight_through)

    def of(row: Sequence[Number]) -> Number:
        exact = _extreme(name, [_deciding(x, soft, straight_through) for x in row], sign)
        if not soft:
            return exact
        return _through(functions.logsumexp([x * sign / soft for x in row]) * (sign * soft), exact, straight_through)

    if len(numbers) == 1 and array_rows.is_array(numbers[0]):
        return array_rows.along(of, numbers[0], dim)
    if any(map(array_rows.is_array, numbers)):
        return array_rows.elementwise(lambda *row: of(row), *numbers)
    return of(numbers)


def _all_weights(name: str, scores: Any, sign: float, dim: int, soft: float, straight_through: bool) -> Numbers:
    if (tensors := _tensors(scores)) is not None:
        return tensors.weights(scores, sign, dim, soft, straight_through)

    def of(row: list[Number]) -> list[Number]:
        return _weights(name, row, sign, soft, straight_through)

    return array_rows.along(of, scores, dim) if array_rows.is_array(scores) else of(list(scores))


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
