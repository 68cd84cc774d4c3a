"""SQLite connections of several threads: who finds the database locked waits in virtual time, as its handler would."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import closing, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun_scheduler.environment.staying import StayingReplaced
from detrun_scheduler.threads import sqlite_waits


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "x.db")
    with sqlite3.connect(path) as connection:
        connection.execute("create table t(n)")
        connection.execute("insert into t values(0)")
    connection.close()
    return path


def together(*bodies: Callable[[], object]) -> None:
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def added(path: str) -> int:
    """Two threads add one, each in a transaction of its own, with a pause in it."""

    def add() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("begin immediate")
        (number,) = connection.execute("select n from t").fetchone()
        time.sleep(0.5)
        connection.execute("update t set n=?", (number + 1,))
        connection.execute("commit")
        connection.close()

    connection = sqlite3.connect(path)
    connection.execute("update t set n=0")
    connection.commit()
    together(add, add)
    (number,) = connection.execute("select n from t").fetchone()
    connection.close()
    return int(number)


@pytest.mark.parametrize("preemption", ["sync", "line"])
def test_a_locked_database_makes_a_thread_wait_and_not_fail(database: str, preemption: str) -> None:
    for seed in range(5):
        run = detrun.record(added, database, seed=seed, preemption=preemption)
        assert run.result == 2
        assert 1 <= run.virtual_time < 1.3
        assert detrun.replay(added, database, recording=run.recording).digest == run.digest


def test_a_time_out_passes_in_virtual_time(database: str) -> None:
    def program() -> float:
        holder = sqlite3.connect(database, isolation_level=None)
        holder.execute("begin immediate")
        begun = time.monotonic()

        def wait() -> None:
            connection = sqlite3.connect(database, timeout=30, isolation_level=None)
            with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                connection.execute("begin immediate")
            connection.close()

        together(wait)
        holder.close()
        return time.monotonic() - begun

    assert detrun.record(program).result == pytest.approx(30)


@pytest.mark.parametrize("statement", ["pragma busy_timeout = 2000", "PRAGMA main.busy_timeout(2000)"])
def test_the_pragma_sets_the_time_out(database: str, statement: str) -> None:
    def program() -> float:
        holder = sqlite3.connect(database, isolation_level=None)
        holder.execute("begin immediate")
        connection = sqlite3.connect(database, timeout=30, isolation_level=None)
        connection.execute(statement)
        begun = time.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            connection.execute("begin immediate")
        connection.close()
        holder.close()
        return time.monotonic() - begun

    assert detrun.record(program).result == pytest.approx(2)


def test_a_commit_of_a_with_block_waits_for_readers(database: str) -> None:
    def program() -> None:
        def read() -> None:
            connection = sqlite3.connect(database, isolation_level=None)
            connection.execute("begin")
            connection.execute("select n from t").fetchall()
            time.sleep(1)
            connection.execute("commit")
            connection.close()

        def write() -> None:
            time.sleep(0.5)
            connection = sqlite3.connect(database)
            with connection:
                connection.execute("insert into t values(1)")
            connection.close()

        together(read, write)

    assert 1 <= detrun.record(program).virtual_time < 1.3


def test_a_task_that_waits_blocks_the_event_loop_while_threads_go_on(database: str) -> None:
    async def program() -> None:
        def hold() -> None:
            connection = sqlite3.connect(database, isolation_level=None)
            connection.execute("begin immediate")
            time.sleep(0.5)
            connection.execute("commit")
            connection.close()

        thread = threading.Thread(target=hold)
        thread.start()
        await trio.sleep(0.1)
        connection = sqlite3.connect(database, isolation_level=None)
        connection.execute("insert into t values(2)")
        connection.close()
        thread.join()

    assert 0.5 <= detrun.record(program).virtual_time < 0.7


def test_rows_of_a_generator_are_all_written_after_a_wait(database: str) -> None:
    def program() -> int:
        def rows() -> Any:
            yield from ((number,) for number in range(3))

        connection = sqlite3.connect(database, isolation_level=None)
        connection.execute("delete from t")
        holder = sqlite3.connect(database, isolation_level=None, check_same_thread=False)

        def hold() -> None:
            holder.execute("begin immediate")
            time.sleep(0.2)
            holder.execute("commit")

        thread = threading.Thread(target=hold)
        thread.start()
        time.sleep(0.1)
        connection.executemany("insert into t values(?)", rows())
        thread.join()
        (count,) = connection.execute("select count(*) from t").fetchone()
        connection.close()
        holder.close()
        return int(count)

    assert detrun.record(program).result == 3


def test_classes_of_the_program_are_kept_and_outside_of_runs_nothing_changes(database: str) -> None:
    class Connection(sqlite3.Connection):
        pass

    class Cursor(sqlite3.Cursor):
        pass

    def program() -> list[bool]:
        connection = sqlite3.connect(database, factory=Connection)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: by position
            positional = sqlite3.connect(database, 5.0, 0, "", True, Connection)
        cursor = connection.cursor(Cursor)
        found = [isinstance(one, Connection) for one in (connection, positional)]
        found += [isinstance(cursor, Cursor), type(connection).__name__ == "Connection"]
        connection.close()
        positional.close()
        return found

    before = sqlite3.connect
    assert all(detrun.record(program).result)
    assert sqlite3.connect is before
    connection = sqlite3.connect(database)
    assert type(connection) is sqlite3.Connection
    connection.close()


@pytest.mark.parametrize("in_campaign", [False, True])
def test_a_program_that_imports_sqlite3_inside_the_run_waits_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_campaign: bool
) -> None:
    """In a campaign an earlier run, which does not import it, has begun to wait for that."""
    for name in ("sqlite3", "sqlite3.dbapi2", "_sqlite3"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sqlite_waits.GROUP, "groups", [])

    def main() -> tuple[Any, Any]:
        fresh: Any = import_module("sqlite3")
        path = tmp_path / "late.db"
        path.unlink(missing_ok=True)
        with closing(fresh.connect(path)) as connection:
            connection.executescript("CREATE TABLE t(n); INSERT INTO t VALUES (0)")

        def add() -> None:
            with closing(fresh.connect(path, isolation_level=None)) as mine:
                mine.execute("BEGIN IMMEDIATE")
                (number,) = mine.execute("SELECT n FROM t").fetchone()
                mine.execute("UPDATE t SET n = ?", (number + 1,))
                mine.execute("COMMIT")

        threads = [threading.Thread(target=add) for _ in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        with closing(fresh.connect(path)) as connection:
            return connection.execute("SELECT n FROM t").fetchone(), fresh.connect

    with StayingReplaced() if in_campaign else nullcontext():
        detrun.record(lambda: None)
        assert sqlite_waits.GROUP.stays is in_campaign
        (first, kept), (second, _) = detrun.record(main, seed=1).result, detrun.record(main, seed=1).result
        assert not sqlite_waits.GROUP.stays
    assert first == second == (2,)
    with closing(kept(":memory:")) as outside:
        assert outside.execute("SELECT 1").fetchone() == (1,)
    fresh: Any = sys.modules["sqlite3"]
    assert fresh.connect is not kept


def test_a_connection_refuses_other_threads_than_its_own_as_in_life(database: str) -> None:
    def program() -> list[str]:
        found: list[str] = []
        own = sqlite3.connect(database)
        shared = sqlite3.connect(database, check_same_thread=False)
        rows = own.execute("select n from t")

        def other() -> None:
            calls = [own.cursor, own.commit, own.rollback, rows.fetchone, rows.fetchall, rows.fetchmany, own.close]
            for call in (*calls, lambda: next(rows), lambda: own.execute("select 1")):
                try:
                    call()
                except sqlite3.ProgrammingError as error:
                    found.append(str(error).partition(" The object")[0])
            found.append(str(shared.execute("select n from t").fetchone()))

        together(other)
        own.close()
        shared.close()
        return found

    real = program()
    assert detrun.record(program).result == real
    assert len(set(real)) == 2
