"""Dual numbers: a float with tangents, used to differentiate partials once more.

A rule's partials are written in ``+ - * / **`` and other rules, so evaluating them on duals gives their tangents
exactly. A `Dual` never reaches a user and has no id. Comparisons look at the primal alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from detrun.ad.adjoint_rules import ADD, DIVIDE, MULTIPLY, NEGATIVE, POWER, SUBTRACT, Rule, evaluate

Tangent = tuple[float, ...]


def combine(terms: Iterable[tuple[float, Tangent]]) -> Tangent:
    """``sum(partial * tangent)`` per direction, left to right. A zero tangent adds nothing, whatever its partial."""
    total: list[float] | None = None
    for partial, tangent in terms:
        if total is None:
            total = [partial * one if one else 0.0 for one in tangent]
        else:
            total = [
                sum_so_far + partial * one if one else sum_so_far
                for sum_so_far, one in zip(total, tangent, strict=True)
            ]
    return tuple(total or ())


class Dual:
    """``primal`` with one tangent per direction."""

    __slots__ = ("primal", "tangent")

    def __init__(self, primal: float, tangent: Tangent) -> None:
        self.primal = primal
        self.tangent = tangent

    def evaluate(self, rule: Rule, arguments: Sequence[Dual | float]) -> Dual:
        """``rule`` at these arguments, of which at least one is a Dual."""
        primals = [argument.primal if isinstance(argument, Dual) else argument for argument in arguments]
        primal = rule.primal(*primals)
        partials = rule.partials(primal, *primals)
        return Dual(
            primal,
            combine(
                (partial, argument.tangent)
                for argument, partial in zip(arguments, partials, strict=True)
                if isinstance(argument, Dual)
            ),
        )

    def __float__(self) -> float:
        return self.primal

    def __add__(self, other: Dual | float) -> Any:
        return evaluate(ADD, self, other)

    def __radd__(self, other: float) -> Any:
        return evaluate(ADD, other, self)

    def __sub__(self, other: Dual | float) -> Any:
        return evaluate(SUBTRACT, self, other)

    def __rsub__(self, other: float) -> Any:
        return evaluate(SUBTRACT, other, self)

    def __mul__(self, other: Dual | float) -> Any:
        return evaluate(MULTIPLY, self, other)

    def __rmul__(self, other: float) -> Any:
        return evaluate(MULTIPLY, other, self)

    def __truediv__(self, other: Dual | float) -> Any:
        return evaluate(DIVIDE, self, other)

    def __rtruediv__(self, other: float) -> Any:
        return evaluate(DIVIDE, other, self)

    def __pow__(self, other: Dual | float) -> Any:
        return evaluate(POWER, self, other)

    def __rpow__(self, other: float) -> Any:
        return evaluate(POWER, other, self)

    def __neg__(self) -> Any:
        return evaluate(NEGATIVE, self)

    def __gt__(self, other: float) -> bool:
        return self.primal > other

    def __lt__(self, other: float) -> bool:
        return self.primal < other

    def __ge__(self, other: float) -> bool:
        return self.primal >= other

    def __eq__(self, other: object) -> bool:
        return self.primal == (other.primal if isinstance(other, Dual) else other)

    __hash__ = None  # type: ignore[assignment]
