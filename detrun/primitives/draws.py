"""Keyed random draws: the same numbers however the tasks are interleaved.

A draw is a function of the run's seed, of the path of the task that draws and of how many draws that task has made;
or of an explicit ``key`` and the draws made under it. A schedule that changes elsewhere leaves it alone, so runs that
are to be compared (finite differences, counterfactuals) keep common random numbers.

Continuous draws are differentiable in their parameters by reparameterization (the draw itself is held fixed). Discrete
ones are not: with a `Value` for a parameter they are a discontinuity site, since their local derivative is zero and
the derivative of their expectation is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from detrun.ad.functions import exp
from detrun.ad.validity import site
from detrun.ad.value import Value
from detrun_scheduler import current, randomness
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError

T = TypeVar("T")


def bits_of_draw(function: str, key: object) -> int:
    run = current.require(f"detrun.{function}")
    if key is not None and not _is_stable(key):
        raise UsageError(
            f"detrun.{function}: key={key!r} may print differently in another run; use a string, a number, bytes, or a "
            "tuple of these"
        )
    return run.draw(key)


def _is_stable(key: object) -> bool:
    # The stream is named by the key's repr, which for a set depends on the hash seed and for an object on its address.
    if type(key) is tuple:
        return all(map(_is_stable, key))
    return key is None or type(key) in (str, int, float, bool, bytes)


def uniform(low: Any = 0.0, high: Any = 1.0, *, key: object = None) -> Any:
    """Uniform on [low, high). Differentiable in both ends."""
    return randomness.uniform(randomness.to_unit(bits_of_draw("uniform", key)), low, high)


def exponential(mean: Any = 1.0, *, key: object = None) -> Any:
    """Exponential with the given mean (not rate). Differentiable in the mean."""
    return randomness.exponential(randomness.to_unit(bits_of_draw("exponential", key)), mean)


def normal(mean: Any = 0.0, std: Any = 1.0, *, key: object = None) -> Any:
    """Normal with the given mean and standard deviation. Differentiable in both."""
    return randomness.normal(randomness.to_open_unit(bits_of_draw("normal", key)), mean, std)


def lognormal(log_mean: Any = 0.0, log_std: Any = 1.0, *, key: object = None) -> Any:
    """``exp`` of a normal with the given mean and standard deviation. Differentiable in both."""
    return randomness.lognormal(randomness.to_open_unit(bits_of_draw("lognormal", key)), log_mean, log_std, exp)


def poisson(mean: Any, *, key: object = None) -> int:
    """A Poisson count with the given mean. Discrete: a discontinuity site if the mean is a `Value`."""
    unit = randomness.to_unit(bits_of_draw("poisson", key))
    count = randomness.poisson(unit, mean)
    if isinstance(mean, Value):
        _discrete("poisson", mean, primal_of(mean))
    return count


def bernoulli(probability: Any, *, key: object = None) -> bool:
    """True with the given probability. Discrete: a discontinuity site if the probability is a `Value`."""
    unit = randomness.to_unit(bits_of_draw("bernoulli", key))
    outcome = randomness.bernoulli(unit, probability)
    if isinstance(probability, Value):
        site("bernoulli", None, probability, unit)
    return outcome


def choice(options: int | Sequence[T], weights: Sequence[Any] | None = None, *, key: object = None) -> Any:
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
    bits = bits_of_draw("choice", key)
    if weights is None:
        index = randomness.index_below(bits, count)
    else:
        if len(weights) != count:
            raise UsageError(f"choice: {len(weights)} weights for {count} options; give one weight for each")
        index = randomness.weighted_index(randomness.to_unit(bits), weights)
        for weight in weights:
            if isinstance(weight, Value):
                _discrete("choice", weight, primal_of(weight))
    return index if isinstance(options, int) else options[index]


def _discrete(name: str, parameter: Value, at: float) -> None:
    # How far the parameter may move before the draw changes is not known here; say so with a margin of zero.
    site(name, None, parameter, at)
