"""Functions of numpy on `Value`s, elementwise and with their derivatives.

``numpy.array([x, y])`` of Values is an array of objects. Its arithmetic is that of its elements, and for everything
else numpy asks each element for a method of the function's name (``exp``, ``arctan2``): `install` gives `Value` these.
Their numbers are those that numpy gives for a float, which may differ from `math`'s in the last bit, so that a program
computes the same with Values and with floats. A Value beside an array of floats, or as an argument of numpy's own
functions, comes through ``__array_ufunc__`` and becomes an array of objects.

What cannot hold a Value says so: writing into an array of floats in place, and functions without a rule here. numpy
adds plain floats pairwise and objects one by one, so the last bits of a sum of eight or more may differ.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from math import nan
from typing import Any

from detrun.ad import adjoint_rules as rules
from detrun.ad import state
from detrun.ad.adjoint_rules import Rule
from detrun.ad.value import Value, apply, lift
from detrun_scheduler.errors import NotDifferentiableError

# numpy's name -> the operation. Names that arithmetic covers (add, power, maximum, …) need no entry.
RULES = {
    "exp": rules.EXP,
    "expm1": rules.EXPM1,
    "log": rules.LOG,
    "log1p": rules.LOG1P,
    "log2": rules.LOG2,
    "log10": rules.LOG10,
    "sqrt": rules.SQRT,
    "sin": rules.SIN,
    "cos": rules.COS,
    "tan": rules.TAN,
    "sinh": rules.SINH,
    "cosh": rules.COSH,
    "tanh": rules.TANH,
    "arcsin": rules.ASIN,
    "arccos": rules.ACOS,
    "arctan": rules.ATAN,
    "arcsinh": rules.ASINH,
    "arccosh": rules.ACOSH,
    "arctanh": rules.ATANH,
    "arctan2": rules.ATAN2,
    "hypot": rules.HYPOT,
}

_made: dict[str, Rule] = {}  # rules with numpy's own primal; facts that no run can change


def install() -> None:
    """Let numpy's functions take Values. `import detrun` calls this; numpy itself is not imported."""
    state.array_ufunc = _call
    for name in RULES:
        setattr(Value, name, _method(name))
    Value.fabs = Value.__abs__  # type: ignore[attr-defined]


def _method(name: str) -> Callable[..., Any]:
    def method(self: Value, *others: Any) -> Any:
        return apply(_rule(name), self, *others)

    method.__name__ = name
    method.__doc__ = f"``numpy.{name}`` of an array of Values asks each element for this."
    return method


def _rule(name: str) -> Rule:
    found = _made.get(name)
    if found is None:
        function, rule = getattr(sys.modules["numpy"], name), RULES[name]

        def primal(*numbers: float) -> float:
            return float(function(*numbers))

        def partials(result: Any, *numbers: Any) -> Sequence[Any]:
            try:
                return rule.partials(result, *numbers)
            except (ValueError, ZeroDivisionError, OverflowError):
                return (nan,) * len(numbers)  # numpy goes on where `math` raises; an adjoint that arrives here raises

        found = _made[name] = Rule(name, primal, partials)
    return found


def _call(ufunc: Any, method: str, inputs: Sequence[Any], keywords: dict[str, Any]) -> Any:
    numpy = sys.modules["numpy"]
    name = ufunc.__name__
    for out in keywords.get("out") or ():
        if isinstance(out, numpy.ndarray) and out.dtype != object:
            raise NotDifferentiableError(
                f"numpy.{name} would write Values into an array of {out.dtype} in place, which holds bare numbers; "
                "make the array with dtype=object, or write a = a + x instead of a += x"
            )
    objects = [_as_objects(numpy, one, lifted=name in RULES) for one in inputs]
    try:
        return getattr(ufunc, method)(*objects, **keywords)
    except TypeError as error:
        raise NotDifferentiableError(
            f"numpy.{name} has no derivative for Values ({error}). It knows arithmetic, comparisons, "
            f"{', '.join(RULES)}; write it with these, or give it float(v) to take the bare number (listed as a "
            "detachment)"
        ) from None


def _as_objects(numpy: Any, one: Any, *, lifted: bool) -> Any:
    """An array of objects; of Values if numpy is to ask each of them for a method, which floats have not."""
    if isinstance(one, Value):
        array = numpy.empty((), dtype=object)
        array[()] = one
        return array
    array = numpy.asarray(one).astype(object)
    if lifted:
        flat = [lift(number) for number in array.reshape(-1)]
        array = numpy.array([*flat, None], dtype=object)[:-1].reshape(array.shape)
    return array
