"""`parse`: a text of SQL as a statement, by sqlglot, in the dialect of SQLite. What is not supported is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import sqlglot
from sqlglot import expressions as glot
from sqlglot.errors import SqlglotError

from detrun_scenarios.database.sql.statements import (
    Aggregate,
    AggregateName,
    Analyze,
    Arithmetic,
    ArithmeticSign,
    Both,
    Column,
    Comparison,
    ComparisonSign,
    Constant,
    Delete,
    Either,
    Explain,
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
    aggregates_in,
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
_AGGREGATES: dict[type, AggregateName] = {
    glot.Count: "COUNT",
    glot.Sum: "SUM",
    glot.Avg: "AVG",
    glot.Min: "MIN",
    glot.Max: "MAX",
}
_EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE)?\s+", re.IGNORECASE)
TEXTS_KEPT = 1024


class SqlError(Exception):
    """A text that is no statement, or one that this database does not support."""


@lru_cache(TEXTS_KEPT)
def parse(text: str) -> Statement:
    """The statement that a text is. Those that were asked for last are kept: a server gets the same texts all the time.

    Raises:
        SqlError: it is none, or has something that is not supported; the message says what.
    """
    explain = _EXPLAIN.match(text)
    if explain is not None:
        explained = parse(text[explain.end() :])
        if not isinstance(explained, Select):
            raise SqlError(f"{text!r}: EXPLAIN of anything but SELECT is not supported")
        return Explain(explained, is_measured=bool(explain[1]))
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
        if isinstance(node, glot.Analyze):
            self.only(node, "tables")
            tables = [self.source(one).table for one in node.args.get("tables") or ()]
            if len(tables) > 1:
                raise self.refuse("ANALYZE of more than one table")
            return Analyze(tables[0] if tables else None)
        raise self.refuse(node.key)

    def select(self, node: Any) -> Select:
        self.only(
            node, "expressions", "from", "from_", "joins", "where", "group", "having", "order", "limit", "distinct"
        )
        columns, named = self.selected(node)
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
        if where is not None and any(True for _ in aggregates_in(where)):
            raise self.refuse("an aggregate in WHERE")
        group, having, distinct = (node.args.get(name) for name in ("group", "having", "distinct"))
        if group is not None:
            self.only(group, "expressions")
        if distinct is not None:
            self.only(distinct)
        found = Select(columns, tuple(sources), where, (), None, is_distinct=distinct is not None)
        if group is not None:
            found = replace(found, group=tuple(self.named(one, columns, {}) for one in group.expressions))
            if any(True for one in found.group for _ in aggregates_in(one)):
                raise self.refuse("an aggregate in GROUP BY")
        if having is not None:
            found = replace(found, having=self.expression(having.this))
        order = node.args["order"].expressions if node.args.get("order") else ()
        found = replace(found, order=tuple(self.order(one, columns, named) for one in order))
        limit = node.args.get("limit")
        return found if limit is None else replace(found, limit=self.expression(limit.expression))

    def selected(self, node: Any) -> tuple[tuple[Expression, ...] | None, dict[str, Expression]]:
        """What a SELECT wants of each row, None for all; and what it gives a name to."""
        if len(node.expressions) == 1 and isinstance(node.expressions[0], glot.Star):
            return None, {}
        columns, named = [], dict[str, Expression]()
        for one in node.expressions:
            if isinstance(one, glot.Alias):
                columns.append(self.expression(one.this))
                named.setdefault(one.alias, columns[-1])
            else:
                columns.append(self.expression(one))
        return tuple(columns), named

    def named(self, node: Any, columns: tuple[Expression, ...] | None, named: dict[str, Expression]) -> Expression:
        """An expression of ORDER BY or GROUP BY, which may be the place or the name of what is selected."""
        if isinstance(node, glot.Literal) and not node.is_string:
            place = _value_of(node)
            if columns is None or not isinstance(place, int) or not 1 <= place <= len(columns):
                raise self.refuse(f"the column {place} of the result")
            return columns[place - 1]
        if isinstance(node, glot.Column) and not node.table and node.name in named:
            return named[node.name]
        return self.expression(node)

    def order(self, node: Any, columns: tuple[Expression, ...] | None, named: dict[str, Expression]) -> Order:
        self.only(node, "this", "desc", "nulls_first")
        is_descending = bool(node.args.get("desc"))
        if bool(node.args.get("nulls_first")) == is_descending:
            raise self.refuse(f"NULLS {'FIRST' if is_descending else 'LAST'}")
        return Order(self.named(node.this, columns, named), is_descending)

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
        if not isinstance(node, glot.Column) or isinstance(node.this, glot.Star):
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
        if type(node) in _AGGREGATES:
            return self.aggregate(node)
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
            case glot.In():
                self.only(node, "this", "expressions")
                of = self.expression(node.this)
                options = [Comparison("=", of, self.expression(one)) for one in node.expressions]
                if not options:
                    raise self.refuse(node.sql(dialect="sqlite"))
                found: Expression = options[0]
                for one in options[1:]:
                    found = Either(found, one)
                return found
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

    def aggregate(self, node: Any) -> Aggregate:
        self.only(node, "this", "big_int")
        of, is_distinct = node.this, isinstance(node.this, glot.Distinct)
        if is_distinct:
            self.only(of, "expressions")
            if len(of.expressions) != 1:
                raise self.refuse("DISTINCT of several values")
            of = of.expressions[0]
        if isinstance(of, glot.Star) and type(node) is glot.Count and not is_distinct:
            return Aggregate("COUNT", None)
        inner = self.expression(of)
        if any(True for _ in aggregates_in(inner)):
            raise self.refuse("an aggregate of an aggregate")
        return Aggregate(_AGGREGATES[type(node)], inner, is_distinct)


def _value_of(node: Any) -> str | int | float:
    text = cast(str, node.this)
    if node.is_string:
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)
