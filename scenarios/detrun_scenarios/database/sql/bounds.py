"""`Bounds`: what part of an index conditions leave, as values, and as a range of encoded keys.

The first columns of the index are equal to something, and the next one may be between two bounds. Nothing is equal to
NULL, less or greater: a bound that is NULL leaves nothing, and so are NULLs in the index passed over. A number that has
no place among keys bounds nothing, for all conditions are asked again of each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from detrun_scenarios.database.sql.evaluation import Evaluation
from detrun_scenarios.database.sql.statements import Column, Comparison, ComparisonSign, Expression, has_columns
from detrun_scenarios.database.transactions.versions import Row
from detrun_scenarios.database.tree.keys import encoded_key, end_of

_FIRST_VALUE = b"\x01"  # after NULL
_TURNED: dict[ComparisonSign, ComparisonSign] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
KeyRange: TypeAlias = Callable[[Row], tuple[bytes, bytes, bytes] | None]
"""Of an outer row: the encoded keys from and up to which the range is, and whole values with which all of them begin.
None if it is empty."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A column is compared with a value that is known when the table is read."""

    column: str
    sign: ComparisonSign
    value: Expression

    @property
    def is_low(self) -> bool:
        """Whether the column is above the value."""
        return self.sign in (">", ">=")


@dataclass(frozen=True, slots=True)
class Bounds:
    """See the module."""

    equal: tuple[Bound, ...] = ()
    low: Bound | None = None
    high: Bound | None = None

    @property
    def needs_outer(self) -> bool:
        """Whether a row of another table has to be there."""
        return any(has_columns(one.value) for one in self.all)

    @property
    def all(self) -> tuple[Bound, ...]:
        """All of them."""
        return self.equal + tuple(one for one in (self.low, self.high) if one is not None)


def columns_compared(condition: Expression) -> Iterator[tuple[Column, ComparisonSign, Expression]]:
    """The sides of a comparison that are columns, each with the sign as seen from it and the other side.

    An inequality by ``<>`` bounds nothing, and gives none.
    """
    if isinstance(condition, Comparison) and condition.sign != "<>":
        if isinstance(condition.left, Column):
            yield condition.left, condition.sign, condition.right
        if isinstance(condition.right, Column):
            yield condition.right, _TURNED[condition.sign], condition.left


def bounds_of(columns: Sequence[str], known: Sequence[Bound]) -> Bounds:
    """The bounds of an index over some columns."""
    equal: list[Bound] = []
    for column in columns:
        here = [one for one in known if one.column == column]
        fixed = next((one for one in here if one.sign == "="), None)
        if fixed is not None:
            equal.append(fixed)
            continue
        low = next((one for one in here if one.is_low), None)
        high = next((one for one in here if one.sign in ("<", "<=")), None)
        return Bounds(tuple(equal), low, high)
    return Bounds(tuple(equal))


def key_range(bounds: Bounds, compile_value: Callable[[Expression], Evaluation]) -> KeyRange:
    """The range of keys that bounds leave, for each outer row."""
    equal = [compile_value(one.value) for one in bounds.equal]
    low, high = (None if one is None else (one.sign, compile_value(one.value)) for one in (bounds.low, bounds.high))

    def of(outer: Row) -> tuple[bytes, bytes, bytes] | None:
        prefix = b""
        for value_of in equal:
            value = value_of(outer)
            if value is None:
                return None
            try:
                prefix += encoded_key([value])
            except ValueError:
                return prefix, end_of(prefix), prefix
        begin = prefix + _FIRST_VALUE if low or high else prefix
        end = end_of(prefix)
        for bound in (low, high):
            if bound is None:
                continue
            sign, value_of = bound
            value = value_of(outer)
            if value is None:
                return None
            try:
                key = prefix + encoded_key([value])
            except ValueError:
                continue
            edge = end_of(key) if sign in (">", "<=") else key
            begin, end = (edge, end) if bound is low else (begin, edge)
        return begin, end, prefix

    return of
