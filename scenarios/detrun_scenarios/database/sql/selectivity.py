"""`Selectivity`: which share of the rows of a table conditions leave, by statistics.

Conditions are taken to be independent, but two bounds of one column are a range. What nothing is known of leaves a
third, and an equality with what is not known yet one value of those there are.

Sources: Selinger et al., SIGMOD 1979, table 1; ranges as in PostgreSQL's ``clausesel.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from detrun.ad.value import primal_of
from detrun_scenarios.database.sql.bounds import Bound, columns_compared
from detrun_scenarios.database.sql.evaluation import plain
from detrun_scenarios.database.sql.statements import (
    Both,
    Column,
    Comparison,
    Either,
    Expression,
    IsNull,
    Opposite,
    has_columns,
)
from detrun_scenarios.database.sql.statistics import INEQUALITY, Statistics


class _Unknown:
    """A value that is known when rows are read only."""


UNKNOWN: Final = _Unknown()


def bound_in(condition: Expression) -> Bound | None:
    """The bound that a comparison is for the column on one side; None if it is none."""
    return next(
        (
            Bound(column.name, sign, value)
            for column, sign, value in columns_compared(condition)
            if not has_columns(value)
        ),
        None,
    )


class Selectivity:
    """See the module.

    Args:
        value_of: of an expression without columns; `UNKNOWN` if it is not known.
    """

    def __init__(self, statistics: Statistics, value_of: Callable[[Expression], Any]) -> None:
        self.statistics = statistics
        self.value_of = value_of

    def of_all(self, conditions: Sequence[Expression]) -> Any:
        """The share that several conditions leave together."""
        share: Any = 1.0
        bounds: dict[str, list[Bound]] = {}
        for one in conditions:
            bound = bound_in(one)
            if bound is None or bound.sign == "=":
                share = share * self.of(one)
            else:
                bounds.setdefault(bound.column, []).append(bound)
        for column, found in bounds.items():
            low = next((one for one in found if one.is_low), None)
            high = next((one for one in found if not one.is_low), None)
            share = share * self.of_range(column, low, high)
        return share

    def of_range(self, column: str, low: Bound | None, high: Bound | None) -> Any:
        """The share of rows between two bounds of a column."""
        known = self.statistics.column(column)
        there = 1.0 - known.null_share
        shares = [self._below(column, one) for one in (low, high)]
        if None not in shares:
            below_low, below_high = shares
            least = there / max(known.distinct, 1.0) if known.bounds else 0.0
            share = below_high - below_low
            exact = primal_of(share)
            return share if exact > least else least if exact >= 0.0 else 0.0
        share = there
        for one, found in ((low, shares[0]), (high, shares[1])):
            if one is not None:
                known_share = INEQUALITY * there if found is None else there - found if one.is_low else found
                share = share * (known_share / there if there else 0.0)
        return share

    def _below(self, column: str, bound: Bound | None) -> Any:
        """The share of rows below a bound; None if there is none, or it is not known."""
        value = UNKNOWN if bound is None else self.value_of(bound.value)
        if bound is None or value is UNKNOWN:
            return None
        known = self.statistics.column(column)
        if value is None:
            return 1.0 - known.null_share if bound.is_low else 0.0
        return known.share_below(value, is_included=bound.sign in (">", "<="))

    def of_equal(self, column: str, value: Expression) -> float:
        """The share of rows whose column is equal to something."""
        known, exact = self.statistics.column(column), self.value_of(value)
        if exact is UNKNOWN:
            return (1.0 - known.null_share) / max(known.distinct, 1.0)
        return known.share_equal(plain(exact))

    def of(self, condition: Expression) -> Any:
        """The share that one condition leaves."""
        bound = bound_in(condition)
        if bound is not None:
            if bound.sign == "=":
                return self.of_equal(bound.column, bound.value)
            return self.of_range(bound.column, *((bound, None) if bound.is_low else (None, bound)))
        match condition:
            case Both():
                return self.of_all([condition.left, condition.right])
            case Either():
                left, right = self.of(condition.left), self.of(condition.right)
                return left + right - left * right
            case Opposite():
                return 1.0 - self.of(condition.of)
            case IsNull(Column() as column):
                return self.statistics.column(column.name).null_share
            case Comparison("<>", Column() as column, value) if not has_columns(value):
                return 1.0 - self.statistics.column(column.name).null_share - self.of_equal(column.name, value)
        return INEQUALITY
