"""Statements and expressions as data: what `parse` makes of a text, and all that the rest knows of SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf
from typing import TypeAlias

from detrun_scenarios.database.tree.keys import SqlValue

ComparisonSign: TypeAlias = OneOf["=", "<>", "<", "<=", ">", ">="]
ArithmeticSign: TypeAlias = OneOf["+", "-", "*"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column, of the table with that name or alias if one is given."""

    name: str
    table: str = ""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value."""

    value: SqlValue


@dataclass(frozen=True, slots=True)
class Parameter:
    """A question mark, by its place."""

    place: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values compared; NULL if one of them is."""

    sign: ComparisonSign
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers combined; NULL if one of them is."""

    sign: ArithmeticSign
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Both:
    """AND."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Either:
    """OR."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Opposite:
    """NOT."""

    of: Expression


@dataclass(frozen=True, slots=True)
class IsNull:
    """IS NULL."""

    of: Expression


Expression: TypeAlias = Column | Constant | Parameter | Comparison | Arithmetic | Both | Either | Opposite | IsNull


@dataclass(frozen=True, slots=True)
class Source:
    """A table that is read, under a name."""

    table: str
    alias: str


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ORDER BY. NULL comes first, or last if it is descending."""

    by: Expression
    is_descending: bool


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT of one table or two.

    Attributes:
        columns: what is wanted of each row; None for all columns of all tables.
        where: what is asked of rows, conditions of a join included; None for nothing.
        limit: of rows; None for all.
    """

    columns: tuple[Expression, ...] | None
    sources: tuple[Source, ...]
    where: Expression | None
    order: tuple[Order, ...]
    limit: Expression | None


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT of rows; without columns they are all of the table, in its order."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Expression, ...], ...]


@dataclass(frozen=True, slots=True)
class Update:
    """UPDATE of rows of one table."""

    table: str
    assignments: tuple[tuple[str, Expression], ...]
    where: Expression | None


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE of rows of one table."""

    table: str
    where: Expression | None


Statement: TypeAlias = Select | Insert | Update | Delete
