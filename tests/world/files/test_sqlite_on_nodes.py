"""`sqlite3` in the code of a node: its files are on the node's disk, and a power loss leaves what SQLite promises."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import trio

import detrun
from detrun.world.disk.crash_states import crash_states
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.files.sqlite_locks import EXCLUSIVE, NONE, PENDING, RESERVED, SHARED, FileLocks
from tests.world.files.test_blocking_files import on_a_node


def after_a_power_loss(pragmas, seed):
    """What is found of rows that a thread inserts two by two, and how many of these it was told to be safe."""

    async def main():
        told, found = [0], []

        def writer():
            connection = sqlite3.connect("/x.db", isolation_level=None)
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            connection.execute("CREATE TABLE t(n, filler)")
            told[0] = 1  # the table
            for number in range(20):
                connection.execute("BEGIN")
                connection.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * 3000))
                connection.execute("INSERT INTO t VALUES (?, ?)", (number, "y" * 3000))
                connection.execute("COMMIT")
                told[0] += 2

        def reader():
            connection = sqlite3.connect("/x.db")
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if not connection.execute("SELECT name FROM sqlite_master").fetchall():
                found.append(0)
                return
            rows = [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]
            assert rows == [number for number in range(len(rows) // 2) for _ in "xy"], "half a transaction"
            found.append(1 + len(rows))

        latency = DiskLatency(fsync_seconds=0.01, write_seconds=0.001)
        async with detrun.World(disk=lambda node: Disk(node.name, latency=latency)) as world:
            node = world.node("a")
            node.start(writer)
            await trio.sleep(0.05 + detrun.uniform(0.0, 0.8))
            node.power_loss()
            node.restart(reader)
            await trio.sleep(10)
        return told[0], found[0]

    return detrun.record(main, seed=seed).result


@pytest.mark.parametrize("settings", [("delete", "extra"), ("truncate", "full"), ("wal", "full")])
def test_a_power_loss_leaves_all_that_was_committed_and_no_half_of_a_transaction(settings):
    mode, synchronous = settings
    outcomes = [after_a_power_loss([f"journal_mode={mode}", f"synchronous={synchronous}"], seed) for seed in range(8)]
    assert all(told <= found <= told + 2 for told, found in outcomes), outcomes
    assert any(0 < told < 41 for told, _ in outcomes)


def test_the_real_sqlite_recovers_every_state_that_a_power_loss_within_a_commit_can_leave(tmp_path):
    async def main():
        logs = []

        async def body():
            connection = sqlite3.connect("/x.db", isolation_level=None)
            connection.execute("PRAGMA page_size=512")
            connection.execute("CREATE TABLE t(n, filler)")
            connection.execute("INSERT INTO t VALUES (0, ?)", ("x" * 700,))
            logs.append(detrun.this_node().disk.start_log())
            connection.execute("UPDATE t SET n = 1, filler = ?", ("y" * 700,))

        async with detrun.World() as world:
            world.node("a").start(body)
            await trio.sleep(1)
        return logs[0]

    found = set()
    states = list(crash_states(detrun.record(main).result, limit=150))
    for number, state in enumerate(states):
        directory = tmp_path / str(number)
        directory.mkdir()
        for path, content in state.tree.items():
            (directory / path[1:]).write_bytes(content)
        with closing(sqlite3.connect(directory / "x.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            found |= set(connection.execute("SELECT n, substr(filler, 1, 1), length(filler) FROM t"))
    assert len(states) > 50
    assert found == {(0, "x", 700), (1, "y", 700)}


def test_by_default_the_last_transaction_may_be_lost_and_is_whole():
    """SQLite's documentation of ``PRAGMA synchronous`` says so of FULL: the removal of the journal is not synced."""
    outcomes = [after_a_power_loss([], seed) for seed in range(6)]
    assert all(told - 2 <= found <= told + 2 for told, found in outcomes), outcomes
    assert any(found < told for told, found in outcomes)


def test_without_its_syncs_sqlite_loses_what_it_has_committed():
    def fails(seed):
        try:
            told, found = after_a_power_loss(["journal_mode=delete", "synchronous=off"], seed)
        except (AssertionError, sqlite3.DatabaseError):
            return True
        return found < told - 2

    assert any(map(fails, range(8)))


