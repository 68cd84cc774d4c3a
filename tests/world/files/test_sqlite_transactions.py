"""Random transactions of SQLite on a node, and a power loss at a random moment: what SQLite's documentation promises.

The model is a list: what the tables hold after each commit. With ``synchronous=EXTRA``, and in WAL mode with FULL, a
commit that has returned is durable, and what is found is the last one or, where power failed within it, the next. With
FULL a rollback journal may lose the last commit; in WAL mode with NORMAL, commits since the last checkpoint may be
lost, and the database stays consistent (sqlite.org/pragma.html, "PRAGMA synchronous"). Two files that one transaction
changes are changed together by a rollback journal (sqlite.org/atomiccommit.html), one by one in WAL mode
(sqlite.org/wal.html).
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import trio

import detrun
from detrun.world.disk.disk import Disk, DiskLatency

ROWS = 6  # keys of each table
Tables = tuple[tuple[tuple[int, str], ...], tuple[tuple[int, str], ...]]
EMPTY: Tables = ((), ())


def transactions(numbers: random.Random) -> Iterator[list[tuple[str, ...]]]:
    """Statements of each transaction; the last one of a transaction ends it."""
    while True:
        statements: list[tuple[str, ...]] = []
        for _ in range(numbers.randrange(1, 4)):
            table, key = numbers.choice(("main.t", "other.t")), numbers.randrange(ROWS)
            filler = chr(numbers.randrange(97, 123)) * numbers.randrange(1, 3000)
            statements.append(
                numbers.choice(
                    [
                        (f"REPLACE INTO {table} VALUES (?, ?)", str(key), filler),
                        (f"REPLACE INTO {table} VALUES (?, ?)", str(key), filler),
                        (f"DELETE FROM {table} WHERE key = ?", str(key)),
                    ]
                )
            )
        yield [*statements, (numbers.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]),)]


def content(connection: sqlite3.Connection) -> Tables:
    found = []
    for schema in ("main", "other"):
        assert connection.execute(f"PRAGMA {schema}.integrity_check").fetchall() == [("ok",)]
        exists = connection.execute(f"SELECT name FROM {schema}.sqlite_master WHERE name = 't'").fetchall()
        rows = connection.execute(f"SELECT key, filler FROM {schema}.t ORDER BY key") if exists else ()
        found.append(tuple(rows))
    return found[0], found[1]


def connected(mode: str, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect("/x.db", isolation_level=None)
    connection.execute("ATTACH '/y.db' AS other")
    for schema in ("main", "other"):
        connection.execute(f"PRAGMA {schema}.journal_mode={mode}").fetchall()
        connection.execute(f"PRAGMA {schema}.synchronous={synchronous}")
    return connection


# Seconds of virtual time that the transactions take, nearly, by their syncs.
SECONDS = {("wal", "full"): 0.5, ("wal", "normal"): 0.15}


def after_a_power_loss(mode: str, synchronous: str, seed: int) -> tuple[list[Tables], int, Tables]:
    """What the tables held after each commit, how many of these had returned, and what is found."""

    async def main() -> tuple[list[Tables], int, Tables]:
        states, told, found = [EMPTY], [0], []

        def commit(connection: sqlite3.Connection, statement: str) -> None:
            before = connection.in_transaction
            if before and statement != "ROLLBACK":
                states.append(content(connection))
            connection.execute(statement)
            if before:
                told[0] = len(states) - 1

        def writer() -> None:
            numbers = random.Random(seed)
            connection = connected(mode, synchronous)
            connection.execute("BEGIN")
            for schema in ("main", "other"):
                connection.execute(f"CREATE TABLE {schema}.t(key INTEGER PRIMARY KEY, filler TEXT)")
            commit(connection, "COMMIT")
            for number, statements in zip(range(12), transactions(numbers), strict=False):
                connection.execute("BEGIN")
                for statement in statements[:-1]:
                    connection.execute(statement[0], statement[1:])
                commit(connection, statements[-1][0])
                if mode == "wal" and number % 4 == 3:
                    connection.execute(f"PRAGMA wal_checkpoint({numbers.choice(['PASSIVE', 'TRUNCATE'])})").fetchall()

        def reader() -> None:
            found.append(content(connected(mode, synchronous)))

        latency = DiskLatency(fsync_seconds=0.01, write_seconds=0.001)
        async with detrun.World(disk=lambda node: Disk(node.name, latency=latency)) as world:
            node = world.node("a")
            node.start(writer)
            await trio.sleep(detrun.uniform(0.0, SECONDS.get((mode, synchronous), 1.2)))
            node.power_loss()
            node.restart(reader)
            await trio.sleep(10)
        return states, told[0], found[0]

    result: tuple[list[Tables], int, Tables] = detrun.record(main, seed=seed).result
    return result


def judged(mode: str, synchronous: str, seeds: range) -> list[tuple[int, int, Any]]:
    """Of each seed how many commits had returned, how many had begun, and which of them can be what is found.

    In WAL mode each file may be at a commit of its own.
    """
    outcomes = []
    for seed in seeds:
        states, told, found = after_a_power_loss(mode, synchronous, seed)
        if mode == "wal":
            fits = [{number for number, state in enumerate(states) if state[one] == found[one]} for one in (0, 1)]
        else:
            fits = [{number for number, state in enumerate(states) if state == found}]
        outcomes.append((told, len(states) - 1, fits))
    return outcomes


# Mode, synchronous, and how many commits that have returned may be lost; None: any number.
PROMISES = [
    ("delete", "extra", 0),
    ("truncate", "extra", 0),
    ("persist", "extra", 0),
    ("wal", "full", 0),
    ("delete", "full", 1),
    ("wal", "normal", None),
]


def check(mode: str, synchronous: str, lost: int | None, seeds: range) -> None:
    outcomes = judged(mode, synchronous, seeds)
    for told, begun, fits in outcomes:
        least = 0 if lost is None else told - lost
        assert all(any(least <= one <= begun for one in fit) for fit in fits), (told, begun, fits)
    if lost is None:
        assert any(max(fit) < told for told, _, fits in outcomes for fit in fits)  # commits were lost
    else:
        assert any(0 < told < begun for told, begun, _ in outcomes)  # power has failed within a commit


@pytest.mark.parametrize(("mode", "synchronous", "lost"), PROMISES)
def test_a_power_loss_leaves_the_state_after_a_commit(mode: str, synchronous: str, lost: int | None) -> None:
    check(mode, synchronous, lost, range(6))


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "synchronous", "lost"), PROMISES)
def test_a_power_loss_leaves_the_state_after_a_commit_in_many_schedules(
    mode: str, synchronous: str, lost: int | None
) -> None:
    check(mode, synchronous, lost, range(150))


def test_the_check_fails_where_nothing_is_synced() -> None:
    with pytest.raises((AssertionError, sqlite3.DatabaseError)):
        check("delete", "off", 0, range(12))
