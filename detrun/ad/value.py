"""`Value`: a float with an id on the tape. Plain Python arithmetic on it is what gets differentiated.

The primal of every result is bit-identical to the same arithmetic on floats in the same order. Each operation that gives a
`Value` allots exactly one id, whether or not a tape is on, and adds exactly one entry if one is. `Value` is not a subclass
of float, so no library takes the number out of it unseen:

- comparisons, ``bool(v)`` and ``abs`` are discontinuity sites with their margin, and comparisons give plain bools;
- ``floor``, ``ceil``, ``round``, ``trunc`` and ``int`` give plain ints and are sites: their derivative is 0 between
  jumps. ``//`` gives a `Value` with zero partials, ``%`` is piecewise linear; both are sites;
- ``float(v)`` gives the primal and ``int(v)`` an int, and both are listed as detachments of the calling line;
- as an index or a dictionary key a `Value` raises `NotDifferentiableError`, for the choice it makes would leave no margin;
- ``repr``, ``str`` and formatting print the number and detach nothing (parsing the text again is beyond any notice).

The bodies below repeat themselves on purpose: a shared body costs one more Python call, a third of the operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, Never, Self, cast

from detrun_scheduler.errors import NotDifferentiableError

from detrun.ad import state
from detrun.ad.adjoint_rules import ABSOLUTE, POWER, REMAINDER, Rule
from detrun.ad.sites import CONSTANT
from detrun.ad.source_lines import calling_line, nearest_user_line, shown
from detrun.ad.tape import NO_PARENT

_new = object.__new__


class Value:
    """A number whose history the tape keeps. ``Value(1.5)`` is a leaf: a parameter or a constant.

    Attributes:
        primal: the float itself. Reading it detaches silently; it is for detrun and for tests.
        id: place in the run's order of Values; equal in every replay.
    """

    __slots__ = ("id", "primal")
    # numpy then leaves `array * value` to us (a TypeError) instead of converting the Value to a bare number.
    __array_ufunc__ = None

    primal: float
    id: int

    def __init__(self, primal: float) -> None:
        if isinstance(primal, Value):
            raise NotDifferentiableError(
                f"Value({primal!r}) would cut the history of a Value; use the Value itself, or lift(x) if x may be either"
            )
        self.primal = float(primal)
        self.id = state.next_id()
        if state.taping:
            state.extend((NO_PARENT, NO_PARENT, 0.0, 0.0))

    # -- arithmetic ------------------------------------------------------------------------------------------------------

    def __add__(self, other: Value | float) -> Value:
        if type(other) is Value:
            result = _new(Value)
            result.primal = self.primal + other.primal
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, other.id, 1.0, 1.0))
            return result
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = self.primal + other
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, NO_PARENT, 1.0, 0.0))
            return result
        return NotImplemented if isinstance(other, Value) or not isinstance(other, Real) else self + float(other)

    def __radd__(self, other: float) -> Value:
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = other + self.primal
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, NO_PARENT, 1.0, 0.0))
            return result
        return float(other) + self if isinstance(other, Real) else NotImplemented

    def __sub__(self, other: Value | float) -> Value:
        if type(other) is Value:
            result = _new(Value)
            result.primal = self.primal - other.primal
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, other.id, 1.0, -1.0))
            return result
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = self.primal - other
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, NO_PARENT, 1.0, 0.0))
            return result
        return NotImplemented if isinstance(other, Value) or not isinstance(other, Real) else self - float(other)

    def __rsub__(self, other: float) -> Value:
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = other - self.primal
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, NO_PARENT, -1.0, 0.0))
            return result
        return float(other) - self if isinstance(other, Real) else NotImplemented

    def __mul__(self, other: Value | float) -> Value:
        if type(other) is Value:
            left = self.primal
            right = other.primal
            result = _new(Value)
            result.primal = left * right
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, other.id, right, left))
            return result
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = self.primal * other
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, NO_PARENT, other, 0.0))
            return result
        return NotImplemented if isinstance(other, Value) or not isinstance(other, Real) else self * float(other)

    def __rmul__(self, other: float) -> Value:
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = other * self.primal
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, NO_PARENT, other, 0.0))
            return result
        return float(other) * self if isinstance(other, Real) else NotImplemented

    def __truediv__(self, other: Value | float) -> Value:
        if type(other) is Value:
            right = other.primal
            result = _new(Value)
            result.primal = primal = self.primal / right
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, other.id, 1.0 / right, -(primal / right)))
            return result
        if type(other) is float or type(other) is int:
            result = _new(Value)
            result.primal = self.primal / other
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, NO_PARENT, 1.0 / other, 0.0))
            return result
        return NotImplemented if isinstance(other, Value) or not isinstance(other, Real) else self / float(other)

    def __rtruediv__(self, other: float) -> Value:
        if type(other) is float or type(other) is int:
            right = self.primal
            result = _new(Value)
            result.primal = primal = other / right
            result.id = state.next_id()
            if state.taping:
                state.extend((self.id, NO_PARENT, -(primal / right), 0.0))
            return result
        return float(other) / self if isinstance(other, Real) else NotImplemented

    def __neg__(self) -> Value:
        result = _new(Value)
        result.primal = -self.primal
        result.id = state.next_id()
        if state.taping:
            state.extend((self.id, NO_PARENT, -1.0, 0.0))
        return result

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Value:
        if state.taping:
            note_comparison("abs", self, 0.0)
        return apply(ABSOLUTE, self)

    def __pow__(self, other: Value | float, modulus: None = None) -> Value:
        if modulus is not None or not isinstance(other, (Value, Real)):
            return NotImplemented
        return _power(self, other)

    def __rpow__(self, other: float, modulus: None = None) -> Value:
        if modulus is not None or not isinstance(other, Real):
            return NotImplemented
        return _power(float(other), self)

    def __floordiv__(self, other: Value | float) -> Value:
        return _floor_divide(self, other) if isinstance(other, (Value, Real)) else NotImplemented

    def __rfloordiv__(self, other: float) -> Value:
        return _floor_divide(float(other), self) if isinstance(other, Real) else NotImplemented

    def __mod__(self, other: Value | float) -> Value:
        return _remainder(self, other) if isinstance(other, (Value, Real)) else NotImplemented

    def __rmod__(self, other: float) -> Value:
        return _remainder(float(other), self) if isinstance(other, Real) else NotImplemented

    def __divmod__(self, other: Value | float) -> tuple[Value, Value]:
        if not isinstance(other, (Value, Real)):
            return NotImplemented
        return _floor_divide(self, other), _remainder(self, other)

    def __rdivmod__(self, other: float) -> tuple[Value, Value]:
        if not isinstance(other, Real):
            return NotImplemented
        return _floor_divide(float(other), self), _remainder(float(other), self)

    # -- comparisons: plain bools, each a discontinuity site ----------------------------------------------------------------

    def __lt__(self, other: Value | float) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.taping:
            note_comparison("<", self, other)
        return self.primal < right

    def __le__(self, other: Value | float) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.taping:
            note_comparison("<=", self, other)
        return self.primal <= right

    def __gt__(self, other: Value | float) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.taping:
            note_comparison(">", self, other)
        return self.primal > right

    def __ge__(self, other: Value | float) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.taping:
            note_comparison(">=", self, other)
        return self.primal >= right

    def __eq__(self, other: object) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.taping:
            note_comparison("==", self, cast(float, other))
        return self.primal == right

    def __ne__(self, other: object) -> bool:
        right = other.primal if type(other) is Value else _bare(other)
        if right is None:
            return NotImplemented
        if state.taping:
            note_comparison("!=", self, cast(float, other))
        return self.primal != right

    def __bool__(self) -> bool:
        if state.taping:
            note_comparison("bool", self, 0.0)
        return self.primal != 0.0

    # -- out of the tape -------------------------------------------------------------------------------------------------------

    def __float__(self) -> float:
        if state.taping:
            _note_detachment()
        return self.primal

    def __int__(self) -> int:
        if state.taping:
            _note_detachment()
            _note_rounding("int", self, math.trunc)
        return int(self.primal)

    def __trunc__(self) -> int:
        if state.taping:
            _note_rounding("trunc", self, math.trunc)
        return math.trunc(self.primal)

    def __floor__(self) -> int:
        if state.taping:
            _note_rounding("floor", self, math.floor)
        return math.floor(self.primal)

    def __ceil__(self) -> int:
        if state.taping:
            _note_rounding("ceil", self, math.ceil)
        return math.ceil(self.primal)

    def __round__(self, digits: int | None = None) -> Any:
        """An int without ``digits``; with them a `Value` with zero partial, as float gives a float."""
        if digits is None:
            if state.taping:
                _note_rounding("round", self, round)
            return round(self.primal)
        if state.taping:
            _note_rounding("round", self, round, 10.0**digits)
        return Value(round(self.primal, digits))

    def __index__(self) -> Never:
        raise NotDifferentiableError(
            f"{self!r} used as an index or a count: the derivative of that choice is lost. "
            "Write int(v), math.floor(v) or round(v): the margin is then reported as a discontinuity site"
        )

    def __hash__(self) -> int:
        # Not `__hash__ = None`: generic code catches TypeError and goes on. A hash would compare Values inside a dict,
        # where no margin can be noted, and equal numbers with different histories would become one key.
        raise NotDifferentiableError(
            f"{self!r} used as a dictionary key, set member or cache argument: which entry it finds has no derivative. "
            "Use float(v) as the key (listed as a detachment), or v.id to tell Values apart"
        )

    def __reduce_ex__(self, protocol: object) -> Never:
        raise NotDifferentiableError(
            f"pickling {self!r} would cut its history; use detrun.pack and detrun.unpack, which carry the tape id, "
            "or pickle float(v) to detach it"
        )

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f"Value({self.primal!r})"

    def __str__(self) -> str:
        return repr(self.primal)

    def __format__(self, specification: str) -> str:
        return format(self.primal, specification)

    # -- what a subclass with tangents replaces -----------------------------------------------------------------------------------

    def apply_rule(self, rule: Rule, arguments: Sequence[Value | float]) -> Value:
        """Apply ``rule`` to arguments of which at least one is a Value and this is the one of the most derived class."""
        primals = [argument.primal if isinstance(argument, Value) else argument for argument in arguments]
        result = _new(Value)
        result.primal = primal = rule.primal(*primals)
        result.id = state.next_id()
        if state.taping:
            partials = rule.partials(primal, *primals)
            kept = [
                (argument.id, partial)
                for argument, partial in zip(arguments, partials, strict=True)
                if isinstance(argument, Value)
            ]
            record(rule.name, result.id, kept)
        return result


def apply(rule: Rule, *arguments: Any) -> Any:
    """Apply an operation of the table: floats give a float, any `Value` among the arguments gives a `Value`."""
    chosen: Value | None = None
    for argument in arguments:
        if isinstance(argument, Value):
            if chosen is None or type(argument) is not Value:
                chosen = argument
        elif type(argument) is not float and not isinstance(argument, Real):
            raise TypeError(f"{rule.name}: expected a number or a Value, got {type(argument).__name__} {argument!r}")
    if chosen is not None:
        return chosen.apply_rule(rule, arguments)
    return rule.primal(*arguments)


def record(name: str, entry_id: int, parents: Sequence[tuple[int, float]]) -> None:
    """Add the entry of an operation with any number of parents, and note where a partial is infinite or undefined."""
    tape = state.tape
    assert tape is not None
    if len(parents) == 1:
        parent, partial = parents[0]
        state.extend((parent, NO_PARENT, partial, 0.0))
    elif len(parents) == 2:
        (left, left_partial), (right, right_partial) = parents
        state.extend((left, right, left_partial, right_partial))
    else:
        tape.add_wide(tuple(parent for parent, _ in parents), tuple(partial for _, partial in parents))
    for _, partial in parents:
        if partial - partial != 0.0:  # inf - inf and nan - nan are nan
            tape.singular[entry_id] = name, shown(nearest_user_line())
            break


def lift(number: Value | float) -> Value:
    """The `Value` itself, or a new leaf that holds a plain number."""
    return number if isinstance(number, Value) else Value(number)


def record_pullback(parents: Sequence[Value], pullback: Callable[[Any], Iterable[Any]], primal: float) -> Value:
    """A `Value` whose derivative is given by code: a torch block, a user's vector-Jacobian product.

    ``pullback(adjoint)`` runs once in the sweep, if adjoint arrives, and gives one adjoint per parent. Adjoints are floats
    unless a bridge agrees with itself on something richer that supports ``0.0 + x`` and ``bool(x)``.
    """
    result = _new(Value)
    result.primal = float(primal)
    result.id = state.next_id()
    if state.taping:
        assert state.tape is not None
        state.tape.add_wide(tuple(parent.id for parent in parents), pullback)
    return result


def note_comparison(kind: str, left: Value | float, right: Value | float, right_weight: float = -1.0) -> None:
    """Note a site for a comparison made two frames below the line that asked for it. Only while a tape is on."""
    place = calling_line(2)
    if place is None:
        return
    left_primal, left_id = (left.primal, left.id) if isinstance(left, Value) else (left, CONSTANT)
    right_primal, right_id = (right.primal, right.id) if isinstance(right, Value) else (right, CONSTANT)
    try:
        margin = float(left_primal + right_weight * right_primal)
    except OverflowError:  # an int beyond every float: no parameter can reach it
        return
    assert state.tape is not None
    state.tape.sites.add(kind, place, None, margin, left_id, right_id, right_weight)


def _note_rounding(kind: str, value: Value, rounding: Callable[[float], int], scale: float = 1.0) -> None:
    """Note the distance to the nearest number at which ``rounding`` jumps; ``scale`` is 10**digits for ``round``."""
    place = calling_line(2)
    scaled = value.primal * scale
    if place is None or not math.isfinite(scaled) or not scale:
        return
    below = math.floor(scaled)
    if rounding is round:
        jump = below + 0.5
    else:
        jump = below if scaled - below <= 0.5 else below + 1
        if rounding is math.trunc and jump == 0:
            jump = -1 if scaled < 0 else 1
    assert state.tape is not None
    state.tape.sites.add(kind, place, None, value.primal - jump / scale, value.id, CONSTANT, 0.0)


def _note_detachment() -> None:
    place = calling_line(2)
    if place is not None:
        assert state.tape is not None
        detachments = state.tape.detachments
        detachments[place] = detachments.get(place, 0) + 1


def _bare(other: object) -> float | None:
    """The number to compare with, ``None`` if it is none. Ints stay ints: Python compares them with floats exactly."""
    if type(other) is float or type(other) is int:
        return other
    if isinstance(other, Value):
        return other.primal
    return float(other) if isinstance(other, Real) else None


def _power(base: Value | float, exponent: Value | float) -> Value:
    base_primal = base.primal if isinstance(base, Value) else base
    exponent_primal = exponent.primal if isinstance(exponent, Value) else exponent
    if base_primal < 0.0 and not float(exponent_primal).is_integer():
        raise NotDifferentiableError(
            f"{base_primal!r} ** {exponent_primal!r} is complex, and Values are real; take abs() of the base or round the exponent"
        )
    return cast(Value, apply(POWER, base, exponent))


def _note_quotient(kind: str, left: Value | float, right: Value | float) -> None:
    # x // y jumps where x - n * y crosses zero for a whole n; take the n nearest to x / y.
    right_primal = right.primal if isinstance(right, Value) else float(right)
    ratio = (left.primal if isinstance(left, Value) else float(left)) / right_primal
    place = calling_line(3)
    if place is None or not math.isfinite(ratio):
        return
    whole = float(round(ratio))
    margin = (left.primal if isinstance(left, Value) else float(left)) - whole * right_primal
    left_id = left.id if isinstance(left, Value) else CONSTANT
    right_id = right.id if isinstance(right, Value) else CONSTANT
    assert state.tape is not None
    state.tape.sites.add(kind, place, None, margin, left_id, right_id, -whole)


def _floor_divide(left: Value | float, right: Value | float) -> Value:
    result = Value(
        (left.primal if isinstance(left, Value) else float(left))
        // (right.primal if isinstance(right, Value) else float(right))
    )
    if state.taping:
        _note_quotient("//", left, right)
    return result


def _remainder(left: Value | float, right: Value | float) -> Value:
    result = cast(Value, apply(REMAINDER, left, right))
    if state.taping:
        _note_quotient("%", left, right)
    return result
