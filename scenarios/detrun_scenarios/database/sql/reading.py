"""`Reading`: the rows that a plan finds, a few at a time, as far as they are asked for.

They come as the pages bring them; where a limit may end it, one by one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from detrun_scenarios.database.sql.bounds import KeyRange, key_range
from detrun_scenarios.database.sql.evaluation import Evaluation, compiled, is_true
from detrun_scenarios.database.sql.plan import Access, Plan, Planner
from detrun_scenarios.database.sql.statements import Column, Expression
from detrun_scenarios.database.transactions.transaction import Found, Transaction
from detrun_scenarios.database.transactions.versions import Row
from detrun_scenarios.database.tree.keys import SqlValue


class Places:
    """Where columns are in rows that have the columns of some tables side by side."""

    def __init__(self, planner: Planner, aliases: Sequence[str]) -> None:
        self.planner = planner
        self.begins: dict[str, int] = {}
        width = 0
        for alias in aliases:
            self.begins[alias] = width
            width += len(planner.sources[alias][1].columns)

    def __call__(self, column: Column) -> int:
        """The place of a column."""
        alias = self.planner.owner(column)
        return self.begins[alias] + self.planner.sources[alias][1].columns.index(column.name)


@dataclass(slots=True)
class Counts:
    """What was found.

    Attributes:
        outer, inner: rows that the conditions of one table left.
        inner_readings: how often the inner table was read.
        rows: of the plan.
    """

    outer: int = 0
    inner: int = 0
    inner_readings: int = 0
    rows: int = 0


class Reading:
    """See the module.

    Args:
        counts: filled in as rows are found.
    """

    def __init__(
        self,
        transaction: Transaction,
        planner: Planner,
        plan: Plan,
        parameters: Sequence[SqlValue],
        counts: Counts | None = None,
    ) -> None:
        self.transaction = transaction
        self.planner = planner
        self.plan = plan
        self.parameters = parameters
        self.counts = Counts() if counts is None else counts
        self.outer_places = Places(planner, [plan.outer.source.alias])

    async def rows(self) -> AsyncGenerator[list[Row], None]:
        """The rows of all sources side by side, in their order in the statement."""
        planner, plan = self.planner, self.plan
        aliases = list(planner.sources)
        is_turned = plan.outer.source.alias != aliases[0]
        wanted = self._asked(planner.joint_conditions(), Places(planner, aliases))
        async with aclosing(self.found()) as some:
            inner_of = None if plan.inner is None else await self._inner(plan.inner)
            async for outer in some:
                if inner_of is None:
                    yield [one.row for one in outer]
                    continue
                for one in outer:
                    inner = await inner_of(one.row)
                    joined = [row + one.row if is_turned else one.row + row for row in inner]
                    found = [row for row in joined if wanted(row)]
                    self.counts.rows += len(found)
                    yield found

    async def found(self) -> AsyncGenerator[list[Found], None]:
        """The rows of the outer table, and where they are."""
        access = self.plan.outer
        wanted = self._asked_of(access)
        async with aclosing(await self._read(access, self._range(access), ())) as pages:
            async for page in pages:
                found = [one for one in page if wanted(one.row)]
                self.counts.outer += len(found)
                if self.plan.inner is None:
                    self.counts.rows += len(found)
                yield found

    async def _inner(self, access: Access) -> Callable[[Row], Awaitable[Sequence[Row]]]:
        """The inner rows that may belong to an outer one."""
        wanted, limits = self._asked_of(access), self._range(access)

        async def read(outer: Row) -> list[Row]:
            self.counts.inner_readings += 1
            async with aclosing(await self._read(access, limits, outer)) as pages:
                found = [one.row async for page in pages for one in page if wanted(one.row)]
            self.counts.inner += len(found)
            return found

        if access.bounds.needs_outer:
            return read
        rows = await read(())
        if self.plan.equal is None:

            async def all_rows(outer: Row) -> list[Row]:
                return rows

            return all_rows
        left, right = self.plan.equal
        place, other_place = self.outer_places(left), Places(self.planner, [access.source.alias])(right)
        buckets: dict[SqlValue, list[Row]] = {}
        for row in rows:
            buckets.setdefault(row[other_place], []).append(row)
        buckets.pop(None, None)  # nothing is equal to NULL

        async def look_up(outer: Row) -> list[Row]:
            return buckets.get(outer[place], [])

        return look_up

    # One table.

    def _range(self, access: Access) -> KeyRange:
        return key_range(access.bounds, lambda one: compiled(one, self.outer_places, self.parameters))

    def _asked_of(self, access: Access) -> Callable[[Row], bool]:
        alias = access.source.alias
        return self._asked(self.planner.own_conditions(alias), Places(self.planner, [alias]))

    def _asked(self, conditions: Sequence[Expression], places: Places) -> Callable[[Row], bool]:
        evaluations: list[Evaluation] = [compiled(one, places, self.parameters) for one in conditions]

        def wanted(row: Row) -> bool:
            for evaluate in evaluations:  # noqa: SIM110 (a generator for each row takes as long as all the rest)
                if not is_true(evaluate(row)):
                    return False
            return True

        return wanted

    async def _read(self, access: Access, limits: KeyRange, outer: Row) -> AsyncGenerator[list[Found], None]:
        """The rows of one table that are within bounds."""
        transaction, table, index = self.transaction, access.table, access.index
        if index is None:
            return await transaction.each(table)
        between = limits(outer)
        if between is None:
            return _nothing()
        low, high, within = between
        return await transaction.each_between(
            table,
            index.name,
            low,
            high,
            is_backward=access.is_backward,
            within=within,
            one_by_one=self.planner.limit is not None and not self.plan.is_sorted,
        )


async def _nothing() -> AsyncGenerator[list[Found], None]:
    return
    yield
