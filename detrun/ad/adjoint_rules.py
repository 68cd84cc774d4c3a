"""The table of scalar operations and their partial derivatives. A new operation is registered here.

A `Rule` has a name, a *primal* on plain floats, and *partials*: ``partials(result, *arguments)`` gives one partial per
argument. To add an operation, `register` a rule here and call it by ``apply(RULE, *arguments)`` (see `functions`).

Two things a rule must keep. Partials use only ``+ - * / **`` and other rules through `evaluate`, because second
derivatives come from evaluating the same partials on dual numbers. And partials never raise: where the derivative does
not exist they give inf or nan, which is an error only if adjoint arrives there (`reverse`), since ``sqrt(x)`` at 0 is
harmless in a branch that the loss ignores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Partials see floats, or dual numbers in second order; `Any` because no static type covers both without a protocol
# that would repeat the number tower.
Number = Any


@dataclass(frozen=True, slots=True)
class Rule:
    """One operation: ``primal`` maps floats to a float, ``partials`` maps the result and arguments to partials."""

    name: str
    primal: Callable[..., float]
    partials: Callable[..., Sequence[Number]]


RULES: dict[str, Rule] = {}


def register(name: str, primal: Callable[..., float], partials: Callable[..., Sequence[Number]]) -> Rule:
    """Add an operation to the table; names are unique because reports and errors use them."""
    assert name not in RULES, f"an adjoint rule named {name!r} exists already"
    rule = RULES[name] = Rule(name, primal, partials)
    return rule


def evaluate(rule: Rule, *arguments: Number) -> Number:
    """The operation on floats, or on dual numbers if any argument is one."""
    for argument in arguments:
        if not isinstance(argument, (float, int)):
            return argument.evaluate(rule, arguments)
    return rule.primal(*arguments)


def quotient(numerator: Number, denominator: Number) -> Number:
    """Division that gives inf or nan at zero, as partials must."""
    if denominator == 0.0:
        return math.nan if numerator == 0.0 or numerator != numerator else math.copysign(math.inf, float(numerator))
    return numerator / denominator


def _power(base: Number, exponent: Number) -> Number:
    try:
        result = base**exponent
    except ZeroDivisionError:
        return math.inf
    except OverflowError:
        return math.inf
    return math.nan if isinstance(result, complex) else result


def _power_partials(result: Number, base: Number, exponent: Number) -> Sequence[Number]:
    by_base = 0.0 if base == 0.0 and exponent == 0.0 else exponent * _power(base, exponent - 1.0)
    if base > 0.0:
        return by_base, result * evaluate(LOG, base)
    # 0**y is 0 for every y > 0, so its derivative is 0 there; elsewhere base**y is not a real function of y.
    return by_base, 0.0 if base == 0.0 and exponent > 0.0 else math.nan


def _sign(value: Number) -> float:
    return 1.0 if value > 0.0 else -1.0 if value < 0.0 else math.nan


def _sigmoid(value: float) -> float:
    if value >= 0.0:
        return 1.0 / (1.0 + math.exp(-value))
    grown = math.exp(value)
    return grown / (1.0 + grown)


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _sum(*terms: float) -> float:
    total = 0.0
    for term in terms:
        total += term
    return total


def _product(*factors: float) -> float:
    product = 1.0
    for factor in factors:
        product *= factor
    return product


def _product_partials(_result: Number, *factors: Number) -> Sequence[Number]:
    # Products of everything before times everything after: exact where a factor is zero, which division is not.
    before: list[Number] = [1.0]
    for factor in factors[:-1]:
        before.append(before[-1] * factor)
    partials = list(before)
    after: Number = 1.0
    for place in range(len(factors) - 1, -1, -1):
        partials[place] = partials[place] * after
        after = after * factors[place]
    return partials


def _dot(*interleaved: float) -> float:
    total = 0.0
    for place in range(0, len(interleaved), 2):
        total += interleaved[place] * interleaved[place + 1]
    return total


def _dot_partials(_result: Number, *interleaved: Number) -> Sequence[Number]:
    return [interleaved[place ^ 1] for place in range(len(interleaved))]


def _log_sum_exp(*terms: float) -> float:
    largest = max(terms)
    if math.isinf(largest):
        return largest
    return largest + math.log(_sum(*(math.exp(term - largest) for term in terms)))


def _norm(*components: float) -> float:
    return math.hypot(*components)


def _direction(result: Number, *components: Number) -> Sequence[Number]:
    return [quotient(component, result) for component in components]


TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)
LOG_TWO, LOG_TEN = math.log(2.0), math.log(10.0)


def _cosine(value: Number) -> Number:
    return evaluate(COS, value)


def _sine(value: Number) -> Number:
    return evaluate(SIN, value)


def _atan2_partials(_result: Number, y: Number, x: Number) -> Sequence[Number]:
    # Divided by the length twice: its square underflows at 1e-170.
    length = evaluate(HYPOT, y, x)
    return quotient(quotient(x, length), length), -quotient(quotient(y, length), length)


def _hyperbolic_cosine(value: Number) -> Number:
    return evaluate(COSH, value)


ADD = register("+", lambda x, y: x + y, lambda _, x, y: (1.0, 1.0))
SUBTRACT = register("-", lambda x, y: x - y, lambda _, x, y: (1.0, -1.0))
MULTIPLY = register("*", lambda x, y: x * y, lambda _, x, y: (y, x))
DIVIDE = register("/", lambda x, y: x / y, lambda z, x, y: (quotient(1.0, y), -quotient(z, y)))
POWER = register("**", lambda x, y: x**y, _power_partials)
NEGATIVE = register("negative", lambda x: -x, lambda _, x: (-1.0,))
ABSOLUTE = register("abs", lambda x: abs(x), lambda _, x: (_sign(x),))
# The floor inside is a constant between jumps, and a jump is a discontinuity site, not an infinite slope.
REMAINDER = register("%", lambda x, y: x % y, lambda _, x, y: (1.0, -float(float(x) // float(y))))

EXP = register("exp", math.exp, lambda y, x: (y,))
EXPM1 = register("expm1", math.expm1, lambda y, x: (evaluate(EXP, x),))
LOG = register("log", math.log, lambda _, x: (1.0 / x,))
LOG1P = register("log1p", math.log1p, lambda _, x: (1.0 / (1.0 + x),))
LOG2 = register("log2", math.log2, lambda _, x: (1.0 / (x * LOG_TWO),))
LOG10 = register("log10", math.log10, lambda _, x: (1.0 / (x * LOG_TEN),))
SQRT = register("sqrt", math.sqrt, lambda y, x: (quotient(0.5, y),))
SIN = register("sin", math.sin, lambda _, x: (_cosine(x),))
COS = register("cos", math.cos, lambda _, x: (-_sine(x),))
TAN = register("tan", math.tan, lambda y, x: (1.0 + y * y,))
SINH = register("sinh", math.sinh, lambda _, x: (_hyperbolic_cosine(x),))
COSH = register("cosh", math.cosh, lambda _, x: (evaluate(SINH, x),))
TANH = register("tanh", math.tanh, lambda y, x: (1.0 - y * y,))
ASIN = register("asin", math.asin, lambda _, x: (quotient(1.0, evaluate(SQRT, 1.0 - x * x)),))
ACOS = register("acos", math.acos, lambda _, x: (-quotient(1.0, evaluate(SQRT, 1.0 - x * x)),))
ATAN = register("atan", math.atan, lambda _, x: (1.0 / (1.0 + x * x),))
ATAN2 = register("atan2", math.atan2, _atan2_partials)
HYPOT = register("hypot", math.hypot, _direction)
ASINH = register("asinh", math.asinh, lambda _, x: (1.0 / evaluate(HYPOT, x, 1.0),))
ACOSH = register("acosh", math.acosh, lambda _, x: (quotient(1.0, evaluate(SQRT, (x - 1.0) * (x + 1.0))),))
ATANH = register("atanh", math.atanh, lambda _, x: (quotient(1.0, (1.0 - x) * (1.0 + x)),))
ERFC = register("erfc", math.erfc, lambda _, x: (-TWO_OVER_ROOT_PI * evaluate(EXP, -(x * x)),))
ERF = register("erf", math.erf, lambda _, x: (TWO_OVER_ROOT_PI * evaluate(EXP, -(x * x)),))
SIGMOID = register("sigmoid", _sigmoid, lambda y, x: (y * (1.0 - y),))
SOFTPLUS = register("softplus", _softplus, lambda _, x: (evaluate(SIGMOID, x),))

# Reductions: any number of arguments, one fused entry on the tape.
SUM = register("sum", _sum, lambda _, *terms: (1.0,) * len(terms))
MEAN = register("mean", lambda *terms: _sum(*terms) / len(terms), lambda _, *terms: (1.0 / len(terms),) * len(terms))
PRODUCT = register("prod", _product, _product_partials)
DOT = register("dot", _dot, _dot_partials)
LOG_SUM_EXP = register("logsumexp", _log_sum_exp, lambda y, *terms: [evaluate(EXP, term - y) for term in terms])
NORM = register("norm", _norm, _direction)
