"""Random numbers of a run: the bits of each draw, and the distributions that they become.

A draw is a pure function of (seed, stream name, index in the stream). It never depends on what other tasks drew, so a
rescheduled or perturbed run keeps its random numbers (common random numbers). Each distribution is the inverse of its
distribution function applied to one draw: monotone in the draw, and smooth in the parameters where that is possible.

Parameters may be plain floats or anything with arithmetic and a ``primal`` attribute. The continuous transforms apply
arithmetic to the parameters themselves, so that the result carries their history; each docstring says whether the
result is differentiable. The discrete ones look at the primals alone and return plain numbers: their jumps are
discontinuity sites, which the caller registers.

Source: blake2b as a keyed function (RFC 7693) in counter mode, as in Salmon et al., "Parallel random numbers: as easy
as 1, 2, 3", SC 2011; blake2b and not Philox because hashlib has it in C. A draw costs about 1 µs.
"""

from __future__ import annotations

import _random
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import Any, TypeAlias

from detrun_scheduler.errors import UsageError

# A float, or a number-like object with arithmetic and `primal`.
Parameter: TypeAlias = Any

# One table of the Poisson inversion has about 21 * sqrt(mean) entries: 210,000 here, some 20 ms to build.
POISSON_MEAN_MAX = 1e8
# Poisson terms below this fraction of the largest are dropped. A draw resolves 2**-53; this leaves 27 bits to spare.
_POISSON_NEGLIGIBLE = 2.0**-80


def seed_again(generator: Random, seed: int) -> None:
    """``generator.seed(seed)`` by C code alone.

    A new ``Random(seed)`` is seeded twice, and what stands in a run for its method asks who calls: 6 µs of a run.
    """
    _random.Random.seed(generator, seed)
    generator.gauss_next = None  # type: ignore[attr-defined]  # the second of two normal numbers


_STREAM = blake2b(digest_size=32, person=b"detrun.stream")


@cache
def _inverse_normal() -> Callable[[float], float]:
    from statistics import NormalDist  # with decimals and fractions, a twentieth of the import of detrun

    return NormalDist().inv_cdf


def stream_key(seed: int, name: str | bytes) -> bytes:
    """The 32-byte key of the stream ``name`` of a run. A str stands for its UTF-8 bytes."""
    if isinstance(name, str):
        name = name.encode("utf-8", "surrogatepass")
    key = _STREAM.copy()  # half the price of a new one
    # The seed in hexadecimal has no NUL, so no two (seed, name) pairs share an encoding.
    key.update(b"%x\0%b" % (seed, name))
    return key.digest()


def draw_bits(stream: bytes, index: int) -> int:
    """64 uniform bits: draw ``index``, in [0, 2**64), of a stream."""
    return int.from_bytes(blake2b(index.to_bytes(8, "little"), key=stream, digest_size=8).digest(), "little")


def derived_seed(seed: int, purpose: str) -> int:
    """A 64-bit seed for a generator that is not ours; different for each purpose."""
    return draw_bits(stream_key(seed, purpose), 0)


def to_unit(bits: int) -> float:
    """64 bits to a multiple of 2**-53 in [0, 1)."""
    return (bits >> 11) * 2.0**-53


def to_open_unit(bits: int) -> float:
    """64 bits to an odd multiple of 2**-53 in (0, 1), symmetric about one half: safe for every inverse below."""
    return ((bits >> 12) + 0.5) * 2.0**-52


def uniform(unit: float, low: Parameter, high: Parameter) -> Any:
    """Uniform on [low, high]. Differentiable in both; ``high`` itself only by rounding.

    Raises:
        UsageError: unless both are finite and ``low <= high``.
    """
    if not _finite("uniform", "low", low) <= _finite("uniform", "high", high):
        raise UsageError(f"uniform: low={number_of(low)!r} is above high={number_of(high)!r}; swap them")
    return low + (high - low) * unit


def exponential(unit: float, mean: Parameter) -> Any:
    """Exponential with the given mean, not rate. Differentiable.

    Raises:
        UsageError: unless ``mean`` is finite and positive.
    """
    _positive("exponential", "mean", mean)
    return mean * -math.log1p(-unit)


def normal(unit: float, mean: Parameter, std: Parameter) -> Any:
    """Normal with the given mean and standard deviation, from one draw in (0, 1). Differentiable in both.

    Raises:
        UsageError: unless both are finite and ``std >= 0``.
    """
    _finite("normal", "mean", mean)
    _not_negative("normal", "std", std)
    return mean + std * _inverse_normal()(unit)


def lognormal(
    unit: float, log_mean: Parameter, log_std: Parameter, exponential_function: Callable[[Any], Any] = math.exp
) -> Any:
    """``exp`` of a normal(log_mean, log_std). Differentiable in both, given an ``exp`` that takes the parameters' type.

    Raises:
        UsageError: unless both are finite and ``log_std >= 0``.
    """
    _finite("lognormal", "log_mean", log_mean)
    _not_negative("lognormal", "log_std", log_std)
    return exponential_function(log_mean + log_std * _inverse_normal()(unit))


