"""`parse`: a text of SQL as a statement, by sqlglot, in the dialect of SQLite. What is not supported is refused."""

from __future__ import annotations

from typing import Any, cast

import sqlglot
from sqlglot import expressions as glot
from sqlglot.errors import SqlglotError

from detrun_scenarios.database.sql.statements import (
    Arithmetic,
    ArithmeticSign,
    Both,
    Column,
    Comparison,
    ComparisonSign,
    Constant,
    Delete,
    Either,
    Expression,
    Insert,
    IsNull,
    Opposite,
    Order,
    Parameter,
    Select,
    Source,
    Statement,
    Update,
)

_COMPARISONS: dict[type, ComparisonSign] = {
    glot.EQ: "=",
    glot.NEQ: "<>",
    glot.LT: "<",
    glot.LTE: "<=",
    glot.GT: ">",
    glot.GTE: ">=",
}
_ARITHMETIC: dict[type, ArithmeticSign] = {glot.Add: "+", glot.Sub: "-", glot.Mul: "*"}


class SqlError(Exception):
    """A text that is no statement, or one that this database does not support."""


def parse(text: str) -> Statement:
    """The statement that a text is.

    Raises:
        SqlError: it is none, or has something that is not supported; the message says what.
    """
    try:
        node = sqlglot.parse_one(text, dialect="sqlite")
    except SqlglotError as error:
        raise SqlError(f"{text!r} is no statement: {error}") from error
    return _Parser(text).statement(node)


class _Parser:
    """One statement. Question marks are numbered as they are met."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parameters = 0

    def refuse(self, what: Any) -> SqlError:
        return SqlError(f"{self.text!r}: {what} is not supported")

    def only(self, node: Any, *allowed: str) -> None:
        """Refuse a node that has more to it than these parts."""
        for name, value in node.args.items():
            if value and name not in allowed:
                raise self.refuse(f"{name.strip('_')} in {node.key}")

    def statement(self, node: Any) -> Statement:
        if isinstance(node, glot.Select):
            return self.select(node)
        if isinstance(node, glot.Insert):
            return self.insert(node)
        if isinstance(node, glot.Update):
            self.only(node, "this", "expressions", "where")
            assignments = tuple(
                (self.column(one.this).name, self.expression(one.expression)) for one in node.expressions
            )
            return Update(self.source(node.this).table, assignments, self.where(node))
        if isinstance(node, glot.Delete):
            self.only(node, "this", "where")
            return Delete(self.source(node.this).table, self.where(node))
        raise self.refuse(node.key)

    def select(self, node: Any) -> Select:
        self.only(node, "expressions", "from", "from_", "joins", "where", "order", "limit")
        columns = None
        if not (len(node.expressions) == 1 and isinstance(node.expressions[0], glot.Star)):
            columns = tuple(self.expression(one) for one in node.expressions)
        from_ = node.args.get("from_") or node.args.get("from")
        if from_ is None:
            raise self.refuse("a SELECT without FROM")
        sources, conditions = [self.source(from_.this)], []
        for join in node.args.get("joins") or ():
            self.only(join, "this", "on", "kind")
            if join.args.get("kind") not in (None, "", "INNER", "CROSS"):
                raise self.refuse(f"{join.args['kind']} JOIN")
            sources.append(self.source(join.this))
            if join.args.get("on") is not None:
                conditions.append(self.expression(join.args["on"]))
        if len(sources) > 2:
            raise self.refuse("a join of more than two tables")
        if sources[0].alias == sources[-1].alias and len(sources) == 2:
            raise self.refuse(f"two tables of the name {sources[0].alias}")
        where = self.where(node)
        for condition in conditions:
            where = condition if where is None else Both(condition, where)
        order = []
        for one in node.args["order"].expressions if node.args.get("order") else ():
            self.only(one, "this", "desc", "nulls_first")
            order.append(Order(self.expression(one.this), bool(one.args.get("desc"))))
        limit = node.args.get("limit")
        return Select(
            columns, tuple(sources), where, tuple(order), None if limit is None else self.expression(limit.expression)
        )

    def insert(self, node: Any) -> Insert:
        self.only(node, "this", "expression")
        target, values = node.this, node.expression
        if not isinstance(values, glot.Values):
            raise self.refuse("INSERT without VALUES")
        columns: tuple[str, ...] = ()
        if isinstance(target, glot.Schema):
            columns = tuple(one.name for one in target.expressions)
            target = target.this
        rows = tuple(tuple(map(self.expression, one.expressions)) for one in values.expressions)
        return Insert(self.source(target).table, columns, rows)

    def where(self, node: Any) -> Expression | None:
        where = node.args.get("where")
        return None if where is None else self.expression(where.this)

    def source(self, node: Any) -> Source:
        if not isinstance(node, glot.Table):
            raise self.refuse(node.key)
        self.only(node, "this", "alias")
        return Source(node.name, node.alias or node.name)

    def column(self, node: Any) -> Column:
        if not isinstance(node, glot.Column):
            raise self.refuse(f"{node.sql()} in place of a column")
        self.only(node, "this", "table")
        return Column(node.name, node.table)

    def expression(self, node: Any) -> Expression:
        if isinstance(node, glot.Column):
            return self.column(node)
        if type(node) in _COMPARISONS:
            return Comparison(_COMPARISONS[type(node)], self.expression(node.this), self.expression(node.expression))
        if type(node) in _ARITHMETIC:
            return Arithmetic(_ARITHMETIC[type(node)], self.expression(node.this), self.expression(node.expression))
        match node:
            case glot.Paren():
                return self.expression(node.this)
            case glot.And():
                return Both(self.expression(node.this), self.expression(node.expression))
            case glot.Or():
                return Either(self.expression(node.this), self.expression(node.expression))
            case glot.Not():
                return Opposite(self.expression(node.this))
            case glot.Is() if isinstance(node.expression, glot.Null):
                return IsNull(self.expression(node.this))
            case glot.Between():
                self.only(node, "this", "low", "high")
                of = self.expression(node.this)
                low, high = self.expression(node.args["low"]), self.expression(node.args["high"])
                return Both(Comparison(">=", of, low), Comparison("<=", of, high))
            case glot.Neg():
                of = self.expression(node.this)
                if isinstance(of, Constant) and isinstance(of.value, int | float):
                    return Constant(-of.value)
                return Arithmetic("-", Constant(0), of)
            case glot.Null():
                return Constant(None)
            case glot.Placeholder() if not node.this:
                self.parameters += 1
                return Parameter(self.parameters - 1)
            case glot.Literal():
                return Constant(_value_of(node))
        raise self.refuse(node.sql(dialect="sqlite"))


def _value_of(node: Any) -> str | int | float:
    text = cast(str, node.this)
    if node.is_string:
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)
