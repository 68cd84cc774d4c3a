"""`Application`: the tables that a server is set up with, what fills them, and the procedures that clients call.

A procedure is a transaction as code at the server, as TPC-C allows; clients send its name and arguments. `Work` is what
it works with: rows by their keys, and SQL. Clients may also send SQL, whose procedure is `statements`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from detrun_scenarios.database.sql.execute import Executor
from detrun_scenarios.database.sql.parse import SqlError, parse
from detrun_scenarios.database.transactions.table import Table
from detrun_scenarios.database.transactions.transaction import DuplicateKeyError, Found
from detrun_scenarios.database.transactions.versions import Row
from detrun_scenarios.database.tree.keys import SqlValue

SQL = "sql"  # the procedure of which clients send the text


class RefusedError(Exception):
    """What a client asks for cannot be done; its transaction is rolled back."""


class Work:
    """What a procedure does in its transaction, which is that of an executor of SQL."""

    def __init__(self, executor: Executor) -> None:
        self.transaction = executor.transaction
        self._executor = executor

    def table(self, name: str) -> Table:
        """The table of that name."""
        return self.transaction.store.tables[name]

    async def find(self, table: str, index: str, *key: SqlValue) -> list[Found]:
        """The rows with a key."""
        return await self.transaction.get(self.table(table), index, key)

    async def find_one(self, table: str, *key: SqlValue) -> Found:
        """The row with a key of the index ``id``.

        Raises:
            RefusedError: there is none.
        """
        found = await self.find(table, "id", *key)
        if not found:
            raise RefusedError(f"{table} has no {key}")
        (one,) = found
        return one

    async def insert(self, table: str, *row: SqlValue) -> None:
        """A new row."""
        await self.transaction.insert(self.table(table), row)

    async def change(self, table: str, found: Found, **values: SqlValue) -> None:
        """Give columns of a row other values."""
        columns = self.table(table).columns
        row = tuple(values.get(name, value) for name, value in zip(columns, found.row, strict=True))
        await self.transaction.update(self.table(table), found, row)

    async def delete(self, table: str, found: Found) -> None:
        """No row any more."""
        await self.transaction.delete(self.table(table), found)

    async def query(self, text: str, *parameters: SqlValue) -> list[Row]:
        """What a statement of SQL gives.

        Raises:
            RefusedError: it is not supported, or says what cannot be.
        """
        try:
            return await self._executor.execute(parse(text), parameters)
        except (SqlError, DuplicateKeyError) as error:
            raise RefusedError(str(error)) from error


async def statements(work: Work, arguments: Sequence[Any]) -> list[list[Row]]:
    """The procedure that every server has: texts of SQL, each with its parameters; what each of them gives."""
    return [await work.query(text, *parameters) for text, parameters in arguments]


Procedure: TypeAlias = Callable[[Work, Sequence[Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Shape:
    """A table to be made.

    Attributes:
        indexes: name -> its columns.
        unique: the names of indexes that have each key once.
    """

    name: str
    columns: tuple[str, ...]
    indexes: Mapping[str, tuple[str, ...]]
    unique: tuple[str, ...] = ("id",)


@dataclass(frozen=True, slots=True)
class Application:
    """See the module.

    Attributes:
        fill: puts in the first rows, in one transaction; the first table has none before, and some afterwards.
        procedures: by name; each takes a list of arguments and answers with what msgpack can pack.
    """

    tables: tuple[Shape, ...]
    fill: Callable[[Work], Awaitable[None]]
    procedures: Mapping[str, Procedure]

    def procedure(self, name: str) -> Procedure:
        """What a client calls by a name, which may be `SQL`."""
        return statements if name == SQL else self.procedures[name]