def poisson(unit: float, mean: Parameter) -> int:
    """Poisson: the smallest count whose distribution function exceeds the draw. Discrete: not differentiable.

    Inversion over a table, exact to about 1e-12 in probability at every mean. The weights come from the recursion
    ``w[k] = w[k-1] * mean / k`` started at the mode with weight 1, and are normalized by their sum, so nothing under-
    or overflows and no log-gamma loses digits. A table costs O(sqrt(mean)) and is kept; a draw from it O(log mean).

    Raises:
        UsageError: unless 0 <= mean <= `POISSON_MEAN_MAX`; beyond it a normal is the same to 1e-4 standard deviations.
    """
    primal = _not_negative("poisson", "mean", mean)
    if primal > POISSON_MEAN_MAX:
        raise UsageError(
            f"poisson: mean={primal!r} is above {POISSON_MEAN_MAX:g}; use round(normal(mean, mean ** 0.5)) there"
        )
    lowest, cumulative = poisson_table(primal)
    return lowest + bisect_right(cumulative, unit, hi=len(cumulative) - 1)


@lru_cache(maxsize=32)
def poisson_table(mean: float) -> tuple[int, list[float]]:
    """The lowest count that matters, and the distribution function from there on."""
    mode = math.floor(mean)
    below = []  # weights of mode - 1, mode - 2, ...
    count, weight = mode, 1.0
    while count > 0 and (weight := weight * count / mean) > _POISSON_NEGLIGIBLE:
        below.append(weight)
        count -= 1
    weights = [*below[::-1], 1.0]
    count, weight = mode + 1, mean / (mode + 1)
    while weight > _POISSON_NEGLIGIBLE:
        weights.append(weight)
        count += 1
        weight = weight * mean / count
    # fsum and accumulate are the same in every Python; sum() of floats changed in 3.12.
    total = math.fsum(weights)
    return mode - len(below), [part / total for part in accumulate(weights)]


def bernoulli(unit: float, probability: Parameter) -> bool:
    """True with the given probability, exactly so at 0 and 1. Discrete: not differentiable.

    Raises:
        UsageError: unless ``0 <= probability <= 1``.
    """
    primal = number_of(probability)
    if not 0.0 <= primal <= 1.0:
        raise UsageError(f"bernoulli: probability={primal!r} is not a probability; give a number from 0 to 1")
    return unit < primal


def index_below(bits: int, count: int) -> int:
    """An index in ``range(count)``, from 64 bits; bias at most ``count / 2**64``. Discrete: not differentiable.

    Raises:
        UsageError: unless ``1 <= count <= 2**64``.

    Source: Lemire, "Fast random integer generation in an interval", 2019, without the rejection: one draw, always.
    """
    if not 1 <= count <= 2**64:
        raise UsageError(f"choice: cannot choose among {count} options; give at least one")
    return (bits * count) >> 64


def weighted_index(unit: float, weights: Sequence[Parameter]) -> int:
    """An index chosen with probability proportional to its weight. Discrete: not differentiable.

    An option of weight zero is never chosen.

    Raises:
        UsageError: unless every weight is finite and not negative, and one is positive.
    """
    primals = [_not_negative("choice", f"weights[{index}]", weight) for index, weight in enumerate(weights)]
    cumulative = list(accumulate(primals))
    if not cumulative or not 0.0 < cumulative[-1] < math.inf:
        raise UsageError(f"choice: weights {primals!r} have no positive finite sum; give at least one positive weight")
    chosen = bisect_right(cumulative, unit * cumulative[-1])
    if chosen == len(primals):  # unit * total rounded up to the total: the last option of positive weight
        chosen = max(index for index, primal in enumerate(primals) if primal > 0.0)
    return chosen


def permutation(bits: int, count: int) -> list[int]:
    """``range(count)`` shuffled (Fisher-Yates, Durstenfeld 1964). Discrete: not differentiable.

    One draw whatever the length, so a longer list does not shift the draws after it: the 64 bits name a stream that
    the swaps draw from. Beyond 20 elements only 2**64 of the permutations are reachable.
    """
    order = list(range(count))
    stream = stream_key(bits, "permutation")
    for last in range(count - 1, 0, -1):
        other = index_below(draw_bits(stream, last), last + 1)
        order[last], order[other] = order[other], order[last]
    return order


def number_of(parameter: Parameter) -> float:
    """The bare number of a parameter. Raises `UsageError` for what is none."""
    # Checks compare primals: comparing the parameters themselves would count as a branch of the program.
    primal: Any = getattr(parameter, "primal", parameter)
    if not hasattr(primal, "__float__"):  # float() alone would accept the string "1.5"
        raise UsageError(f"a distribution parameter must be a number, not {parameter!r}")
    return float(primal)


def _finite(distribution: str, name: str, parameter: Parameter) -> float:
    primal = number_of(parameter)
    if not math.isfinite(primal):
        raise UsageError(f"{distribution}: {name}={primal!r} is not finite; give a finite number")
    return primal


def _not_negative(distribution: str, name: str, parameter: Parameter) -> float:
    primal = _finite(distribution, name, parameter)
    if primal < 0.0:
        raise UsageError(f"{distribution}: {name}={primal!r} is negative; it must be at least 0")
    return primal


def _positive(distribution: str, name: str, parameter: Parameter) -> float:
    primal = _finite(distribution, name, parameter)
    if primal <= 0.0:
        raise UsageError(f"{distribution}: {name}={primal!r} is not positive; give a number above 0")
    return primal
