"""Forward mode: a tangent beside each number, carried along while the program runs, or swept over a finished tape.

A `TangentValue` is a `Value` with one tangent per direction. Whatever is computed from one is one again; whatever does
not depend on a parameter stays a plain `Value`. Reverse mode pays nothing for this, and memory does not grow with the
run: a tangent lives as long as its Value. Ids are allotted exactly as in reverse mode.

With a tape on, operations on TangentValues also leave the tangents of their partials on it: forward over reverse, see
`second_order`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import cast

from detrun.ad import notes, state
from detrun.ad.adjoint_rules import ADD, DIVIDE, MULTIPLY, NEGATIVE, SUBTRACT, Rule
from detrun.ad.dual import Dual, Tangent, combine
from detrun.ad.tape import WIDE, Tape
from detrun.ad.value import Value, apply, compute
from detrun_scheduler.errors import NotDifferentiableError, UsageError


class TangentValue(Value):
    """A `Value` with its derivative in each of a handful of directions. Made by `with_tangents`."""

    __slots__ = ("tangent",)

    tangent: Tangent

    def __init__(self, primal: float, tangent: Tangent) -> None:
        super().__init__(primal)
        self.tangent = tangent

    def apply_rule(self, rule: Rule, arguments: Sequence[Value | float]) -> Value:
        for argument in arguments:
            if isinstance(argument, TangentValue) and argument.id < state.first_id:
                raise _foreign(argument)
        primals = [argument.primal if isinstance(argument, Value) else float(argument) for argument in arguments]
        result = TangentValue.__new__(TangentValue)
        result.primal = primal = compute(rule, primals)
        result.id = next(state.ids)
        partials = rule.partials(primal, *primals)
        result.tangent = combine(
            (partial, argument.tangent)
            for argument, partial in zip(arguments, partials, strict=True)
            if isinstance(argument, TangentValue)
        )
        if state.taping:
            kept = [
                (argument.id, partial)
                for argument, partial in zip(arguments, partials, strict=True)
                if isinstance(argument, Value)
            ]
            notes.record_entry(rule.name, result.id, kept)
            _record_partial_tangents(rule, result, arguments)
        return result

    # Without a tape the four operations are written out, five times faster than through the table of rules. Whatever
    # else comes (a tape, an int, a number of another library, a tangent of another run) takes the table.

    def __add__(self, other: Value | float) -> Value:
        if not state.taping and self.id >= state.first_id:
            if type(other) is TangentValue and other.id >= state.first_id:
                return _made(self.primal + other.primal, _blend(1.0, self.tangent, 1.0, other.tangent))
            if type(other) is float:
                return _made(self.primal + other, self.tangent)
            if type(other) is Value:
                return _made(self.primal + other.primal, self.tangent)
        if isinstance(other, (Value, Real)):
            return cast(Value, apply(ADD, self, other))
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Value | float) -> Value:
        if not state.taping and self.id >= state.first_id:
            if type(other) is TangentValue and other.id >= state.first_id:
                return _made(self.primal - other.primal, _blend(1.0, self.tangent, -1.0, other.tangent))
            if type(other) is float:
                return _made(self.primal - other, self.tangent)
            if type(other) is Value:
                return _made(self.primal - other.primal, self.tangent)
        if isinstance(other, (Value, Real)):
            return cast(Value, apply(SUBTRACT, self, other))
        return NotImplemented

    def __rsub__(self, other: Value | float) -> Value:
        if isinstance(other, (Value, Real)):
            return cast(Value, apply(SUBTRACT, other, self))
        return NotImplemented

    def __mul__(self, other: Value | float) -> Value:
        if not state.taping and self.id >= state.first_id:
            if type(other) is TangentValue and other.id >= state.first_id:
                tangent = _blend(other.primal, self.tangent, self.primal, other.tangent)
                return _made(self.primal * other.primal, tangent)
            if type(other) is float:
                return _made(self.primal * other, _scaled(other, self.tangent))
            if type(other) is Value:
                return _made(self.primal * other.primal, _scaled(other.primal, self.tangent))
        if isinstance(other, (Value, Real)):
            return cast(Value, apply(MULTIPLY, self, other))
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Value | float) -> Value:
        if type(other) is float and not state.taping and self.id >= state.first_id:
            return _made(self.primal / other, _scaled(1.0 / other, self.tangent))
        if isinstance(other, (Value, Real)):
            return cast(Value, apply(DIVIDE, self, other))
        return NotImplemented

    def __rtruediv__(self, other: Value | float) -> Value:
        if isinstance(other, (Value, Real)):
            return cast(Value, apply(DIVIDE, other, self))
        return NotImplemented

    def __neg__(self) -> Value:
        return cast(Value, apply(NEGATIVE, self))


def _foreign(value: TangentValue) -> NotDifferentiableError:
    return NotDifferentiableError(
        f"{value!r} has tangents of another run, and was kept in a global or a closure; their directions mean other "
        "parameters here. Make it inside the run, or keep float(v) if it is to count as a constant"
    )


def _made(primal: float, tangent: Tangent) -> TangentValue:
    result = TangentValue.__new__(TangentValue)
    result.primal = primal
    result.id = next(state.ids)
    result.tangent = tangent
    return result


def _scaled(partial: float, tangent: Tangent) -> Tangent:
    return tuple([partial * one if one else 0.0 for one in tangent])


def _blend(left_partial: float, left: Tangent, right_partial: float, right: Tangent) -> Tangent:
    # A zero tangent adds nothing, even where the partial is infinite, as in `combine`.
    return tuple(
        [
            (left_partial * one if one else 0.0) + (right_partial * other if other else 0.0)
            for one, other in zip(left, right, strict=True)
        ]
    )


def with_tangents(parameters: Mapping[str, float]) -> dict[str, TangentValue]:
    """Parameters for a forward-mode run: direction ``k`` is the ``k``-th parameter, in the order of the mapping."""
    count = len(parameters)
    return {
        name: TangentValue(primal, tuple(1.0 if place == direction else 0.0 for direction in range(count)))
        for place, (name, primal) in enumerate(parameters.items())
    }


def along(parameters: Mapping[str, float], direction: Mapping[str, float]) -> dict[str, TangentValue]:
    """Parameters that move together: one direction, with the given speed of each parameter (0.0 if not named)."""
    for name in direction:
        if name not in parameters:
            raise UsageError(f"direction names {name!r}, but the parameters are {', '.join(parameters) or 'none'}")
    return {name: TangentValue(primal, (float(direction.get(name, 0.0)),)) for name, primal in parameters.items()}


def tangent_of(result: Value | float, directions: int) -> Tangent:
    """The tangents of a result, zeros if it depends on no parameter.

    Raises `NotDifferentiableError` if a derivative on the way was infinite or undefined, or it is of another run.
    """
    if not isinstance(result, TangentValue):
        return (0.0,) * directions
    if result.id < state.first_id:
        raise _foreign(result)
    if not all(map(isfinite, result.tangent)):
        raise NotDifferentiableError(
            f"the tangent of {result!r} is {list(result.tangent)}: an operation on the way has no finite derivative "
            "there, or tangents overflowed. Reverse mode on the same recording names the source line"
        )
    return result.tangent


def tangent_sweep(tape: Tape, tangents: Mapping[int, float]) -> dict[int, float]:
    """Sweep one direction forward over a finished tape.

    Args:
        tape: the tape; entries with a pullback have no forward derivative.
        tangents: id -> tangent of leaves on the tape and of older ids. Ids not named have tangent 0.

    Returns:
        The tangent of every id on the tape that is not zero, and the given ones.

    Raises:
        NotDifferentiableError: tangent reached an entry that has only a pullback.

    Cost: one pass over the tape, sparse in memory but not in time.
    """
    known = dict(tangents)
    get = known.get
    entry_id = tape.first_id
    cells = iter(tape.entries)
    for left, right, left_partial, right_partial in zip(cells, cells, cells, cells, strict=True):
        total = 0.0
        if left >= 0:
            tangent = get(left)
            if tangent:
                total += tangent * left_partial
            if right >= 0:
                tangent = get(right)
                if tangent:
                    total += tangent * right_partial
        elif left == WIDE:
            parents, partials = tape.wide[right]
            if any(get(parent) for parent in parents):
                if callable(partials):
                    raise NotDifferentiableError(
                        f"entry {entry_id} has a pullback only, so no tangent passes through it; use reverse mode"
                    )
                for parent, partial in zip(parents, partials, strict=True):
                    tangent = get(parent)
                    if tangent:
                        total += tangent * partial
        if total:
            known[entry_id] = get(entry_id, 0.0) + total
        entry_id += 1
    return known


def _record_partial_tangents(rule: Rule, result: TangentValue, arguments: Sequence[Value | float]) -> None:
    duals = [
        Dual(argument.primal, argument.tangent)
        if isinstance(argument, TangentValue)
        else argument.primal
        if isinstance(argument, Value)
        else float(argument)
        for argument in arguments
    ]
    partials = rule.partials(Dual(result.primal, result.tangent), *duals)
    zeros = (0.0,) * len(result.tangent)
    kept = tuple(
        partial.tangent if isinstance(partial, Dual) else zeros
        for argument, partial in zip(arguments, partials, strict=True)
        if isinstance(argument, Value)
    )
    if any(map(any, kept)):
        assert state.tape is not None
        state.tape.partial_tangents[result.id] = kept
