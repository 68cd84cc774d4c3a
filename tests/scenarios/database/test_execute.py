"""Statements against sqlite3; and whatever the plan, the rows are the same."""

from __future__ import annotations

import sqlite3
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.world.disk.disk import Disk
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.recovery import recover
from detrun_scenarios.database.log.writer import DIRECTORY, open_log
from detrun_scenarios.database.sql.execute import Executor
from detrun_scenarios.database.sql.parse import parse
from detrun_scenarios.database.sql.plan import Costs, Statistics
from detrun_scenarios.database.sql.statements import Select
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.volume import open_volume
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.transaction import Transaction

STATISTICS = {
    "t": Statistics(200.0, 20.0, {"id": 200.0, "a": 50.0}),
    "u": Statistics(100.0, 10.0, {"b": 30.0}),
}


async def opened() -> Store:
    disk = Disk()
    log = await open_log(disk)
    volume = await open_volume(disk, f"{DIRECTORY}/pages", 512)
    store = Store(Changes(BufferPool(volume, log, {"heap": 8, "index": 12}), log))
    await recover(store.changes)
    await store.load()
    await store.create_table("t", ("id", "a", "x"), {"id": ("id",), "a": ("a", "x")}, unique=("id",))
    await store.create_table("u", ("b", "y"), {"b": ("b",)})
    return store


SMALL = st.sampled_from(["NULL", "0", "1", "2"])
CHANGES = st.one_of(
    st.builds("INSERT INTO u VALUES ({}, {})".format, SMALL, SMALL),
    st.builds("INSERT INTO u (y) VALUES ({})".format, SMALL),
    st.builds("UPDATE t SET x = x + {} WHERE a = {}".format, SMALL, SMALL),
    st.builds("UPDATE t SET a = {}, x = a WHERE id > {}".format, SMALL, SMALL),
    st.builds("UPDATE u SET y = b WHERE b = {}".format, SMALL),
    st.builds("DELETE FROM t WHERE id = {}".format, SMALL),
    st.builds("DELETE FROM u WHERE y IS NULL AND b < {}".format, SMALL),
)
CONDITIONS = st.lists(
    st.one_of(
        st.builds("{} {} {}".format, st.sampled_from(["a", "x", "id"]), st.sampled_from(["=", "<", ">="]), SMALL),
        st.builds("a = {} AND x = {}".format, SMALL, SMALL),
    ),
    max_size=2,
).map(lambda parts: f" WHERE {' AND '.join(parts)}" if parts else "")
TAILS = st.sampled_from(["", " ORDER BY x DESC, id", " ORDER BY a, id DESC LIMIT 3", " ORDER BY id LIMIT 0"])
QUERIES = st.one_of(
    st.builds("SELECT * FROM t{}{}".format, CONDITIONS, TAILS),
    st.builds("SELECT x, id + 1 FROM t{}{}".format, CONDITIONS, TAILS),
    st.builds(
        "SELECT t.id, u.y FROM t JOIN u ON t.a = u.b{}{}".format,
        CONDITIONS,
        st.sampled_from(["", " ORDER BY u.y, t.id LIMIT 4"]),
    ),
    st.builds("SELECT * FROM u, t{}".format, CONDITIONS),
)


def in_some_order(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=repr)


@settings(max_examples=15, deadline=None)
@given(changes=st.lists(CHANGES, max_size=8), queries=st.lists(QUERIES, min_size=1, max_size=3))
def test_statements_do_and_find_what_they_do_in_sqlite_by_every_plan(changes: list[str], queries: list[str]) -> None:
    oracle = sqlite3.connect(":memory:")
    oracle.execute("CREATE TABLE t (id, a, x)")
    oracle.execute("CREATE TABLE u (b, y)")
    first = [f"INSERT INTO t VALUES ({number}, {number % 3}, {number % 2})" for number in range(5)]
    statements = [*first, "INSERT INTO u VALUES (1, 1), (2, NULL), (NULL, 0)", *changes]
    for one in statements:
        oracle.execute(one)

    async def main() -> list[tuple[list[Any], list[list[Any]]]]:
        store = await opened()
        writer = Transaction(store, "serializable")
        for one in statements:
            await Executor(writer, STATISTICS, Costs()).execute(parse(one))
        await writer.commit()
        found = []
        executor = Executor(Transaction(store, "serializable"), STATISTICS, Costs())
        for one in queries:
            query = parse(one)
            assert isinstance(query, Select)
            planner = executor.planner(query.sources, query.where)
            by_plans = [await executor.rows(planner, plan, query.where, ()) for plan in planner.plans()]
            found.append((await executor.execute(query), by_plans))
        return found

    for text, (rows, by_plans) in zip(queries, detrun.record(main).result, strict=True):
        wanted = oracle.execute(text).fetchall()
        is_ordered = "id" in text.partition("ORDER BY")[2] and "u.y" not in text
        if "LIMIT" not in text or is_ordered:
            assert (rows if is_ordered else in_some_order(rows)) == (wanted if is_ordered else in_some_order(wanted))
        else:
            assert len(rows) == len(wanted)
        assert all(in_some_order(one) == in_some_order(by_plans[0]) for one in by_plans)


def plan_of(text: str, **costs: float) -> str:
    async def main() -> str:
        executor = Executor(Transaction(await opened(), "snapshot"), STATISTICS, Costs(**costs))
        query = parse(text)
        assert isinstance(query, Select)
        return str(executor.planner(query.sources, query.where).best())

    found: str = detrun.record(main).result
    return found


def test_the_cheapest_plan_depends_on_what_is_asked_and_on_what_reading_costs() -> None:
    assert plan_of("SELECT * FROM t WHERE x = 1") == "t"
    assert plan_of("SELECT * FROM t WHERE id = 1") == "t by id"
    assert plan_of("SELECT * FROM t WHERE a = 1 AND x = 2", random_page_cost=20.0) == "t"
    assert plan_of("SELECT * FROM t, u WHERE t.a = u.b") == "t hash u"
    assert plan_of("SELECT * FROM t, u WHERE t.a = u.b AND t.id = 3", random_page_cost=1.0) == "t by id loop u by b"
    assert plan_of("SELECT * FROM u, t WHERE t.a = u.b AND t.id = 3") == "t by id loop u"  # one row: one scan
