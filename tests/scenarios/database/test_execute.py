"""Statements against sqlite3, on random tables; and whatever the plan, the rows are the same."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.world.disk.disk import Disk
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.recovery import recover
from detrun_scenarios.database.log.writer import DIRECTORY, open_log
from detrun_scenarios.database.sql.choice import cheapest
from detrun_scenarios.database.sql.cost import Costs
from detrun_scenarios.database.sql.execute import Executor
from detrun_scenarios.database.sql.parse import SqlError, parse
from detrun_scenarios.database.sql.plan import Plan
from detrun_scenarios.database.sql.statements import Select
from detrun_scenarios.database.sql.statistics import Statistics
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.volume import open_volume
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.transaction import Transaction


async def opened(*tables: tuple[str, str, Sequence[str]], frames: int = 24) -> Store:
    """A database with tables: name, columns and, separated by commas, the columns of indexes."""
    disk = Disk()
    log = await open_log(disk)
    volume = await open_volume(disk, f"{DIRECTORY}/pages", 512)
    store = Store(Changes(BufferPool(volume, log, {"heap": frames, "index": frames}), log))
    await recover(store.changes)
    await store.load()
    for name, columns, indexes in tables:
        await store.create_table(name, tuple(columns), {one: tuple(one.split(",")) for one in indexes})
    return store


# Numbers are in a, b, d; texts, too, in c and e.
NUMBERS = ["NULL", "0", "1", "2", "-1.5", "3"]
NUMBER, ANYTHING = st.sampled_from(NUMBERS), st.sampled_from([*NUMBERS, "'x'", "''"])
COLUMNS = {"t": "abc", "u": "de"}
ROWS = {
    "t": st.builds("INSERT INTO t VALUES ({}, {}, {})".format, NUMBER, NUMBER, ANYTHING),
    "u": st.builds("INSERT INTO u VALUES ({}, {})".format, NUMBER, ANYTHING),
}


def indexes_of(columns: str) -> st.SearchStrategy[list[str]]:
    one = st.lists(st.sampled_from(columns), min_size=1, max_size=2, unique=True).map(",".join)
    return st.lists(one, max_size=3, unique=True)


def conditions_on(columns: str) -> st.SearchStrategy[str]:
    column = st.sampled_from(columns)
    atom = st.one_of(
        st.builds("{} {} {}".format, column, st.sampled_from(["=", "<", "<=", ">", ">=", "<>"]), ANYTHING),
        st.builds("{1} {2} {0}".format, column, ANYTHING, st.sampled_from(["=", "<", ">="])),
        st.builds("{} BETWEEN {} AND {}".format, column, ANYTHING, ANYTHING),
        st.builds("{} IS {}NULL".format, column, st.sampled_from(["", "NOT "])),
        st.builds("{} IN ({}, {})".format, column, ANYTHING, ANYTHING),
        st.builds("{} = {}".format, column, NUMBER),
    )
    one = st.one_of(atom, atom, st.builds("({} OR {})".format, atom, atom), st.builds("NOT ({})".format, atom))
    return st.lists(one, max_size=3).map(" AND ".join)


@dataclass(frozen=True)
class Query:
    """A SELECT whose first columns are those that it is ordered by.

    Attributes:
        keys: how many these are.
    """

    before: str
    limit: str
    keys: int

    @property
    def text(self) -> str:
        return self.before + self.limit


@st.composite
def queries(draw: st.DrawFn) -> Query:
    sources = draw(st.sampled_from(["t", "u", "t JOIN u ON a = d", "u, t", "t JOIN u ON b < d", "u JOIN t ON e = c"]))
    columns = "".join(COLUMNS[name] for name in "tu" if name in sources.split(" ON ")[0].replace(",", " ").split())
    condition = draw(conditions_on(columns))
    where = f" WHERE {condition}" if condition else ""
    if draw(st.integers(0, 3)) == 0:
        number, any_one = ("b", "c") if "b" in columns else ("d", "e")
        group = draw(st.sampled_from(["", number, any_one]))
        of = f"MIN({any_one}), MAX({any_one}), COUNT(DISTINCT {any_one}), COUNT({any_one})"
        aggregates = f"COUNT(*), SUM({number}), AVG({number}), {of}"
        having = draw(st.sampled_from(["", " HAVING COUNT(*) > 1"]))
        tail = f" GROUP BY {group}{having} ORDER BY {group}" if group else having
        return Query(f"SELECT {group + ', ' if group else ''}{aggregates} FROM {sources}{where}{tail}", "", bool(group))
    if draw(st.integers(0, 7)) == 0:
        return Query(
            f"SELECT {draw(st.sampled_from(['MIN', 'MAX']))}({draw(st.sampled_from(columns))}) FROM {sources}{where}",
            "",
            0,
        )
    order = draw(st.lists(st.sampled_from(columns), max_size=2, unique=True))
    turned = [name + (" DESC" if draw(st.booleans()) else "") for name in order]
    selected = [*order, *(name for name in columns if name not in order)]
    distinct = draw(st.sampled_from(["", "", "DISTINCT "]))
    tail = f" ORDER BY {', '.join(turned)}" if order else ""
    limit = draw(st.sampled_from(["", "", " LIMIT 3", " LIMIT 0", " LIMIT -1"]))
    return Query(f"SELECT {distinct}{', '.join(selected)} FROM {sources}{where}{tail}", limit, len(order))


def agrees(query: Query, rows: list[Any], oracle: sqlite3.Connection) -> bool:
    """Whether rows are those of sqlite3, but for the order of ties and which of them LIMIT leaves out."""
    wanted, everything = oracle.execute(query.text).fetchall(), oracle.execute(query.before).fetchall()
    keys = [[row[: query.keys] for row in some] for some in (rows, wanted)]
    if query.limit and len(wanted) < len(everything):
        return len(rows) == len(wanted) and keys[0] == keys[1] and not Counter(rows) - Counter(everything)
    return keys[0] == keys[1] and Counter(rows) == Counter(wanted)


CASES = st.fixed_dictionaries(
    {
        "indexes": st.fixed_dictionaries({name: indexes_of(columns) for name, columns in COLUMNS.items()}),
        "t": st.lists(ROWS["t"], max_size=12),
        "u": st.lists(ROWS["u"], max_size=8),
        "queries": st.lists(queries(), min_size=1, max_size=3),
        "analyze": st.booleans(),
    }
)


def check(case: dict[str, Any]) -> None:
    """The queries of a case by each plan that there is, against sqlite3."""
    inserted = [*case["t"], *case["u"]]
    oracle = sqlite3.connect(":memory:")
    for name, columns in COLUMNS.items():
        oracle.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    for one in inserted:
        oracle.execute(one)

    async def main() -> list[tuple[Query, str, list[Any]]]:
        store = await opened(*((name, columns, case["indexes"][name]) for name, columns in COLUMNS.items()))
        one = Transaction(store, "serializable")
        executor = Executor(one, {}, Costs())
        for text in inserted:
            await executor.execute(parse(text))
        await one.commit()
        one = Transaction(store, "serializable")
        executor = Executor(one, {}, Costs())
        if case["analyze"]:
            await executor.execute(parse("ANALYZE"))
        found = []
        for query in case["queries"]:
            select = parse(query.text)
            assert isinstance(select, Select)
            for place in range(len(executor.planner(select).plans())):
                taken: list[str] = []

                def choose(plans: Sequence[Plan], place: int = place, taken: list[str] = taken) -> Plan:
                    taken.append(str(plans[place]))
                    return plans[place]

                rows = await Executor(one, executor.statistics, Costs(), choose).execute(select)
                found.append((query, taken[0], rows))
        await one.commit()
        return found

    for query, plan, rows in detrun.record(main).result:
        assert agrees(query, rows, oracle), f"{query.text} by {plan}: {rows}"


@settings(max_examples=12, deadline=None)
@given(case=CASES)
def test_queries_find_what_sqlite_finds_by_every_plan(case: dict[str, Any]) -> None:
    check(case)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(case=CASES)
def test_many_queries_find_what_sqlite_finds_by_every_plan(case: dict[str, Any]) -> None:
    check(case)


CHANGES = st.one_of(
    st.builds("INSERT INTO u (e) VALUES ({})".format, ANYTHING),
    st.builds("UPDATE t SET a = a + {} WHERE b BETWEEN {} AND 2".format, NUMBER, NUMBER),
    st.builds("UPDATE t SET a = {}, b = a WHERE a > {}".format, NUMBER, NUMBER),
    st.builds("UPDATE u SET d = {} WHERE e = {}".format, NUMBER, ANYTHING),
    st.builds("DELETE FROM t WHERE a >= {}".format, NUMBER),
    st.builds("DELETE FROM u WHERE e IS NULL AND d < {}".format, NUMBER),
)


@settings(max_examples=12, deadline=None)
@given(
    rows=st.lists(st.one_of(ROWS["t"], ROWS["u"]), max_size=12),
    changes=st.lists(CHANGES, max_size=5),
    is_last=st.booleans(),
)
def test_changes_by_the_first_plan_and_by_the_last_one_do_what_they_do_in_sqlite(
    rows: list[str], changes: list[str], is_last: bool
) -> None:
    oracle = sqlite3.connect(":memory:")
    for name, columns in COLUMNS.items():
        oracle.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    for one in [*rows, *changes]:
        oracle.execute(one)

    async def main() -> list[list[Any]]:
        store = await opened(("t", "abc", ["a", "b,a"]), ("u", "de", ["e"]))
        one = Transaction(store, "serializable")
        executor = Executor(one, {}, Costs(), lambda plans: plans[-1] if is_last else plans[0])
        for text in [*rows, *changes]:
            await executor.execute(parse(text))
        return [await executor.execute(parse(f"SELECT * FROM {name}")) for name in COLUMNS]

    for name, found in zip(COLUMNS, detrun.record(main).result, strict=True):
        assert Counter(found) == Counter(oracle.execute(f"SELECT * FROM {name}").fetchall())


# Plans and what they cost.

SHOP = (("orders", ("w", "d", "o", "c", "note"), ["w,d,o", "c"]), ("lines", ("o", "i", "amount"), ["o"]))


async def shop(executor_of: Any = None) -> Executor:
    """200 orders in two districts, three lines each; statistics are there."""
    store = await opened(*SHOP)
    one = Transaction(store, "snapshot")
    executor = Executor(one, {}, Costs())
    for number in range(200):
        order = parse("INSERT INTO orders VALUES (1, ?, ?, ?, ?)")
        await executor.execute(order, [number % 2, number, number * 7 % 40, "." * 60])
        if number < 60:
            line = parse("INSERT INTO lines VALUES (?, 1, 10), (?, 2, ?), (?, 3, NULL)")
            await executor.execute(line, [number, number, number, number])
    await one.commit()
    executor = Executor(Transaction(store, "snapshot"), {}, Costs())
    await executor.execute(parse("ANALYZE"))
    return executor


def answers(*texts: str, costs: Costs | None = None) -> list[list[Any]]:
    """What each statement gives in the shop."""

    async def main() -> list[list[Any]]:
        executor = await shop()
        executor.costs = executor.costs if costs is None else costs
        return [await executor.execute(parse(text)) for text in texts]

    found: list[list[Any]] = detrun.record(main).result
    return found


def plans(*texts: str, **costs: float) -> list[str]:
    """The cheapest plan of each."""

    async def main() -> list[str]:
        executor = await shop()
        executor.costs = Costs(**costs)
        found = []
        for text in texts:
            select = parse(text)
            assert isinstance(select, Select)
            plan = cheapest(executor.planner(select).plans())
            found.append(f"{plan}{' sorted' if plan.is_sorted else ''}")
        return found

    found: list[str] = detrun.record(main).result
    return found


def test_the_cheapest_plan_depends_on_what_is_asked_and_on_what_reading_costs() -> None:
    few, some = "SELECT * FROM orders WHERE c = 3", "SELECT * FROM orders WHERE c < 20"
    ranged = "SELECT * FROM orders WHERE w = 1 AND d = 0 AND o BETWEEN 40 AND 50"
    last = "SELECT o FROM orders WHERE w = 1 AND d = 1 ORDER BY o DESC LIMIT 1"
    by_other = "SELECT o FROM orders WHERE w = 1 AND d = 1 ORDER BY c LIMIT 1"
    least = "SELECT MIN(o) FROM orders WHERE w = 1 AND d = 0"
    joined = "SELECT * FROM lines, orders WHERE lines.o = orders.o"
    one_order = joined + " AND w = 1 AND d = 1 AND orders.o = 5"
    assert plans(few, some, ranged, last, by_other, least, joined, one_order) == [
        "orders by c",
        "orders",
        "orders by w,d,o",
        "orders by w,d,o backward",
        "orders by c",
        "orders by w,d,o",
        "orders hash lines",
        "orders by w,d,o loop lines by o",
    ]
    assert plans(few, some, random_page_cost=100.0)[0] == "orders"
    assert plans(some, random_page_cost=0.1) == ["orders by c"]


def test_a_limit_stops_reading_and_explain_says_what_was_read() -> None:
    first, sort, join, groups = answers(
        "EXPLAIN ANALYZE SELECT o FROM orders WHERE w = 1 AND d = 1 AND c > 3 ORDER BY o DESC LIMIT 2",
        "EXPLAIN ANALYZE SELECT o FROM orders WHERE c < 1 ORDER BY o",
        "EXPLAIN ANALYZE SELECT amount FROM orders, lines WHERE lines.o = orders.o AND c = 7 AND w = 1",
        "EXPLAIN SELECT d, COUNT(*) FROM orders GROUP BY d",
    )
    lines = [[line for (line,) in some] for some in (first, sort, join, groups)]
    assert [one.partition(" (cost")[0] for one in lines[0]] == [
        "limit 2",
        "  index orders by w,d,o backward (w = 1, d = 1)",
    ]
    assert [one.partition("(actual ")[2] for one in lines[0]] == ["rows=2)", "rows=2)"]
    assert [one.split(" (cost")[0] for one in lines[1]] == ["sort by o", "  index orders by c (c < 1)"]
    assert lines[1][1].endswith("rows=10) (actual rows=5)")
    assert [one.split(" (cost")[0] for one in lines[2]] == [
        "hash lines.o = orders.o",
        "  scan lines",
        "  index orders by c (c = 7)",
    ]
    assert [one.partition("(actual ")[2] for one in lines[2]] == ["rows=6)", "rows=180)", "rows=5 readings=1)"]
    assert lines[3][0] == "group by d"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT b, COUNT(*) FROM t", "b is not one value for each group"),
        ("SELECT a FROM t GROUP BY a ORDER BY b", "b is not one value for each group"),
        ("SELECT * FROM t GROUP BY a", "name what groups have in common"),
        ("SELECT SUM(b) FROM t", "a sum of texts"),
        ("SELECT a FROM t LIMIT 'x'", "LIMIT 'x' is no whole number"),
        ("UPDATE t SET a = COUNT(*)", "COUNT is of many rows"),
        ("ANALYZE nothing", "there is no table nothing"),
    ],
)
def test_what_has_no_value_is_refused(text: str, problem: str) -> None:
    async def main() -> None:
        executor = Executor(Transaction(await opened(("t", ("a", "b"), [])), "snapshot"), {}, Costs())
        await executor.execute(parse("INSERT INTO t VALUES (1, 'x')"))
        with pytest.raises(SqlError, match=problem):
            await executor.execute(parse(text))

    detrun.record(main)


def test_an_index_is_used_for_numbers_that_no_key_has() -> None:
    large = 2**60 + 1
    found = answers(
        f"SELECT COUNT(*) FROM orders WHERE c < {large}",
        f"SELECT COUNT(*) FROM orders WHERE c = {large}",
        f"SELECT COUNT(*) FROM orders WHERE c > {large}",
        "SELECT COUNT(*), COUNT(amount), SUM(amount), MIN(amount), MAX(i) FROM lines WHERE o = 7",
        costs=Costs(random_page_cost=0.001),
    )
    assert found == [[(200,)], [(0,)], [(0,)], [(3, 2, 17, 7, 3)]]


def test_tables_that_grow_are_estimated_to_have_as_many_rows_on_a_page() -> None:
    async def main() -> tuple[Statistics, Statistics, int]:
        store = await opened(("t", ("a", "b"), ["a"]))
        one = Transaction(store, "snapshot")
        executor = Executor(one, {}, Costs())
        for number in range(400):
            await executor.execute(parse("INSERT INTO t VALUES (?, ?)"), [number, number % 4])
            if number == 99:
                await one.commit()
                one = executor.transaction = Transaction(store, "snapshot")
                await executor.execute(parse("ANALYZE t"))
        await one.commit()
        return (
            executor.statistics["t"],
            executor.statistics["t"].now(store.tables["t"]),
            len(store.tables["t"].heap.pages),
        )

    before, now, pages = detrun.record(main).result
    assert before.rows == before.column("a").distinct == 100.0
    assert now.pages == pages
    assert 300.0 < now.rows == now.column("a").distinct < 500.0
    assert now.column("b").distinct == 4.0
