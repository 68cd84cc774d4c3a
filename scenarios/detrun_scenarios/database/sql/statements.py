"""Statements and expressions as data: what `parse` makes of a text, and all that the rest knows of SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal as OneOf
from typing import TypeAlias

from detrun_scenarios.database.tree.keys import SqlValue

ComparisonSign: TypeAlias = OneOf["=", "<>", "<", "<=", ">", ">="]
ArithmeticSign: TypeAlias = OneOf["+", "-", "*"]
AggregateName: TypeAlias = OneOf["COUNT", "SUM", "AVG", "MIN", "MAX"]


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


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One value of many rows.

    Attributes:
        of: what is taken of each row; None for the row itself, as in COUNT(*).
        is_distinct: each value counts once.
    """

    name: AggregateName
    of: Expression | None
    is_distinct: bool = False


Expression: TypeAlias = (
    Column | Constant | Parameter | Comparison | Arithmetic | Both | Either | Opposite | IsNull | Aggregate
)


def parts_of(expression: Expression) -> tuple[Expression, ...]:
    """The expressions that an expression is made of, from left to right."""
    match expression:
        case Comparison() | Arithmetic() | Both() | Either():
            return expression.left, expression.right
        case Opposite() | IsNull():
            return (expression.of,)
        case Aggregate():
            return () if expression.of is None else (expression.of,)
    return ()


def with_parts(expression: Expression, parts: Sequence[Expression]) -> Expression:
    """The expression with others in place of its `parts_of`."""
    match expression:
        case Comparison() | Arithmetic() | Both() | Either():
            return replace(expression, left=parts[0], right=parts[1])
        case Opposite() | IsNull():
            return replace(expression, of=parts[0])
        case Aggregate() if parts:
            return replace(expression, of=parts[0])
    return expression


def columns_in(expression: Expression) -> Iterator[Column]:
    """The columns that an expression names."""
    if isinstance(expression, Column):
        yield expression
    for part in parts_of(expression):
        yield from columns_in(part)


def has_columns(expression: Expression) -> bool:
    """Whether an expression names columns, so that its value depends on a row."""
    return any(True for _ in columns_in(expression))


def aggregates_in(expression: Expression) -> Iterator[Aggregate]:
    """The aggregates that an expression has, the outer ones."""
    if isinstance(expression, Aggregate):
        yield expression
        return
    for part in parts_of(expression):
        yield from aggregates_in(part)


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
        group: what rows of one group have in common.
        having: what is asked of groups; None for nothing.
        is_distinct: each row once.
    """

    columns: tuple[Expression, ...] | None
    sources: tuple[Source, ...]
    where: Expression | None
    order: tuple[Order, ...]
    limit: Expression | None
    group: tuple[Expression, ...] = ()
    having: Expression | None = None
    is_distinct: bool = False

    @property
    def is_grouped(self) -> bool:
        """Whether its rows are of groups; without GROUP BY all rows are one."""
        asked = [*(self.columns or ()), *(one.by for one in self.order)]
        return bool(self.group) or self.having is not None or any(True for one in asked for _ in aggregates_in(one))


def first_of(select: Select) -> Select | None:
    """A SELECT of one MIN or MAX as one of the first row in an order, which an index may bring; None if it is none.

    Its result has no row where the other one has a NULL.
    """
    if select.columns is None or len(select.columns) != 1 or select.group or select.order or select.having is not None:
        return None
    (one,) = select.columns
    if not isinstance(one, Aggregate) or one.name not in ("MIN", "MAX") or not isinstance(one.of, Column):
        return None
    there = Opposite(IsNull(one.of))
    where = there if select.where is None else Both(select.where, there)
    order = (Order(one.of, is_descending=one.name == "MAX"),)
    return replace(select, columns=(one.of,), where=where, order=order, limit=Constant(1), is_distinct=False)


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


@dataclass(frozen=True, slots=True)
class Analyze:
    """ANALYZE: statistics of one table, or of all if that is None."""

    table: str | None


@dataclass(frozen=True, slots=True)
class Explain:
    """EXPLAIN: the plan of a SELECT; with ANALYZE it is carried out, too, and its rows are counted."""

    select: Select
    is_measured: bool


Statement: TypeAlias = Select | Insert | Update | Delete | Analyze | Explain
