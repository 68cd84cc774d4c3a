"""Texts of SQL, and expressions against sqlite3."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detrun_scenarios.database.sql.evaluation import compiled, order_key
from detrun_scenarios.database.sql.parse import SqlError, parse
from detrun_scenarios.database.sql.statements import (
    Aggregate,
    Analyze,
    Column,
    Comparison,
    Constant,
    Delete,
    Explain,
    Insert,
    Order,
    Parameter,
    Select,
    Source,
    Update,
)
from detrun_scenarios.database.tree.keys import SqlValue

NUMBERS = st.sampled_from(["a", "b", "0", "1", "-2", "1.5", "NULL"])
VALUES = st.one_of(NUMBERS, st.sampled_from(["c", "'x'", "''", "'it''s'"]))
SUMS = st.one_of(NUMBERS, st.builds("({} {} {})".format, NUMBERS, st.sampled_from("+-*"), NUMBERS))
ATOMS = st.one_of(
    st.builds("({} {} {})".format, SUMS, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), VALUES),
    st.builds("({} {} {})".format, VALUES, st.sampled_from(["=", "!=", "<", ">="]), VALUES),
    st.builds("({} BETWEEN {} AND {})".format, VALUES, VALUES, VALUES),
    st.builds("({} IN ({}, {}))".format, VALUES, VALUES, VALUES),
    st.builds("({} IS {}NULL)".format, VALUES, st.sampled_from(["", "NOT "])),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("(NOT {})".format, inner),
    ),
    max_leaves=6,
)
ROWS: list[tuple[SqlValue, ...]] = [
    (a, b, c) for a in (None, 0, 1, -2) for b in (None, 1.5, 1) for c in (None, "", "x", "it's", 3)
]


@pytest.fixture(scope="module")
def oracle() -> sqlite3.Connection:
    """sqlite3 with the rows in a table whose columns have no type."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a, b, c)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
    return connection


@settings(max_examples=80, deadline=None)
@given(condition=CONDITIONS)
def test_a_condition_has_the_value_that_sqlite_gives_it_for_every_row(
    condition: str, oracle: sqlite3.Connection
) -> None:
    text = f"SELECT {condition} FROM t"
    statement = parse(text)
    assert isinstance(statement, Select)
    assert statement.columns is not None
    evaluate = compiled(statement.columns[0], lambda column: "abc".index(column.name))
    assert [(evaluate(row),) for row in ROWS] == oracle.execute(text).fetchall()


def test_the_order_of_values_is_that_of_sqlite(oracle: sqlite3.Connection) -> None:
    found = [row[2] for row in oracle.execute("SELECT a, b, c FROM t ORDER BY c, b, a")]
    assert found == sorted((row[2] for row in ROWS), key=order_key)


def test_statements_become_data() -> None:
    one, condition = Column("a"), Comparison("=", Column("id", "x"), Parameter(0))
    assert parse("SELECT a, x.id FROM t AS x WHERE x.id = ? ORDER BY a DESC LIMIT 3") == Select(
        (one, Column("id", "x")), (Source("t", "x"),), condition, (Order(one, True),), Constant(3)
    )
    joined = parse("SELECT * FROM t JOIN u ON t.a = u.a")
    assert isinstance(joined, Select)
    assert joined.columns is None
    assert joined.sources == (Source("t", "t"), Source("u", "u"))
    assert joined.where == Comparison("=", Column("a", "t"), Column("a", "u"))
    assert parse("INSERT INTO t (a, b) VALUES (1, ?), (-2.5, 'x')") == Insert(
        "t", ("a", "b"), ((Constant(1), Parameter(0)), (Constant(-2.5), Constant("x")))
    )
    assert parse("UPDATE t SET a = ? WHERE a = ?") == Update(
        "t", (("a", Parameter(0)),), Comparison("=", one, Parameter(1))
    )
    grouped = parse("SELECT b, COUNT(*) AS n FROM t GROUP BY 1 HAVING SUM(DISTINCT a) > 1 ORDER BY n DESC, 1")
    assert grouped == Select(
        (Column("b"), Aggregate("COUNT", None)),
        (Source("t", "t"),),
        None,
        (Order(Aggregate("COUNT", None), True), Order(Column("b"), False)),
        None,
        (Column("b"),),
        Comparison(">", Aggregate("SUM", one, is_distinct=True), Constant(1)),
    )
    assert parse("explain analyze SELECT * FROM t") == Explain(Select(None, (Source("t", "t"),), None, (), None), True)
    assert parse("ANALYZE t") == Analyze("t")
    assert parse("DELETE FROM t WHERE a = 1") == Delete("t", Comparison("=", one, Constant(1)))


@pytest.mark.parametrize(
    "text",
    [
        "SELEC a",
        "SELECT a",
        "SELECT t.* FROM t",
        "SELECT total(a) FROM t",
        "SELECT count(DISTINCT a, b) FROM t",
        "SELECT sum(max(a)) FROM t",
        "SELECT max(a, b) FROM t",
        "SELECT sum(a) FILTER (WHERE a > 1) FROM t",
        "SELECT count(*) OVER () FROM t",
        "SELECT a FROM t WHERE count(*) > 1",
        "SELECT a FROM t GROUP BY count(*)",
        "SELECT a FROM t ORDER BY 2",
        "SELECT * FROM t ORDER BY 1",
        "SELECT a FROM t ORDER BY a NULLS LAST",
        "SELECT a FROM t ORDER BY a DESC NULLS FIRST",
        "SELECT a FROM t WHERE a IN ()",
        "EXPLAIN DELETE FROM t",
        "ANALYZE t, u",
        "SELECT a FROM t LEFT JOIN u ON t.a = u.a",
        "SELECT a FROM t NATURAL JOIN u",
        "SELECT a FROM t, u, v",
        "SELECT * FROM t, t",
        "SELECT a FROM (SELECT a FROM t)",
        "SELECT a FROM t WHERE a IN (SELECT a FROM u)",
        "SELECT a FROM t ORDER BY a LIMIT 1 OFFSET 1",
        "INSERT INTO t SELECT * FROM u",
        "INSERT OR REPLACE INTO t VALUES (1)",
        "UPDATE t SET a = 1 FROM u",
        "DELETE FROM t RETURNING a",
        "WITH u AS (SELECT 1) SELECT a FROM u",
        "SELECT a FROM t UNION SELECT a FROM u",
        "DROP TABLE t",
    ],
)
def test_what_is_not_supported_is_refused(text: str) -> None:
    with pytest.raises(SqlError):
        parse(text)
