"""Jumps at discrete draws: which other outcomes to try, and what the difference of the losses is worth.

The mean over a draw is a sum of loss times probability, so its derivative is the sum of loss times the derivative of
the probability. These derivatives sum to zero, so the loss of the run as it is can be taken off each other one, and one
other outcome, chosen at random and weighted, has the right mean:

- Bernoulli: ``(L(1) - L(0)) dp``;
- categorical: ``L(j) - L(i)`` for another option ``j``, uniformly chosen, times the derivative of its probability;
- Poisson: ``(L(k + 1) - L(k)) d mean``;
- binomial: ``n (L(y + 1) - L(y)) dp`` with ``y`` of ``n - 1`` trials, where the trial left out is one of the ``k``
  heads with probability ``k / n``;
- geometric: ``(L(k) - L(k + x)) dp / p`` with ``x`` another geometric number.

Sources: Pflug, "Optimization of Stochastic Models" (1996), for weak derivatives; Fu and Hu, "Conditional Monte Carlo"
(1997); Arya et al., "Automatic differentiation of programs with discrete randomness", NeurIPS 2022, for differences
with the run as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from detrun.ad.value import Value, primal_of
from detrun.primitives import discrete_laws
from detrun.primitives.draw_log import Draw
from detrun_scheduler.errors import NotDifferentiableError, UsageError

# What a draw without another run contributes: nothing, on purpose.
HELD = ("pathwise", "stop")
NEVER = 2.0**-50  # a probability
Weights = dict[int, float]  # by id of a parameter of the draw
Moves = Callable[[Mapping[int, float]], Sequence[float]]
Steepness = Callable[[Mapping[int, float]], float]


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another outcome of a draw.

    Attributes:
        weights: by which the loss with this outcome, less the loss of the run, is multiplied; by tape id, whose
            derivative is meant.
    """

    outcome: Any
    weights: Weights


def alternatives(draw: Draw, random: Random, steepness: Steepness) -> list[Alternative]:
    """What to try.

    Args:
        steepness: at most how large the derivatives of a weighted sum of entries of the tape are.

    Raises:
        NotDifferentiableError: the draw cannot be treated as its ``derivative=`` says, or a parameter is at the end of
            its range.
    """
    found = _BY_STRATEGY[draw.derivative or "counterfactual"](draw, random, steepness)
    for one in found:
        assert draw.law is not None
        try:
            draw.law.bits_for(one.outcome)
        except UsageError as error:
            raise NotDifferentiableError(
                f"{draw}: to differentiate its expectation it must be tried otherwise, but {error}; at the end of its "
                "range a parameter has a one-sided derivative only: move it inside"
            ) from None
    return found


def movement(draw: Draw, moves: Moves) -> list[float]:
    """By about how much the probabilities of a draw move, in each direction in which the parameters do.

    Args:
        moves: how a weighted sum of entries of the tape moves in each of these directions.
    """
    law, ids = draw.law, draw.parameter_ids
    if isinstance(law, discrete_laws.Choice) and law.weights is not None:
        return _choice_rates(draw, law, law.weights, moves)
    rate = 1.0
    match law:
        case discrete_laws.Binomial(trials, _):
            rate = float(trials)
        case discrete_laws.Geometric(probability):
            rate = 1.0 / primal_of(probability)
    return [abs(rate * one) for one in moves(dict.fromkeys(ids.values(), 1.0))]


def _choice_rates(draw: Draw, law: discrete_laws.Choice, weights: Sequence[Any], moves: Moves) -> list[float]:
    """A weight may move fast where no probability does: that of an option which is next to certain, or next to none."""
    total = sum(map(primal_of, weights))
    moving = {place: moves({one.id: 1.0}) for place, one in enumerate(weights) if isinstance(one, Value)}
    if draw.derivative == "measure-valued":
        return [sum(map(abs, of_weights)) / total for of_weights in zip(*moving.values(), strict=True)]
    shares = [primal_of(one) / total for one in weights]
    return [
        sum(
            abs(by_weight.get(place, 0.0) - share * sum(by_weight.values()))
            for place, share in enumerate(shares)
            if place != draw.outcome
        )
        / total
        for by_weight in (
            dict(zip(moving, of_weights, strict=True)) for of_weights in zip(*moving.values(), strict=True)
        )
    ]


def score(draw: Draw) -> Weights:
    """The derivative of the logarithm of what came out's probability, by ids of the draw's parameters."""
    law, outcome, ids = draw.law, draw.outcome, draw.parameter_ids
    if isinstance(law, discrete_laws.Choice):
        return {one: slope / _share(law, outcome) for one, slope in _choice_slopes(law, ids, outcome).items()}
    (one,) = ids.values()
    return {one: _log_slope(law, outcome)}


