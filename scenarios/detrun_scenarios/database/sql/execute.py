"""`execute`: a statement carried out in a transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from detrun_scenarios.database.sql.evaluation import Evaluation, compiled, is_true, order_key
from detrun_scenarios.database.sql.parse import SqlError
from detrun_scenarios.database.sql.plan import Access, Costs, Plan, Planner, Statistics
from detrun_scenarios.database.sql.statements import (
    Column,
    Delete,
    Expression,
    Insert,
    Select,
    Source,
    Statement,
    Update,
)
from detrun_scenarios.database.transactions.table import Table
from detrun_scenarios.database.transactions.transaction import Found, Transaction
from detrun_scenarios.database.transactions.versions import Row
from detrun_scenarios.database.tree.keys import SqlValue


class Executor:
    """Carries out statements in one transaction.

    Args:
        statistics: by the names of tables.
    """

    def __init__(self, transaction: Transaction, statistics: Mapping[str, Statistics], costs: Costs) -> None:
        self.transaction = transaction
        self.statistics = statistics
        self.costs = costs

    async def execute(self, statement: Statement, parameters: Sequence[SqlValue] = ()) -> list[Row]:
        """The rows that a SELECT finds; none for other statements.

        Raises:
            SqlError: the statement names what is not there, or gives a text where a number must be.
            DuplicateKeyError, SerializationError, DeadlockError: see `Transaction`.
        """
        match statement:
            case Select():
                return await self._select(statement, parameters)
            case Insert():
                await self._insert(statement, parameters)
            case Update():
                await self._update(statement, parameters)
            case Delete():
                table = self.table(statement.table)
                for found in await self._matching(statement.table, statement.where, parameters):
                    await self.transaction.delete(table, found)
        return []

    def table(self, name: str) -> Table:
        """The table of that name.

        Raises:
            SqlError: there is none.
        """
        found = self.transaction.store.tables.get(name)
        if found is None:
            raise SqlError(f"there is no table {name}")
        return found

    def planner(self, sources: tuple[Source, ...], where: Expression | None) -> Planner:
        """The planner of a statement."""
        tables = tuple(self.table(one.table) for one in sources)
        return Planner(sources, tables, where, self.statistics, self.costs)

    # Reading.

    async def _select(self, statement: Select, parameters: Sequence[SqlValue]) -> list[Row]:
        planner = self.planner(statement.sources, statement.where)
        rows = await self.rows(planner, planner.best(), statement.where, parameters)
        place_of = _Places(planner, list(planner.sources))
        for order in reversed(statement.order):
            by = compiled(order.by, place_of, parameters)
            rows.sort(key=lambda row, by=by: order_key(by(row)), reverse=order.is_descending)  # type: ignore[misc]
        if statement.limit is not None:
            limit = compiled(statement.limit, place_of, parameters)(())
            if not isinstance(limit, int):
                raise SqlError(f"LIMIT {limit!r} is no whole number")
            rows = rows if limit < 0 else rows[:limit]
        if statement.columns is None:
            return rows
        columns = [compiled(one, place_of, parameters) for one in statement.columns]
        return [tuple(column(row) for column in columns) for row in rows]

    async def rows(
        self, planner: Planner, plan: Plan, where: Expression | None, parameters: Sequence[SqlValue]
    ) -> list[Row]:
        """The rows of all sources side by side, in their order, that a plan finds."""
        aliases = list(planner.sources)
        wanted = None if where is None else compiled(where, _Places(planner, aliases), parameters)
        is_turned = plan.outer.source.alias != aliases[0]
        found: list[Row] = []
        async with aclosing(self._joined(planner, plan, parameters)) as pairs:
            async for outer, inner in pairs:
                row = inner + outer if is_turned else outer + inner
                if wanted is None or is_true(wanted(row)):
                    found.append(row)
        return found

    async def _joined(
        self, planner: Planner, plan: Plan, parameters: Sequence[SqlValue]
    ) -> AsyncGenerator[tuple[Row, Row], None]:
        outer_places = _Places(planner, [plan.outer.source.alias])
        outer = await self._read(plan.outer, _keys(plan.outer, outer_places, parameters), ())
        if plan.inner is None:
            for one in outer:
                yield one.row, ()
            return
        keys = _keys(plan.inner, outer_places, parameters)
        if plan.equal is None:
            for one in outer:
                for other in await self._read(plan.inner, keys, one.row):
                    yield one.row, other.row
            return
        left, right = plan.equal
        place, other_place = outer_places(left), _Places(planner, [plan.inner.source.alias])(right)
        buckets: dict[SqlValue, list[Row]] = {}
        for other in await self._read(plan.inner, keys, ()):
            buckets.setdefault(other.row[other_place], []).append(other.row)
        for one in outer:
            for row in buckets.get(one.row[place], ()):
                yield one.row, row

    async def _read(self, access: Access, keys: Sequence[Evaluation], outer: Row) -> list[Found]:
        if access.index is None:
            return await self.transaction.scan(access.table)
        values = [key(outer) for key in keys]
        if None in values:
            return []  # nothing is equal to NULL
        return await self.transaction.get(access.table, access.index.name, values)

    async def _matching(self, name: str, where: Expression | None, parameters: Sequence[SqlValue]) -> list[Found]:
        """The rows of one table that a condition is true of."""
        planner = self.planner((Source(name, name),), where)
        access, places = planner.best().outer, _Places(planner, [name])
        wanted = None if where is None else compiled(where, places, parameters)
        found = await self._read(access, _keys(access, places, parameters), ())
        return [one for one in found if wanted is None or is_true(wanted(one.row))]

    # Writing.

    async def _insert(self, statement: Insert, parameters: Sequence[SqlValue]) -> None:
        table = self.table(statement.table)
        columns = statement.columns or table.columns
        unknown = [name for name in columns if name not in table.columns]
        if unknown:
            raise SqlError(f"table {table.name} has no column {unknown[0]}")
        for expressions in statement.rows:
            if len(expressions) != len(columns):
                raise SqlError(f"{len(expressions)} values for {len(columns)} columns of {table.name}")
            values = [compiled(one, _no_column, parameters)(()) for one in expressions]
            given = dict(zip(columns, values, strict=True))
            await self.transaction.insert(table, tuple(given.get(name) for name in table.columns))

    async def _update(self, statement: Update, parameters: Sequence[SqlValue]) -> None:
        table = self.table(statement.table)
        places = _Places(self.planner((Source(table.name, table.name),), None), [table.name])
        assigned = {places(Column(name)): compiled(value, places, parameters) for name, value in statement.assignments}
        for found in await self._matching(statement.table, statement.where, parameters):
            row = tuple(
                assigned[place](found.row) if place in assigned else value for place, value in enumerate(found.row)
            )
            await self.transaction.update(table, found, row)


class _Places:
    """Where columns are in rows that have the columns of some tables side by side."""

    def __init__(self, planner: Planner, aliases: Sequence[str]) -> None:
        self.planner = planner
        self.begins: dict[str, int] = {}
        width = 0
        for alias in aliases:
            self.begins[alias] = width
            width += len(planner.sources[alias][1].columns)

    def __call__(self, column: Column) -> int:
        alias = self.planner.owner(column)
        return self.begins[alias] + self.planner.sources[alias][1].columns.index(column.name)


def _keys(access: Access, places: _Places, parameters: Sequence[SqlValue]) -> list[Evaluation]:
    return [compiled(one, places, parameters) for one in access.key]


def _no_column(column: Column) -> int:
    raise SqlError(f"{column.name}: a value is wanted here, and there is no row")
