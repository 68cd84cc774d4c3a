"""`Grouping`: rows become groups, and the aggregates of SQL one value for each.

NULL is left out of all aggregates but COUNT(*). Of no values SUM, AVG, MIN and MAX are NULL and COUNT is 0. A sum of
integers is one. NULLs are one group. Without GROUP BY all rows are one group, of none, too. Groups come in the order of
their first rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from detrun_scenarios.database.sql.evaluation import Evaluation, compiled, order_key
from detrun_scenarios.database.sql.parse import SqlError
from detrun_scenarios.database.sql.statements import (
    Aggregate,
    AggregateName,
    Column,
    Expression,
    Select,
    aggregates_in,
    parts_of,
    with_parts,
)
from detrun_scenarios.database.transactions.versions import Row
from detrun_scenarios.database.tree.keys import SqlValue

Values: TypeAlias = list[SqlValue]
Compile: TypeAlias = Callable[[Expression], Evaluation]
"""An expression as a function of a row of the tables."""


def _numbers(values: Values) -> list[int | float]:
    found = [one for one in values if not isinstance(one, str) and one is not None]
    if len(found) < len(values):
        raise SqlError("a sum of texts: arithmetic takes numbers")
    return found


def _sum(values: Values) -> SqlValue:
    numbers = _numbers(values)
    if not numbers:
        return None
    return sum(numbers) if all(isinstance(one, int) for one in numbers) else math.fsum(numbers)


def _average(values: Values) -> SqlValue:
    return math.fsum(_numbers(values)) / len(values) if values else None


_AGGREGATES: dict[AggregateName, Callable[[Values], SqlValue]] = {
    "COUNT": len,
    "SUM": _sum,
    "AVG": _average,
    "MIN": lambda values: min(values, key=order_key, default=None),
    "MAX": lambda values: max(values, key=order_key, default=None),
}


class Grouping:
    """The groups of one SELECT; its rows are the values that groups have in common, then those of aggregates.

    Args:
        compile_row: of expressions over the rows of the tables, with the columns' owners resolved.
        same: an expression with each column under the name of its table, so that ``a`` and ``t.a`` are one.

    Raises:
        SqlError: something is selected that is not one value for each group.
    """

    def __init__(self, select: Select, compile_row: Compile, same: Callable[[Expression], Expression]) -> None:
        if select.columns is None:
            raise SqlError("SELECT * of groups: name what groups have in common")
        self.same = same
        self.by = [same(one) for one in select.group]
        asked = [*select.columns, *(one.by for one in select.order)]
        if select.having is not None:
            asked.append(select.having)
        found = dict.fromkeys(same(one) for part in asked for one in aggregates_in(part))
        self.aggregates = [one for one in found if isinstance(one, Aggregate)]
        self.keys = [compile_row(one) for one in self.by]
        self.inner = [None if one.of is None else compile_row(one.of) for one in self.aggregates]

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """One row for each group."""
        groups: dict[Row, list[Row]] = {} if self.by else {(): []}
        for row in rows:
            groups.setdefault(tuple(key(row) for key in self.keys), []).append(row)
        return [
            key + tuple(map(self._value, self.aggregates, self.inner, [members] * len(self.aggregates)))
            for key, members in groups.items()
        ]

    def _value(self, aggregate: Aggregate, inner: Evaluation | None, rows: list[Row]) -> SqlValue:
        if inner is None:
            return len(rows)
        values: Values = [value for row in rows if (value := inner(row)) is not None]
        return _AGGREGATES[aggregate.name](list(dict.fromkeys(values)) if aggregate.is_distinct else values)

    def compiled(self, expression: Expression, parameters: Sequence[SqlValue]) -> Evaluation:
        """The function of a group's row that an expression is.

        Raises:
            SqlError: it has a column that is neither in GROUP BY nor in an aggregate.
        """
        return compiled(self._of_group(self.same(expression)), lambda column: int(column.name), parameters)

    def _of_group(self, expression: Expression) -> Expression:
        """The expression, with columns named by places for what groups have in common, and for aggregates."""
        if expression in self.by:
            return Column(str(self.by.index(expression)))
        if isinstance(expression, Aggregate):
            return Column(str(len(self.by) + self.aggregates.index(expression)))
        if isinstance(expression, Column):
            raise SqlError(f"column {expression.name} is not one value for each group")
        return with_parts(expression, tuple(map(self._of_group, parts_of(expression))))