def _log_slope(law: Any, outcome: Any) -> float:
    match law:
        case discrete_laws.Bernoulli(p):
            return 1.0 / primal_of(p) if outcome else -1.0 / (1.0 - primal_of(p))
        case discrete_laws.Poisson(mean):
            return outcome / primal_of(mean) - 1.0 if outcome else -1.0
        case discrete_laws.Binomial(trials, probability):
            p = primal_of(probability)
            heads = outcome / p if outcome else 0.0
            return heads - ((trials - outcome) / (1.0 - p) if outcome < trials else 0.0)
        case discrete_laws.Geometric(probability):
            p = primal_of(probability)
            return 1.0 / p - ((outcome - 1) / (1.0 - p) if outcome > 1 else 0.0)
    raise AssertionError(law)


def _counterfactual(draw: Draw, random: Random, steepness: Steepness) -> list[Alternative]:
    law, outcome, ids = draw.law, draw.outcome, draw.parameter_ids
    if isinstance(law, discrete_laws.Choice):
        others = [one for one in range(law.options) if one != outcome and _can_move(law, one, steepness)]
        if not others:
            return []
        other = others[random.randrange(len(others))]
        return [_option(law, ids, other, float(len(others)))]
    (one,) = ids.values()
    return [_other_count(law, outcome, one, random)]


def _other_count(law: Any, outcome: Any, one: int, random: Random) -> Alternative:
    match law:
        case discrete_laws.Bernoulli():
            return Alternative(not outcome, {one: -1.0 if outcome else 1.0})
        case discrete_laws.Poisson():
            return Alternative(outcome + 1, {one: 1.0})
        case discrete_laws.Binomial(trials, _):
            if random.random() * trials < outcome:
                return Alternative(outcome - 1, {one: -float(trials)})
            return Alternative(outcome + 1, {one: float(trials)})
        case discrete_laws.Geometric(probability):
            p = primal_of(probability)
            more = law.outcome_at(random.random())
            return Alternative(outcome + more, {one: -1.0 / p})
    raise AssertionError(law)


def _measure_valued(draw: Draw, random: Random, steepness: Steepness) -> list[Alternative]:
    law = draw.law
    if not isinstance(law, discrete_laws.Choice) or law.weights is None:
        # One side of the weak derivative of these is the distribution itself: the run as it is.
        return _counterfactual(draw, random, steepness)
    # d p_j / d w_l is (1 at j = l, less p_j) / W: option l against the distribution itself, of which the run is one.
    total = sum(map(primal_of, law.weights))
    moving = [place for place, weight in enumerate(law.weights) if isinstance(weight, Value)]
    chosen = moving[random.randrange(len(moving))]
    if chosen == draw.outcome:
        return []
    return [Alternative(chosen, {law.weights[chosen].id: len(moving) / total})]


def _enumerated(draw: Draw, random: Random, steepness: Steepness) -> list[Alternative]:
    law, ids = draw.law, draw.parameter_ids
    match law:
        case discrete_laws.Bernoulli():
            return _counterfactual(draw, random, steepness)
        case discrete_laws.Choice():
            return [
                _option(law, ids, one, 1.0)
                for one in range(law.options)
                if one != draw.outcome and _can_move(law, one, steepness)
            ]
        case discrete_laws.Binomial(trials, probability):
            p = primal_of(probability)
            (parameter,) = ids.values()
            found = []
            for count in range(trials + 1):
                low, high = law.interval(count)
                # Those that no draw gives have a derivative below 1e-13, too.
                if count != draw.outcome and high - low > NEVER:
                    slope = (high - low) * (count / p - (trials - count) / (1.0 - p))
                    found.append(Alternative(count, {parameter: slope}))
            return found
    raise NotDifferentiableError(
        f"{draw}: derivative='enumerate' needs a draw with finitely many outcomes; choose 'counterfactual'"
    )


def _option(law: discrete_laws.Choice, ids: dict[str, int], option: int, weight: float) -> Alternative:
    return Alternative(option, {one: weight * slope for one, slope in _choice_slopes(law, ids, option).items()})


def _share(law: discrete_laws.Choice, option: int) -> float:
    assert law.weights is not None
    return primal_of(law.weights[option]) / sum(map(primal_of, law.weights))


def _choice_slopes(law: discrete_laws.Choice, ids: dict[str, int], option: int) -> Weights:
    """``d p_option / d weight`` for each weight that is a `Value`."""
    assert law.weights is not None
    total = sum(map(primal_of, law.weights))
    share = _share(law, option)
    slopes: Weights = {}
    for place, weight in enumerate(law.weights):
        if isinstance(weight, Value):  # one Value may be the weight of several options
            slopes[weight.id] = slopes.get(weight.id, 0.0) + ((place == option) - share) / total
    return slopes


def _can_move(law: discrete_laws.Choice, option: int, steepness: Steepness) -> bool:
    """Whether an option may come up, or its probability moves: what is next to none often moves as little."""
    assert law.weights is not None
    weight = law.weights[option]
    if _share(law, option) > NEVER:
        return True
    return isinstance(weight, Value) and steepness({weight.id: 1.0}) > NEVER * sum(map(primal_of, law.weights))


_BY_STRATEGY: dict[str, Callable[[Draw, Random, Steepness], list[Alternative]]] = {
    "counterfactual": _counterfactual,
    "measure-valued": _measure_valued,
    "enumerate": _enumerated,
}