def test_a_crash_of_the_process_leaves_the_page_cache_and_a_journal_that_is_rolled_back():
    async def main():
        found = []

        def writer():
            connection = sqlite3.connect("/x.db", isolation_level=None)
            connection.execute("PRAGMA cache_size=1")
            connection.execute("CREATE TABLE t(n)")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO t VALUES (?)", [(os.urandom(2000),) for _ in range(50)])  # spills
            found.append(sorted(os.listdir("/")))
            time.sleep(10)

        def reader():
            connection = sqlite3.connect("/x.db")
            found.append((connection.execute("SELECT count(*) FROM t").fetchone(), os.listdir("/")))

        async with detrun.World() as world:
            node = world.node("a")
            node.start(writer)
            await trio.sleep(1)
            node.crash()
            node.restart(reader)
            await trio.sleep(10)
        return found

    assert detrun.record(main).result == [["x.db", "x.db-journal"], ((1,), ["x.db"])]


def test_threads_of_a_node_wait_for_the_database_in_virtual_time_and_lose_no_update():
    def body():
        connection = sqlite3.connect("/x.db", isolation_level=None)
        connection.execute("CREATE TABLE t(n)")
        connection.execute("INSERT INTO t VALUES (0)")

        def add():
            mine = sqlite3.connect("/x.db", isolation_level=None)
            mine.execute("BEGIN IMMEDIATE")
            (number,) = mine.execute("SELECT n FROM t").fetchone()
            mine.execute("UPDATE t SET n = ?", (number + 1,))
            mine.execute("COMMIT")
            mine.close()

        threads = [threading.Thread(target=add) for _ in range(3)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        return connection.execute("SELECT n, datetime('now') FROM t").fetchone()

    for seed in range(5):
        assert on_a_node(body, seed=seed) == (3, "2000-01-01 00:00:00")


def test_every_run_begins_without_the_database_of_the_last(tmp_path):
    real = sqlite3.connect(tmp_path / "real.db")
    real.execute("CREATE TABLE t(n)")
    real.close()

    def body():
        assert sqlite3.connect(tmp_path / "real.db").execute("SELECT * FROM t").fetchall() == []
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            sqlite3.connect(tmp_path / "real.db").execute("INSERT INTO t VALUES (1)")
        with pytest.raises(detrun.HiddenStateError):
            sqlite3.Connection("/x.db")
        with pytest.raises(sqlite3.OperationalError, match="unable to open") as missing:
            sqlite3.connect("/nowhere/x.db").execute("CREATE TABLE t(n)")
        assert "make the directory first" in missing.value.__notes__[0]
        connection = sqlite3.connect("file:/x.db", uri=True)
        connection.execute("CREATE TABLE IF NOT EXISTS t(n)")
        with connection:
            connection.execute("INSERT INTO t VALUES (1)")
        memory = sqlite3.connect(":memory:")
        connection.backup(memory)
        connection.execute("ATTACH '/y.db' AS y")
        connection.execute("CREATE TABLE y.u(n)")
        os.symlink("x.db", "/l.db")
        sqlite3.connect("/l.db").execute("PRAGMA user_version=7")
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)
        os.symlink(tmp_path, "/real")
        assert sqlite3.connect("/real/real.db").execute("SELECT * FROM t").fetchall() == []
        return memory.execute("SELECT count(*) FROM t").fetchone(), sorted(os.listdir("/"))

    names = ["l.db", "real", "x.db", "y.db"]
    assert on_a_node(body, host_files=[tmp_path]) == ((1,), names)
    assert on_a_node(body, host_files=[tmp_path]) == ((1,), names)
    assert not os.path.exists("/x.db")


def test_journals_hold_no_number_of_the_process():
    def body():
        connection = sqlite3.connect("/x.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=persist").fetchall()
        connection.execute("CREATE TABLE t(n)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (random())")
        return Path("/x.db-journal").read_bytes()[:512], connection.execute("SELECT n FROM t").fetchone()

    assert on_a_node(body, seed=1) == on_a_node(body, seed=1) != on_a_node(body, seed=2)


def test_locks_keep_readers_from_a_writer_and_a_second_writer_out():
    locks = FileLocks()
    assert locks.lock("a", SHARED)
    assert locks.lock("b", SHARED)
    assert locks.lock("a", RESERVED)
    assert not locks.lock("b", RESERVED)
    assert not locks.lock("a", EXCLUSIVE)
    assert locks.level("a") == PENDING
    assert not locks.lock("c", SHARED)
    locks.unlock("b", NONE)
    assert locks.lock("a", EXCLUSIVE)
    locks.unlock("a", SHARED)
    assert locks.lock("c", SHARED)
    assert not locks.is_reserved()
    assert locks.lock_slots("a", 0, 2, alone=False)
    assert locks.lock_slots("b", 1, 1, alone=False)
    assert not locks.lock_slots("c", 1, 1, alone=True)
    locks.unlock_slots("a", 0, 2)
    locks.unlock_slots("b", 1, 1)
    assert locks.lock_slots("c", 1, 1, alone=True)
