"""Mathematical functions on floats and Values: a float in gives the float of `math`, a `Value` in gives a `Value`.

Errors are those of `math` (``log(0)`` is a ValueError), with the operation and its arguments in the message. Where a
function is defined but its derivative is not (``sqrt`` at 0), only adjoint that arrives there raises; see `reverse`.

Reductions are one entry on the tape for any number of terms. `sum`, `mean` and `dot` fold plainly from the left,
starting at 0.0: the same bits on every Python, which the builtin ``sum`` of floats does not give since 3.12.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, overload

from detrun.ad import adjoint_rules as rules
from detrun.ad import notes, state
from detrun.ad.value import Value, apply, lift, primal_of
from detrun_scheduler.errors import UsageError

Scalar = TypeVar("Scalar", float, Value)
Number = Value | float


def exp(x: Scalar) -> Scalar:
    """``e**x``."""
    result: Scalar = apply(rules.EXP, x)
    return result


def expm1(x: Scalar) -> Scalar:
    """``exp(x) - 1``, accurate near 0."""
    result: Scalar = apply(rules.EXPM1, x)
    return result


def log(x: Scalar) -> Scalar:
    """Natural logarithm; ValueError unless ``x > 0``."""
    result: Scalar = apply(rules.LOG, x)
    return result


def log1p(x: Scalar) -> Scalar:
    """``log(1 + x)``, accurate near 0."""
    result: Scalar = apply(rules.LOG1P, x)
    return result


def log2(x: Scalar) -> Scalar:
    """Logarithm to base 2."""
    result: Scalar = apply(rules.LOG2, x)
    return result


def log10(x: Scalar) -> Scalar:
    """Logarithm to base 10."""
    result: Scalar = apply(rules.LOG10, x)
    return result


def sqrt(x: Scalar) -> Scalar:
    """Square root; its derivative at 0 is infinite."""
    result: Scalar = apply(rules.SQRT, x)
    return result


def sin(x: Scalar) -> Scalar:
    """Sine, of radians."""
    result: Scalar = apply(rules.SIN, x)
    return result


def cos(x: Scalar) -> Scalar:
    """Cosine, of radians."""
    result: Scalar = apply(rules.COS, x)
    return result


def tan(x: Scalar) -> Scalar:
    """Tangent, of radians."""
    result: Scalar = apply(rules.TAN, x)
    return result


def sinh(x: Scalar) -> Scalar:
    """Hyperbolic sine."""
    result: Scalar = apply(rules.SINH, x)
    return result


def cosh(x: Scalar) -> Scalar:
    """Hyperbolic cosine."""
    result: Scalar = apply(rules.COSH, x)
    return result


def tanh(x: Scalar) -> Scalar:
    """Hyperbolic tangent."""
    result: Scalar = apply(rules.TANH, x)
    return result


def asin(x: Scalar) -> Scalar:
    """Arc sine; its derivative at -1 and 1 is infinite."""
    result: Scalar = apply(rules.ASIN, x)
    return result


def acos(x: Scalar) -> Scalar:
    """Arc cosine; its derivative at -1 and 1 is infinite."""
    result: Scalar = apply(rules.ACOS, x)
    return result


def atan(x: Scalar) -> Scalar:
    """Arc tangent."""
    result: Scalar = apply(rules.ATAN, x)
    return result


def asinh(x: Scalar) -> Scalar:
    """Inverse hyperbolic sine."""
    result: Scalar = apply(rules.ASINH, x)
    return result


def acosh(x: Scalar) -> Scalar:
    """Inverse hyperbolic cosine, of at least 1, where its derivative is infinite."""
    result: Scalar = apply(rules.ACOSH, x)
    return result


def atanh(x: Scalar) -> Scalar:
    """Inverse hyperbolic tangent."""
    result: Scalar = apply(rules.ATANH, x)
    return result


def erfc(x: Scalar) -> Scalar:
    """``1 - erf(x)``, accurate where that is small."""
    result: Scalar = apply(rules.ERFC, x)
    return result


def erf(x: Scalar) -> Scalar:
    """Error function."""
    result: Scalar = apply(rules.ERF, x)
    return result


def sigmoid(x: Scalar) -> Scalar:
    """``1 / (1 + exp(-x))``, without overflow."""
    result: Scalar = apply(rules.SIGMOID, x)
    return result


def softplus(x: Scalar) -> Scalar:
    """``log(1 + exp(x))``, without overflow."""
    result: Scalar = apply(rules.SOFTPLUS, x)
    return result


@overload
def atan2(y: float, x: float) -> float: ...
@overload
def atan2(y: Value, x: Number) -> Value: ...
@overload
def atan2(y: Number, x: Value) -> Value: ...
def atan2(y: Number, x: Number) -> Number:
    """Angle of the point ``(x, y)``; no derivative at the origin."""
    result: Number = apply(rules.ATAN2, y, x)
    return result


def hypot(*coordinates: Number) -> Number:
    """Euclidean length; no derivative at the origin."""
    result: Number = apply(rules.HYPOT, *coordinates)
    return result


def relu(x: Scalar) -> Scalar:
    """``x`` if positive, else 0 with derivative 0, also at 0 itself; a discontinuity site."""
    result: Scalar = _chosen("relu", x, 0.0, primal_of(x) > 0.0)  # type: ignore[assignment]
    return result


def minimum(a: Number, b: Number) -> Number:
    """The smaller, ``a`` on a tie, as the builtin ``min``; a discontinuity site. All adjoint goes to the one chosen."""
    return _chosen("minimum", a, b, not primal_of(b) < primal_of(a))


def maximum(a: Number, b: Number) -> Number:
    """The larger, ``a`` on a tie, as the builtin ``max``; a discontinuity site. All adjoint goes to the one chosen."""
    return _chosen("maximum", a, b, not primal_of(b) > primal_of(a))


def clip(x: Number, low: Number, high: Number) -> Number:
    """``x`` held between two bounds; two discontinuity sites. Raises `UsageError` if the bounds are out of order."""
    if primal_of(low) > primal_of(high):
        raise UsageError(f"clip: the lower bound {low!r} is above the upper bound {high!r}")
    return minimum(maximum(x, low), high)


def where(condition: bool | Value, a: Number, b: Number) -> Number:
    """``a`` if the condition holds, else ``b``. The comparison that made the condition is the discontinuity site."""
    chosen = a if condition else b
    return lift(chosen) if isinstance(a, Value) or isinstance(b, Value) else chosen


def sum(terms: Iterable[Number]) -> Number:
    """Plain left fold from 0.0."""
    return _reduced(rules.SUM, terms)


def mean(terms: Iterable[Number]) -> Number:
    """`sum` over the number of terms, of which there must be one."""
    return _reduced(rules.MEAN, terms, least=1)


def prod(factors: Iterable[Number]) -> Number:
    """Plain left fold from 1.0; the derivative is right where factors are 0."""
    return _reduced(rules.PRODUCT, factors)


def dot(left: Iterable[Number], right: Iterable[Number]) -> Number:
    """``sum(x * y)``, folded from the left. Raises `UsageError` if the lengths differ."""
    lefts, rights = list(left), list(right)
    if len(lefts) != len(rights):
        raise UsageError(f"dot: {len(lefts)} numbers on the left, {len(rights)} on the right")
    return _reduced(rules.DOT, [one for pair in zip(lefts, rights, strict=True) for one in pair])


def logsumexp(terms: Iterable[Number]) -> Number:
    """``log(sum(exp(x)))`` without overflow."""
    return _reduced(rules.LOG_SUM_EXP, terms, least=1)


def norm(components: Iterable[Number]) -> Number:
    """Euclidean length of a list; no derivative where all are 0."""
    return _reduced(rules.NORM, components)


def _reduced(rule: rules.Rule, terms: Iterable[Number], least: int = 0) -> Number:
    listed = list(terms)
    if len(listed) < least:
        raise UsageError(f"{rule.name}: needs at least {least} number, got none")
    result: Number = apply(rule, *listed)
    return result


def _chosen(kind: str, a: Number, b: Number, first: bool) -> Number:
    if not isinstance(a, Value) and not isinstance(b, Value):
        return float(a if first else b)
    if state.noting:
        notes.margin(kind, primal_of(a) - primal_of(b), a, b)
    # No entry for the choice: the chosen Value itself goes on, and carries its adjoint without one more addition.
    return lift(a if first else b)
