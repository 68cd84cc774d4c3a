"""Plans: how the rows of a SELECT are found, and what each way is estimated to cost.

A table is read by a *scan*, or by an *index*: the rows whose first columns are equal to something that is known, and
the next one between bounds. Two tables are joined by a *nested loop*, whose inner table is read for each outer row, by
an index with values of that row, or once if it needs none; or by a *hash* of the inner table, if columns are equal.
Rows that an index does not bring in the wanted order are *sorted*. All ways and both orders are compared. All
conditions are asked again of each row, so that a plan never decides what is found.

Source: Selinger et al., "Access path selection in a relational database management system", SIGMOD 1979, where orders
that are of use are kept, too; the cost of a LIMIT is PostgreSQL's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from detrun.ad.value import primal_of
from detrun_scenarios.database.sql.bounds import Bound, Bounds, bounds_of, columns_compared
from detrun_scenarios.database.sql.cost import Costs
from detrun_scenarios.database.sql.evaluation import constant
from detrun_scenarios.database.sql.parse import SqlError
from detrun_scenarios.database.sql.selectivity import UNKNOWN, Selectivity
from detrun_scenarios.database.sql.statements import (
    Both,
    Column,
    Comparison,
    Expression,
    Order,
    Parameter,
    Source,
    columns_in,
    has_columns,
    parts_of,
)
from detrun_scenarios.database.sql.statistics import Statistics
from detrun_scenarios.database.transactions.table import Index, Table


@dataclass(frozen=True, slots=True)
class Access:
    """How one table is read.

    Attributes:
        index: None for a scan.
        is_backward: from the end of the index.
        first: what is paid before the first row.
        cost, rows: of one reading; the rows are those that its own conditions leave.
    """

    source: Source
    table: Table
    index: Index | None
    bounds: Bounds
    is_backward: bool
    first: Any
    cost: Any
    rows: Any

    def __str__(self) -> str:
        by = "" if self.index is None else f" by {self.index.name}"
        return self.source.alias + by + (" backward" if self.is_backward else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """How all rows are found.

    Attributes:
        inner: None if there is one table only.
        equal: for a hash join: a column of the outer table and the one of the inner table that is equal to it.
        is_sorted: the rows come in another order than the wanted one, and are sorted.
        first: what is paid before the first row.
        joined: the cost of all rows, before they are sorted.
        cost: of the rows that are wanted.
        rows: all that are found.
    """

    outer: Access
    inner: Access | None
    equal: tuple[Column, Column] | None
    is_sorted: bool
    first: Any
    joined: Any
    cost: Any
    rows: Any

    def __str__(self) -> str:
        if self.inner is None:
            return str(self.outer)
        return f"{self.outer} {'hash' if self.equal else 'loop'} {self.inner}"


Ways: TypeAlias = list[tuple[Access, bool]]
"""Ways to read a table, and whether each brings its rows in the wanted order."""


def conjuncts(where: Expression | None) -> list[Expression]:
    """The conditions that all have to be true."""
    if where is None:
        return []
    if isinstance(where, Both):
        return [*conjuncts(where.left), *conjuncts(where.right)]
    return [where]


class Planner:
    """Plans of one SELECT.

    Args:
        tables: of the sources, in their order.
        statistics: by the names of tables.
        parameters: values of the question marks, for estimates; `Value`s, too.
        order: in which rows are wanted.
        limit: how many are; None for all.

    Attributes:
        rows: by aliases: how many rows of a table its own conditions leave.
    """

    def __init__(
        self,
        sources: tuple[Source, ...],
        tables: tuple[Table, ...],
        where: Expression | None,
        statistics: Mapping[str, Statistics],
        costs: Costs,
        parameters: Sequence[Any] = (),
        order: Sequence[Order] = (),
        limit: int | None = None,
    ) -> None:
        self.sources = dict(zip((one.alias for one in sources), zip(sources, tables, strict=True), strict=True))
        self.conditions = conjuncts(where)
        self.owners = [tuple(dict.fromkeys(map(self.owner, columns_in(one)))) for one in self.conditions]
        self.statistics = statistics
        self.costs = costs
        self.parameters = parameters
        self.order = order
        self.limit = limit
        self.selectivity = {
            alias: Selectivity(self.statistics[table.name], self.value_of) for alias, (_, table) in self.sources.items()
        }
        self.rows = {
            alias: self.statistics[table.name].rows * self.selectivity[alias].of_all(self.own_conditions(alias))
            for alias, (_, table) in self.sources.items()
        }

    # Names and values.

    def owner(self, column: Column) -> str:
        """The alias of the table that a column is of.

        Raises:
            SqlError: none has it, or two have.
        """
        found = [
            alias
            for alias, (_, table) in self.sources.items()
            if column.table in ("", alias) and column.name in table.columns
        ]
        if len(found) != 1:
            raise SqlError(f"column {column.name}: {'two tables have' if found else 'no table has'} it")
        return found[0]

    def value_of(self, expression: Expression) -> Any:
        """The value of an expression, as far as it is known before rows are read."""
        if has_columns(expression) or self._lacks_parameter(expression):
            return UNKNOWN
        return constant(expression, self.parameters)

    def _lacks_parameter(self, expression: Expression) -> bool:
        if isinstance(expression, Parameter):
            return expression.place >= len(self.parameters)
        return any(map(self._lacks_parameter, parts_of(expression)))

    def own_conditions(self, alias: str) -> list[Expression]:
        """Conditions that a row of one table decides; those without columns are of the first table."""
        of = () if alias == next(iter(self.sources)) else None
        return [one for one, owners in zip(self.conditions, self.owners, strict=True) if owners in ((alias,), of)]

    def joint_conditions(self) -> list[Expression]:
        """Conditions that rows of both tables decide together."""
        return [one for one, owners in zip(self.conditions, self.owners, strict=True) if len(owners) > 1]

    # Plans.

    def plans(self) -> list[Plan]:
        """All plans. None is left out for its cost."""
        aliases = list(self.sources)
        found: list[Plan] = []
        for outer_alias, inner_alias in (aliases, aliases[::-1]) if len(aliases) == 2 else ((aliases[0], None),):
            ways = self.outer_ways(outer_alias)
            found += self._of_one(ways) if inner_alias is None else self._joins(ways, outer_alias, inner_alias)
        return [self._finished(one) for one in found]

    def _of_one(self, ways: Ways) -> Iterator[Plan]:
        """The plans of the only table."""
        for one, is_ordered in ways:
            yield Plan(one, None, None, not is_ordered, one.first, one.cost, one.cost, one.rows)

    def _joins(self, ways: Ways, outer_alias: str, inner_alias: str) -> Iterator[Plan]:
        """The joins of an outer table, read in these ways, with the other one."""
        tuple_cost, outer_rows = self.costs.cpu_tuple_cost, self.rows[outer_alias]
        times = outer_rows if primal_of(outer_rows) > 1.0 else 1.0
        by_outer = [one for one in self.accesses(inner_alias, outer_alias, times=times) if one.bounds.needs_outer]
        once = self.accesses(inner_alias, None)
        equal = self.equal_columns(outer_alias, inner_alias)
        rows = outer_rows * self.rows[inner_alias] * self._share_joined()
        for outer, is_ordered in ways:
            for inner in by_outer:
                cost = outer.cost + outer.rows * inner.cost + tuple_cost * rows
                yield Plan(outer, inner, None, not is_ordered, outer.first, cost, cost, rows)
            for inner in once:
                first = outer.first + inner.cost
                cost = outer.cost + inner.cost + tuple_cost * (outer.rows * inner.rows)
                yield Plan(outer, inner, None, not is_ordered, first, cost, cost, rows)
                for columns in equal[:1]:
                    first = outer.first + inner.cost + tuple_cost * inner.rows
                    # A row that is put into the table is worth two that are looked up: the smaller table goes in.
                    cost = outer.cost + inner.cost + tuple_cost * (2.0 * inner.rows + outer.rows + rows)
                    yield Plan(outer, inner, columns, not is_ordered, first, cost, cost, rows)

    def _finished(self, plan: Plan) -> Plan:
        """The plan with the cost of sorting, if it has to, and of as many rows as are wanted."""
        first, cost = plan.first, plan.joined
        is_sorted = plan.is_sorted and bool(self.order)
        if is_sorted:
            first = cost = cost + self.costs.sort(plan.rows)
        if self.limit is not None:
            count = primal_of(plan.rows)
            cost = first + (cost - first) * (min(1.0, self.limit / count) if count > 0.0 else 1.0)
        return replace(plan, is_sorted=is_sorted, first=first, cost=cost)

    # Joining.

    def equal_columns(self, outer: str, inner: str) -> list[tuple[Column, Column]]:
        """Columns of two tables that have to be equal."""
        found = []
        for one in self.joint_conditions():
            for left, sign, right in columns_compared(one):
                if (
                    sign == "="
                    and isinstance(right, Column)
                    and (self.owner(left), self.owner(right)) == (outer, inner)
                ):
                    found.append((left, right))
        return found

    def _share_joined(self) -> float:
        """The share of all pairs that joint conditions leave."""
        share = 1.0
        for one in self.joint_conditions():
            is_equality = isinstance(one, Comparison) and one.sign == "="
            distinct = [
                self.statistics[self.sources[alias][1].name].column(part.name).distinct
                for part in (parts_of(one) if is_equality else ())
                if isinstance(part, Column)
                for alias in (self.owner(part),)
            ]
            share *= 1.0 / max(*distinct, 1.0) if len(distinct) == 2 else 1 / 3
        return share

    # Reading one table.

    def outer_ways(self, alias: str) -> Ways:
        """The ways to read a table first. A whole index is read for its order only."""
        _, table = self.sources[alias]
        fixed = {one.column for one in self.bounds_on(alias, None) if one.sign == "="}
        terms = self._order_of(alias, fixed)
        ways: Ways = [(one, terms == []) for one in self.accesses(alias, None)]
        if not terms:
            return ways
        for index in table.indexes.values():
            columns = [table.columns[place] for place in index.places]
            rest = [name for name in columns if name not in fixed]
            wanted = [(name, terms[0][1]) for name in rest[: len(terms)]]
            if terms == wanted:
                access = self.access(alias, index, None, is_backward=terms[0][1])
                ways = [(one, is_ordered) for one, is_ordered in ways if one.index is not index or access.is_backward]
                ways.append((access, True))
        return ways

    def _order_of(self, alias: str, fixed: set[str]) -> list[tuple[str, bool]] | None:
        """The columns that rows are wanted by, and whether from the last; None if they are not all of this table."""
        terms: dict[str, bool] = {}
        for one in self.order:
            if not isinstance(one.by, Column) or self.owner(one.by) != alias:
                return None
            if one.by.name not in fixed:
                terms.setdefault(one.by.name, one.is_descending)
        return list(terms.items())

    def accesses(self, alias: str, outer: str | None, times: Any = 1.0) -> list[Access]:
        """The ways to read a table, so many times for rows of an outer one if it is given; the scan first."""
        source, table = self.sources[alias]
        known = self.statistics[table.name]
        scan = self.costs.scan(known.pages, known.rows)
        found = [Access(source, table, None, Bounds(), False, 0.0, scan, self.rows[alias])]
        for index in table.indexes.values():
            access = self.access(alias, index, outer, times=times)
            if access.bounds.all:
                found.append(access)
        return found

    def access(
        self, alias: str, index: Index, outer: str | None, *, is_backward: bool = False, times: Any = 1.0
    ) -> Access:
        """Reading a table by one index."""
        source, table = self.sources[alias]
        known, costs = self.statistics[table.name], self.costs
        of_index = known.index(table, index)
        bounds = bounds_of([table.columns[place] for place in index.places], self.bounds_on(alias, outer))
        share = self._share_of(alias, bounds, of_index.distinct)
        entries, rows = known.rows * share, self.rows[alias]
        if outer is not None and primal_of(rows) > primal_of(entries):
            rows = entries
        leaves = 1.0 + share * (of_index.leaves - 1.0)
        cache = table.heap.changes.pool.capacity["heap"]
        cost = costs.by_index(entries, leaves, known.pages, known.rows, of_index.correlation, cache, times)
        return Access(source, table, index, bounds, is_backward, costs.random_page_cost, cost, rows)

    def _share_of(self, alias: str, bounds: Bounds, distinct: Sequence[float]) -> Any:
        """The share of an index's entries between bounds."""
        selectivity = self.selectivity[alias]
        share: Any = 1.0
        for one in bounds.equal:
            share = share * selectivity.of_equal(one.column, one.value)
        if len(bounds.equal) > 1:
            # Columns of one index seldom are independent: it has no more keys than it has.
            share = max(share, 1.0 / max(distinct[len(bounds.equal) - 1], 1.0))
        ranged = bounds.low or bounds.high
        if ranged is not None:
            share = share * selectivity.of_range(ranged.column, bounds.low, bounds.high)
        return share

    def bounds_on(self, alias: str, outer: str | None) -> list[Bound]:
        """What columns of a table are compared with, that is known when it is read."""
        found: list[Bound] = []
        for one in self.conditions:
            for column, sign, value in columns_compared(one):
                if self.owner(column) == alias and all(self.owner(other) == outer for other in columns_in(value)):
                    found.append(Bound(column.name, sign, value))
        return found
