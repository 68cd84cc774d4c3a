"""Keyed random draws: the same numbers however the tasks are interleaved.

A draw is a function of the run's seed, of the path of the task that draws and of how many draws that task has made;
or of an explicit ``key`` and the draws made under it. A schedule that changes elsewhere leaves it alone, so runs that
are to be compared (finite differences, counterfactuals) keep common random numbers.

Continuous draws are differentiable in their parameters by reparameterization (the draw itself is held fixed). Discrete
ones are not: with a `Value` for a parameter they are a discontinuity site, since their local derivative is zero and
the derivative of their expectation is not. How estimators of expectations find that one, ``derivative=`` says, draw by
draw, as in ADEV (Lew et al., "ADEV: sound automatic differentiation of expected values", POPL 2023):

- ``"counterfactual"``: by another run in which the draw comes out otherwise, against this one; the default;
- ``"measure-valued"``: by two other runs, one drawn from each part of the distribution's derivative;
- ``"enumerate"``: by one run for each outcome;
- ``"score"``: by the derivative of the logarithm of its probability, without another run;
- ``"pathwise"``: as if nothing jumped: zero, on purpose;
- ``"stop"``: the parameter is held fixed here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from detrun.ad import state
from detrun.ad.functions import dot, exp
from detrun.ad.outer_sites import site
from detrun.ad.value import Value
from detrun_scheduler import counts, current, randomness
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun, DrawWatcher

T = TypeVar("T")

COUNTERFACTUAL = "counterfactual"
DERIVATIVES = (COUNTERFACTUAL, "measure-valued", "enumerate", "score", "pathwise", "stop")


def run_of(function: str, key: object, derivative: str | None = None) -> ActiveRun:
    """The run that draws, once ``key`` and ``derivative`` are known to be good."""
    run = current.require(f"detrun.{function}")
    if key is not None and not _is_stable(key):
        raise UsageError(
            f"detrun.{function}: key={key!r} may print differently in another run; use a string, a number, bytes, or a "
            "tuple of these"
        )
    if derivative is not None and derivative not in DERIVATIVES:
        raise UsageError(
            f"detrun.{function}: derivative={derivative!r} is unknown; choose one of {', '.join(DERIVATIVES)}"
        )
    return run


def _announce(watch: DrawWatcher, law: str, *parameters: Any, derivative: str | None = None) -> None:
    from detrun.primitives import continuous_laws, discrete_laws  # needed in watched runs only

    # A discrete draw always says how its derivative is taken, a continuous one has no choice.
    laws = continuous_laws if derivative is None else discrete_laws
    watch.about_to_draw(getattr(laws, law)(*parameters), derivative)


def _is_stable(key: object) -> bool:
    # The stream is named by the key's repr, which for a set depends on the hash seed and for an object on its address.
    if type(key) is tuple:
        return all(map(_is_stable, key))
    return key is None or type(key) in (str, int, float, bool, bytes)


def uniform(low: Any = 0.0, high: Any = 1.0, *, key: object = None) -> Any:
    """Uniform on [low, high). Differentiable in both ends."""
    run = run_of("uniform", key)
    watch = run.draws
    if watch is not None:
        _announce(watch, "Uniform", low, high)
    number = randomness.uniform(randomness.to_unit(run.draw(key)), low, high)
    return number if watch is None else watch.came_out(number)


def exponential(mean: Any = 1.0, *, key: object = None) -> Any:
    """Exponential with the given mean (not rate). Differentiable in the mean."""
    run = run_of("exponential", key)
    watch = run.draws
    if watch is not None:
        _announce(watch, "Exponential", mean)
    number = randomness.exponential(randomness.to_unit(run.draw(key)), mean)
    return number if watch is None else watch.came_out(number)


def normal(mean: Any = 0.0, std: Any = 1.0, *, key: object = None) -> Any:
    """Normal with the given mean and standard deviation. Differentiable in both."""
    run = run_of("normal", key)
    watch = run.draws
    if watch is not None:
        _announce(watch, "Normal", mean, std)
    number = randomness.normal(randomness.to_open_unit(run.draw(key)), mean, std)
    return number if watch is None else watch.came_out(number)


def lognormal(log_mean: Any = 0.0, log_std: Any = 1.0, *, key: object = None) -> Any:
    """``exp`` of a normal with the given mean and standard deviation. Differentiable in both."""
    run = run_of("lognormal", key)
    watch = run.draws
    if watch is not None:
        _announce(watch, "LogNormal", log_mean, log_std)
    number = randomness.lognormal(randomness.to_open_unit(run.draw(key)), log_mean, log_std, exp)
    return number if watch is None else watch.came_out(number)


def bernoulli(probability: Any, *, key: object = None, derivative: str | None = None) -> bool:
    """True with the given probability. Discrete: a discontinuity site if the probability is a `Value`."""
    run = run_of("bernoulli", key, derivative)
    watch = run.draws
    if watch is not None:
        _announce(watch, "Bernoulli", probability, derivative=derivative or COUNTERFACTUAL)
    unit = randomness.to_unit(run.draw(key))
    outcome = randomness.bernoulli(unit, probability)
    if isinstance(probability, Value):
        site("bernoulli", None, probability, unit)
    if watch is not None:
        watch.came_out(outcome)
    return outcome


def poisson(mean: Any, *, key: object = None, derivative: str | None = None) -> int:
    """A Poisson count with the given mean. Discrete: a discontinuity site if the mean is a `Value`."""
    run = run_of("poisson", key, derivative)
    watch = run.draws
    if watch is not None:
        _announce(watch, "Poisson", mean, derivative=derivative or COUNTERFACTUAL)
    unit = randomness.to_unit(run.draw(key))
    count = randomness.poisson(unit, mean)
    if state.taping and isinstance(mean, Value):
        at = mean.primal
        low, high = counts.poisson_interval(count, at)
        # A larger mean lowers the distribution function at k at the rate of the probability of k.
        _edge("poisson", mean, unit - high, low - high)
        if count:
            lower = counts.poisson_interval(count - 1, at)
            _edge("poisson", mean, unit - low, lower[0] - lower[1])
    if watch is not None:
        watch.came_out(count)
    return count


def binomial(trials: int, probability: Any, *, key: object = None, derivative: str | None = None) -> int:
    """How many of ``trials`` coins fall on heads, each with the given probability.

    One draw, whatever the number of trials. Discrete: a discontinuity site if the probability is a `Value`.
    """
    run = run_of("binomial", key, derivative)
    watch = run.draws
    if watch is not None:
        _announce(watch, "Binomial", trials, probability, derivative=derivative or COUNTERFACTUAL)
    unit = randomness.to_unit(run.draw(key))
    count = counts.binomial(unit, trials, probability)
    if state.taping and isinstance(probability, Value):
        at = probability.primal
        low, high = counts.binomial_interval(count, trials, at)
        # d/dp of the distribution function at k is -(n - k) / (1 - p) times the probability of k.
        if at < 1.0:
            _edge("binomial", probability, unit - high, (low - high) * (trials - count) / (1.0 - at))
            if count:
                lower = counts.binomial_interval(count - 1, trials, at)
                _edge("binomial", probability, unit - low, (lower[0] - lower[1]) * (trials - count + 1) / (1.0 - at))
    if watch is not None:
        watch.came_out(count)
    return count


def geometric(probability: Any, *, key: object = None, derivative: str | None = None) -> int:
    """How many trials it takes up to the first success, that one included: 1, 2, …; the mean is 1 / probability.

    Discrete: a discontinuity site if the probability is a `Value`.
    """
    run = run_of("geometric", key, derivative)
    watch = run.draws
    if watch is not None:
        _announce(watch, "Geometric", probability, derivative=derivative or COUNTERFACTUAL)
    unit = randomness.to_unit(run.draw(key))
    count = counts.geometric(unit, probability)
    if isinstance(probability, Value):
        # The probability at which `unit` is where the outcome changes: 1 - (1 - p)**k = unit.
        site("geometric", None, probability, -math.expm1(math.log1p(-unit) / count))
        if count > 1:
            site("geometric", None, probability, -math.expm1(math.log1p(-unit) / (count - 1)))
    if watch is not None:
        watch.came_out(count)
    return count


def choice(
    options: int | Sequence[T],
    weights: Sequence[Any] | None = None,
    *,
    key: object = None,
    derivative: str | None = None,
) -> Any:
    """One of ``options``, a sequence or ``range(options)``; uniform, or with probability proportional to ``weights``.

    Discrete: a discontinuity site if a weight is a `Value`.

    Raises:
        UsageError: no options, or not one weight for each.
    """
    if not isinstance(options, int) and not (hasattr(options, "__len__") and hasattr(type(options), "__getitem__")):
        raise UsageError(
            f"choice: cannot index {type(options).__name__} {options!r}; give a number or a sequence, such as "
            "sorted(options)"
        )
    count = options if isinstance(options, int) else len(options)
    run = run_of("choice", key, derivative)
    watch = run.draws
    if watch is not None:
        listed = None if weights is None else tuple(weights)
        _announce(watch, "Choice", count, listed, derivative=derivative or COUNTERFACTUAL)
    bits = run.draw(key)
    if weights is None:
        index = randomness.index_below(bits, count)
    else:
        if len(weights) != count:
            raise UsageError(f"choice: {len(weights)} weights for {count} options; give one weight for each")
        unit = randomness.to_unit(bits)
        index = randomness.weighted_index(unit, weights)
        if any(isinstance(weight, Value) for weight in weights):
            edges_of_choice(unit, weights, index)
    if watch is not None:
        watch.came_out(index)
    return index if isinstance(options, int) else options[index]


def edges_of_choice(unit: float, weights: Sequence[Any], index: int) -> None:
    """Note how far ``unit`` times all weight is from both ends of the chosen option's share."""
    # With the tape off, too: ids are allotted in the same way then.
    if index:
        site("choice", None, dot(weights, [unit - (place < index) for place in range(len(weights))]), 0.0)
    if index < len(weights) - 1:
        site("choice", None, dot(weights, [(place <= index) - unit for place in range(len(weights))]), 0.0)


def _edge(kind: str, parameter: Value, margin: float, slope: float) -> None:
    """Note where the parameter would be, to first order, if a margin that moves with it at ``slope`` were zero."""
    if slope:
        site(kind, None, parameter, primal_of(parameter) + margin / slope)
