"""Plans: how the rows of a SELECT are found, and what each way is estimated to cost.

A table is read by a *scan*, or by an *index* whose first columns are compared with constants for equality. Two tables
are joined by a *nested loop*, whose inner table is read anew for each outer row, by an index with values of that row if
there is one; or by a *hash* of the inner table, if columns are equal. All ways and both orders are compared, and the
cheapest is taken; the conditions are all asked again of each row, so that a plan never decides what is found.

Costs are in units of one page read in order.

Sources: Selinger et al., "Access path selection in a relational database management system", SIGMOD 1979; names and
defaults of the constants, and one third for what cannot be estimated, are PostgreSQL's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detrun.ad.value import primal_of
from detrun_scenarios.database.sql.parse import SqlError
from detrun_scenarios.database.sql.statements import Both, Column, Comparison, Constant, Expression, Parameter, Source
from detrun_scenarios.database.transactions.table import Index, Table


@dataclass(frozen=True, slots=True)
class Costs:
    """What reading is taken to cost; numbers or `Value`s."""

    seq_page_cost: Any = 1.0
    random_page_cost: Any = 4.0
    cpu_tuple_cost: Any = 0.01


@dataclass(slots=True)
class Statistics:
    """What is known of a table.

    Attributes:
        distinct: index -> how many keys it has.
    """

    rows: float
    pages: float
    distinct: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Access:
    """How one table is read.

    Attributes:
        index: None for a scan.
        key: what the columns of the index are equal to: constants, parameters, or columns of the outer table.
        cost, rows: of one reading.
    """

    source: Source
    table: Table
    index: Index | None
    key: tuple[Expression, ...]
    cost: Any
    rows: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How all rows are found.

    Attributes:
        inner: None if there is one table only.
        equal: for a hash join: a column of the outer table and the one of the inner table that is equal to it.
    """

    outer: Access
    inner: Access | None
    equal: tuple[Column, Column] | None
    cost: Any

    def __str__(self) -> str:
        text = _name(self.outer)
        if self.inner is not None:
            text += f" {'hash' if self.equal else 'loop'} {_name(self.inner)}"
        return text


def _name(access: Access) -> str:
    return access.source.alias + (f" by {access.index.name}" if access.index is not None else "")


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
    """

    def __init__(
        self,
        sources: tuple[Source, ...],
        tables: tuple[Table, ...],
        where: Expression | None,
        statistics: Mapping[str, Statistics],
        costs: Costs,
    ) -> None:
        self.sources = dict(zip((one.alias for one in sources), zip(sources, tables, strict=True), strict=True))
        self.conditions = conjuncts(where)
        self.statistics = statistics
        self.costs = costs

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

    def best(self) -> Plan:
        """The cheapest; of equals the first."""
        return min(self.plans(), key=lambda plan: primal_of(plan.cost))

    def plans(self) -> list[Plan]:
        """All plans."""
        aliases = list(self.sources)
        if len(aliases) == 1:
            return [Plan(one, None, None, one.cost) for one in self.accesses(aliases[0], None)]
        found: list[Plan] = []
        for first, second in (aliases, aliases[::-1]):
            for outer in self.accesses(first, None):
                for inner in self.accesses(second, first):
                    cost = outer.cost + outer.rows * inner.cost
                    found.append(Plan(outer, inner, None, cost))
                for inner in self.accesses(second, None):
                    cost = outer.cost + inner.cost + self.costs.cpu_tuple_cost * (outer.rows + inner.rows)
                    found += [Plan(outer, inner, equal, cost) for equal in self.equal_columns(first, second)[:1]]
        return found

    def equal_columns(self, outer: str, inner: str) -> list[tuple[Column, Column]]:
        """Columns of two tables that have to be equal."""
        found = []
        for one in self.conditions:
            if isinstance(one, Comparison) and one.sign == "=":
                for left, right in ((one.left, one.right), (one.right, one.left)):
                    if not isinstance(left, Column) or not isinstance(right, Column):
                        continue
                    if (self.owner(left), self.owner(right)) == (outer, inner):
                        found.append((left, right))
        return found

    def accesses(self, alias: str, outer: str | None) -> list[Access]:
        """The ways to read a table, for each row of an outer one if it is given."""
        source, table = self.sources[alias]
        known = self.statistics[table.name]
        costs = self.costs
        given = self._given(alias, outer)
        rows = known.rows
        for one in table.indexes.values():
            if all(table.columns[place] in given for place in one.places):
                rows = min(rows, known.rows / max(known.distinct.get(one.name, 1.0), 1.0))
        scan = costs.seq_page_cost * known.pages + costs.cpu_tuple_cost * known.rows
        found = [Access(source, table, None, (), scan, rows)]
        for index in table.indexes.values():
            if all(table.columns[place] in given for place in index.places):
                key = tuple(given[table.columns[place]] for place in index.places)
                matching = known.rows / max(known.distinct.get(index.name, 1.0), 1.0)
                # A leaf, and a page of the heap for each row, at random.
                cost = costs.random_page_cost * (1.0 + matching) + costs.cpu_tuple_cost * matching
                found.append(Access(source, table, index, key, cost, min(rows, matching)))
        return found

    def _given(self, alias: str, outer: str | None) -> dict[str, Expression]:
        """Columns of a table -> what they have to be equal to, that is known when it is read."""
        found: dict[str, Expression] = {}
        for one in self.conditions:
            if isinstance(one, Comparison) and one.sign == "=":
                for column, other in ((one.left, one.right), (one.right, one.left)):
                    if not isinstance(column, Column) or self.owner(column) != alias:
                        continue
                    is_known = isinstance(other, Constant | Parameter)
                    if is_known or (isinstance(other, Column) and self.owner(other) == outer):
                        found.setdefault(column.name, other)
        return found
