"""`Executor`: a statement carried out in a transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any

from detrun_scenarios.database.sql.aggregation import Grouping
from detrun_scenarios.database.sql.choice import Choose, cheapest
from detrun_scenarios.database.sql.cost import Costs
from detrun_scenarios.database.sql.evaluation import Evaluation, compiled, constant, is_true, order_key, plain
from detrun_scenarios.database.sql.explain import explained
from detrun_scenarios.database.sql.parse import SqlError
from detrun_scenarios.database.sql.plan import Plan, Planner
from detrun_scenarios.database.sql.reading import Counts, Places, Reading
from detrun_scenarios.database.sql.statements import (
    Analyze,
    Column,
    Delete,
    Explain,
    Expression,
    Insert,
    Select,
    Source,
    Statement,
    Update,
    first_of,
    parts_of,
    with_parts,
)
from detrun_scenarios.database.sql.statistics import Statistics, analyzed
from detrun_scenarios.database.transactions.table import Table
from detrun_scenarios.database.transactions.transaction import Found, Transaction
from detrun_scenarios.database.transactions.versions import Row
from detrun_scenarios.database.tree.keys import SqlValue


class Executor:
    """Carries out statements in one transaction.

    Args:
        statistics: by the names of tables, where ANALYZE puts them.
        choose: one of the plans of a statement.
    """

    def __init__(
        self,
        transaction: Transaction,
        statistics: MutableMapping[str, Statistics],
        costs: Costs,
        choose: Choose = cheapest,
    ) -> None:
        self.transaction = transaction
        self.statistics = statistics
        self.costs = costs
        self.choose = choose

    async def execute(self, statement: Statement, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows that a SELECT finds, and the lines of an EXPLAIN; none for other statements.

        Args:
            parameters: values of the question marks. Of a `Value` the planner sees how it moves, the rows do not.

        Raises:
            SqlError: the statement names what is not there, or gives a text where a number must be.
            DuplicateKeyError, SerializationError, DeadlockError: see `Transaction`.
        """
        match statement:
            case Select():
                planner, plan = self._planned(statement, parameters)
                return await self._select(statement, planner, plan, parameters, Counts())
            case Explain():
                return await self._explain(statement, parameters)
            case Analyze():
                names = self.transaction.store.tables if statement.table is None else (statement.table,)
                for name in names:
                    self.statistics[name] = await analyzed(self.transaction.store, self.table(name))
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

    def _planned(self, select: Select, parameters: Sequence[Any]) -> tuple[Planner, Plan]:
        """One of the plans of a SELECT."""
        planner = self.planner(select, parameters)
        return planner, self.choose(planner.plans())

    def planner(self, select: Select, parameters: Sequence[Any] = ()) -> Planner:
        """The planner of a SELECT."""
        tables = tuple(self.table(one.table) for one in select.sources)
        select = first_of(select) or select
        order, limit = select.order, self._limit(select, parameters)
        if select.is_grouped:
            order, limit = (), None  # it is of groups, not of rows
        elif select.is_distinct:
            limit = None
        statistics = {one.name: self._known(one) for one in tables}
        return Planner(select.sources, tables, select.where, statistics, self.costs, parameters, order, limit)

    def _known(self, table: Table) -> Statistics:
        found = self.statistics.get(table.name)
        return Statistics.unknown(table) if found is None else found.now(table)

    def _limit(self, select: Select, parameters: Sequence[Any]) -> int | None:
        """How many rows are wanted at most; None for all."""
        if select.limit is None:
            return None
        limit = plain(constant(select.limit, parameters))
        if not isinstance(limit, int):
            raise SqlError(f"LIMIT {limit!r} is no whole number")
        return None if limit < 0 else limit

    # Reading.

    async def _select(
        self, select: Select, planner: Planner, plan: Plan, parameters: Sequence[Any], counts: Counts
    ) -> list[Row]:
        exact = [plain(one) for one in parameters]
        limit = self._limit(select, parameters)
        if limit == 0:
            return []
        first = first_of(select)
        if first is not None:
            return await self._select(first, planner, plan, parameters, counts) or [(None,)]
        seen: set[Row] = set()
        result: list[Row] = []
        reading = Reading(self.transaction, planner, plan, exact, counts)
        async with aclosing(self._projected(select, reading, exact)) as projected:
            async for rows in projected:
                for row in rows:
                    if select.is_distinct:
                        if row in seen:
                            continue
                        seen.add(row)
                    result.append(row)
                    if len(result) == limit:
                        return result
        return result

    async def _projected(
        self, select: Select, reading: Reading, parameters: Sequence[SqlValue]
    ) -> AsyncGenerator[list[Row], None]:
        """What is wanted of each row, in order, but for what LIMIT and DISTINCT leave out."""
        planner = reading.planner
        places = Places(planner, list(planner.sources))

        def of_row(expression: Expression) -> Evaluation:
            return compiled(expression, places, parameters)

        def of_group(expression: Expression) -> Evaluation:
            return grouping.compiled(expression, parameters)

        if select.is_grouped:
            grouping = Grouping(select, of_row, lambda one: _with_owners(one, planner))
        evaluate = of_group if select.is_grouped else of_row
        columns = None if select.columns is None else [evaluate(one) for one in select.columns]
        order = [(evaluate(one.by), one.is_descending) for one in select.order]
        having = None if select.having is None else evaluate(select.having)

        def projected(rows: list[Row]) -> list[Row]:
            return rows if columns is None else [tuple(column(row) for column in columns) for row in rows]

        async with aclosing(reading.rows()) as some:
            if not select.is_grouped and not reading.plan.is_sorted:
                async for rows in some:
                    yield projected(rows)
                return
            listed = [row async for rows in some for row in rows]
        if select.is_grouped:
            listed = [row for row in grouping.rows(listed) if having is None or is_true(having(row))]
        for by, is_descending in reversed(order):
            listed.sort(key=_ordered_by(by), reverse=is_descending)
        yield projected(listed)

    async def _explain(self, statement: Explain, parameters: Sequence[Any]) -> list[Row]:
        planner, plan = self._planned(statement.select, parameters)
        counts = None
        results = 0
        if statement.is_measured:
            counts = Counts()
            results = len(await self._select(statement.select, planner, plan, parameters, counts))
        return [(line,) for line in explained(statement.select, planner, plan, counts, results)]

    async def _matching(self, name: str, where: Expression | None, parameters: Sequence[Any]) -> list[Found]:
        """The rows of one table that a condition is true of, all of them before the first one is changed."""
        planner, plan = self._planned(Select(None, (Source(name, name),), where, (), None), parameters)
        exact = [plain(one) for one in parameters]
        reading = Reading(self.transaction, planner, plan, exact)
        async with aclosing(reading.found()) as pages:
            return [one async for page in pages for one in page]

    # Writing.

    async def _insert(self, statement: Insert, parameters: Sequence[Any]) -> None:
        table = self.table(statement.table)
        columns = statement.columns or table.columns
        unknown = [name for name in columns if name not in table.columns]
        if unknown:
            raise SqlError(f"table {table.name} has no column {unknown[0]}")
        for expressions in statement.rows:
            if len(expressions) != len(columns):
                raise SqlError(f"{len(expressions)} values for {len(columns)} columns of {table.name}")
            values = [plain(constant(one, parameters)) for one in expressions]
            given = dict(zip(columns, values, strict=True))
            await self.transaction.insert(table, tuple(given.get(name) for name in table.columns))

    async def _update(self, statement: Update, parameters: Sequence[Any]) -> None:
        table = self.table(statement.table)
        exact = [plain(one) for one in parameters]
        places = Places(self.planner(Select(None, (Source(table.name, table.name),), None, (), None)), [table.name])
        assigned = {places(Column(name)): compiled(value, places, exact) for name, value in statement.assignments}
        for found in await self._matching(statement.table, statement.where, parameters):
            row = tuple(
                assigned[place](found.row) if place in assigned else value for place, value in enumerate(found.row)
            )
            await self.transaction.update(table, found, row)


def _ordered_by(evaluate: Evaluation) -> Callable[[Row], tuple[int, Any]]:
    return lambda row: order_key(evaluate(row))


def _with_owners(expression: Expression, planner: Planner) -> Expression:
    """The expression, with each column under the alias of its table."""
    if isinstance(expression, Column):
        return Column(expression.name, planner.owner(expression))
    return with_parts(expression, [_with_owners(part, planner) for part in parts_of(expression)])
