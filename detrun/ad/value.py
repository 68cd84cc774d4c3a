"""`Value`: a float with an id on the tape. Arithmetic on Values is differentiated.

The primal of every result is bit-identical to the same arithmetic on floats in the same order. Each operation that
gives a `Value` allots exactly one id, whether or not a tape is on, and adds exactly one entry if one is. `Value` is not
a subclass of float, so no library takes the number out of it unseen:

- comparisons, ``bool(v)`` and ``abs`` are discontinuity sites with their margin, and comparisons give plain bools;
- ``floor``, ``ceil``, ``round``, ``trunc`` and ``int`` give plain ints and are sites: their derivative is 0 between
  jumps. ``//`` gives a `Value` with zero partials, ``%`` is piecewise linear; both are sites;
- ``float(v)`` gives the primal and ``int(v)`` an int, and both are listed as detachments of the calling line;
- as an index, a count or a dictionary key a `Value` raises `NotDifferentiableError`, for that choice would leave no
  margin; so it does when pickled, and as ``v.hex()`` or ``v.as_integer_ratio()``. What insists on a float by its type
  (``random.seed``, ``json``, ``Decimal``, ``timedelta``) raises the TypeError that it has for other types;
- ``repr``, ``str`` and formatting print the number and detach nothing (parsing the text again is beyond any notice).

The bodies below repeat themselves on purpose: a shared body costs one more Python call, a third of the operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Self, cast

from detrun.ad import notes, state
from detrun.ad.adjoint_rules import ABSOLUTE, POWER, REMAINDER, Rule
from detrun.ad.conversions import Conversions
from detrun.ad.tape import NO_PARENT
from detrun_scheduler.errors import NotDifferentiableError, UsageError

_new = object.__new__


class Value(Conversions):
    """A number whose history the tape keeps. ``Value(1.5)`` is a leaf: a parameter or a constant.

    Attributes:
        primal: the float itself. Reading it detaches silently; it is for detrun and for tests.
        id: place in the order of all Values of the process, for detrun; another one in each run.
    """

    __slots__ = ("id", "primal")
    primal: float
    id: int

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # torch asks each class that takes part in its arithmetic for this.
        return state.torch_function(function, args, kwargs or {})

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        # numpy asks each class that takes part in its functions for this.
        return state.array_ufunc(ufunc, method, inputs, keywords)

    def __init__(self, primal: float) -> None:
        if not isinstance(primal, Real):
            if isinstance(primal, Value):
                raise NotDifferentiableError(
                    f"Value({primal!r}) would cut the history of a Value; use the Value itself, or lift(x) for either"
                )
            raise UsageError(f"Value({primal!r}): expected a real number, got {type(primal).__name__}")
        self.primal = float(primal)
        self.id = next(state.ids)
        if state.taping:
            state.extend((NO_PARENT, NO_PARENT, 0.0, 0.0))

    def __add__(self, other: Value | float) -> Value:
        if type(other) is Value:
            result = _new(Value)
            result.primal = self.primal + other.primal
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, other.id, 1.0, 1.0))
            return result
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = self.primal + other
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, NO_PARENT, 1.0, 0.0))
            return result
        if isinstance(other, Real):
            return self + float(other)
        return NotImplemented

    def __radd__(self, other: float) -> Value:
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = other + self.primal
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, NO_PARENT, 1.0, 0.0))
            return result
        if isinstance(other, Real):
            return float(other) + self
        return NotImplemented

    def __sub__(self, other: Value | float) -> Value:
        if type(other) is Value:
            result = _new(Value)
            result.primal = self.primal - other.primal
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, other.id, 1.0, -1.0))
            return result
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = self.primal - other
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, NO_PARENT, 1.0, 0.0))
            return result
        if isinstance(other, Real):
            return self - float(other)
        return NotImplemented

    def __rsub__(self, other: float) -> Value:
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = other - self.primal
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, NO_PARENT, -1.0, 0.0))
            return result
        if isinstance(other, Real):
            return float(other) - self
        return NotImplemented

    def __mul__(self, other: Value | float) -> Value:
        if type(other) is Value:
            left = self.primal
            right = other.primal
            result = _new(Value)
            result.primal = left * right
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, other.id, right, left))
            return result
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = self.primal * other
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, NO_PARENT, other, 0.0))
            return result
        if isinstance(other, Real):
            return self * float(other)
        return NotImplemented

    def __rmul__(self, other: float) -> Value:
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = other * self.primal
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, NO_PARENT, other, 0.0))
            return result
        if isinstance(other, Real):
            return float(other) * self
        return NotImplemented

    def __truediv__(self, other: Value | float) -> Value:
        if type(other) is Value:
            right = other.primal
            result = _new(Value)
            result.primal = primal = self.primal / right
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, other.id, 1.0 / right, -(primal / right)))
                if state.bends is not None:
                    state.bends(result.id, True)
            return result
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = self.primal / other
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, NO_PARENT, 1.0 / other, 0.0))
            return result
        if isinstance(other, Real):
            return self / float(other)
        return NotImplemented

    def __rtruediv__(self, other: float) -> Value:
        if type(other) is float or type(other) is int:
            right = self.primal
            result = _new(Value)
            result.primal = primal = other / right
            result.id = next(state.ids)
            if state.taping:
                state.extend((self.id, NO_PARENT, -(primal / right), 0.0))
                if state.bends is not None:
                    state.bends(result.id, False)
            return result
        if isinstance(other, Real):
            return float(other) / self
        return NotImplemented

    def __neg__(self) -> Value:
        result = _new(Value)
        result.primal = -self.primal
        result.id = next(state.ids)
        if state.taping:
            state.extend((self.id, NO_PARENT, -1.0, 0.0))
        return result

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Value:
        if state.noting:
            notes.margin("abs", self.primal, self)
        return cast(Value, apply(ABSOLUTE, self))

    def __pow__(self, other: Value | float, modulus: None = None) -> Value:
        if modulus is not None or not isinstance(other, (Value, Real)):
            return NotImplemented
        return _power(self, other)

    def __rpow__(self, other: float, modulus: None = None) -> Value:
        if modulus is not None or not isinstance(other, Real):
            return NotImplemented
        return _power(float(other), self)

    def __floordiv__(self, other: Value | float) -> Value:
        if isinstance(other, (Value, Real)):
            return _floor_divide(self, other)
        return NotImplemented

    def __rfloordiv__(self, other: float) -> Value:
        if isinstance(other, Real):
            return _floor_divide(float(other), self)
        return NotImplemented

    def __mod__(self, other: Value | float) -> Value:
        if isinstance(other, (Value, Real)):
            return _remainder(self, other)
        return NotImplemented

    def __rmod__(self, other: float) -> Value:
        if isinstance(other, Real):
            return _remainder(float(other), self)
        return NotImplemented

    def __divmod__(self, other: Value | float) -> tuple[Value, Value]:
        if isinstance(other, (Value, Real)):
            return _floor_divide(self, other), _remainder(self, other)
        return cast("tuple[Value, Value]", NotImplemented)

    def __rdivmod__(self, other: float) -> tuple[Value, Value]:
        if isinstance(other, Real):
            return _floor_divide(float(other), self), _remainder(float(other), self)
        return cast("tuple[Value, Value]", NotImplemented)

    def __lt__(self, other: Value | float) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.noting:
            _note_comparison("<", self, other)
        return self.primal < right

    def __le__(self, other: Value | float) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.noting:
            _note_comparison("<=", self, other)
        return self.primal <= right

    def __gt__(self, other: Value | float) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.noting:
            _note_comparison(">", self, other)
        return self.primal > right

    def __ge__(self, other: Value | float) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.noting:
            _note_comparison(">=", self, other)
        return self.primal >= right

    def __eq__(self, other: object) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.noting:
            _note_comparison("==", self, cast(float, other))
        return self.primal == right

    def __ne__(self, other: object) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.noting:
            _note_comparison("!=", self, cast(float, other))
        return self.primal != right

    def __bool__(self) -> bool:
        if state.noting:
            notes.margin("bool", self.primal, self)
        return self.primal != 0.0

    __hash__ = Conversions.__hash__  # defining __eq__ has dropped it

    def _constant(self, primal: float) -> Value:
        return Value(primal)

    def apply_rule(self, rule: Rule, arguments: Sequence[Value | float]) -> Value:
        """Apply ``rule`` to arguments, this among them; `apply` picks which argument decides how to."""
        primals = [argument.primal if isinstance(argument, Value) else float(argument) for argument in arguments]
        result = _new(Value)
        result.primal = primal = compute(rule, primals)
        result.id = next(state.ids)
        if state.taping:
            partials = rule.partials(primal, *primals)
            kept = [
                (argument.id, partial)
                for argument, partial in zip(arguments, partials, strict=True)
                if isinstance(argument, Value)
            ]
            notes.record_entry(rule.name, result.id, kept)
        return result


def apply(rule: Rule, *arguments: Any) -> Any:
    """Apply an operation of the table: floats give a float, any `Value` among the arguments gives a `Value`."""
    chosen: Value | None = None
    for argument in arguments:
        if isinstance(argument, Value):
            if chosen is None or type(argument) is not Value:
                chosen = argument
        elif type(argument) is not float and not isinstance(argument, Real):
            raise UsageError(f"{rule.name}({argument!r}): expected a number or a Value, got {type(argument).__name__}")
    if chosen is not None:
        return chosen.apply_rule(rule, arguments)
    return compute(rule, arguments)


def compute(rule: Rule, primals: Sequence[float]) -> float:
    """The primal; a domain error names the operation and its arguments, and keeps the type that `math` gives it."""
    try:
        return rule.primal(*primals)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        shown = ", ".join(map(repr, primals[:3])) + (", …" if len(primals) > 3 else "")
        raise type(error)(f"{rule.name}({shown}): {error}") from None


def lift(number: Value | float) -> Value:
    """The `Value` itself, or a new leaf that holds a plain number."""
    return number if isinstance(number, Value) else Value(number)


def primal_of(number: Value | float) -> float:
    """The bare float, detaching unlisted: for detrun's own bookkeeping, never on a user's behalf."""
    return number.primal if isinstance(number, Value) else float(number)


def id_of(number: Value | float) -> int:
    """The id, or ``NO_PARENT`` for a plain number."""
    return number.id if isinstance(number, Value) else NO_PARENT


def _note_comparison(kind: str, left: Value, right: Value | float) -> None:
    if isinstance(right, Value):
        notes.margin(kind, left.primal - right.primal, left, right, -1.0, 3)
        return
    try:
        difference = left.primal - right
    except OverflowError:  # an int beyond every float: no parameter can reach it
        return
    notes.margin(kind, float(difference), left, None, -1.0, 3)


def _bare(other: object) -> float | None:
    """The number to compare with, ``None`` if it is none. Ints stay ints: Python compares them with floats exactly."""
    if type(other) is float or type(other) is int:
        return other
    if isinstance(other, Value):
        return other.primal
    return float(other) if isinstance(other, Real) else None


def _power(base: Value | float, exponent: Value | float) -> Value:
    power = primal_of(exponent)
    if -math.inf < primal_of(base) < 0.0 and math.isfinite(power) and not power.is_integer():
        raise NotDifferentiableError(
            f"{primal_of(base)!r} ** {power!r} is complex, and Values are real; "
            "take abs() of the base or round the exponent"
        )
    return cast(Value, apply(POWER, base, exponent))


def _floor_divide(left: Value | float, right: Value | float) -> Value:
    result = Value(primal_of(left) // primal_of(right))
    if state.noting:
        notes.quotient("//", left, right)
    return result


def _remainder(left: Value | float, right: Value | float) -> Value:
    result = cast(Value, apply(REMAINDER, left, right))
    if state.noting:
        notes.quotient("%", left, right)
    return result
