"""Transactions: levels, anomalies, deadlocks, unique keys, durability."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import detrun
from detrun.checkers.serializability import serializable
from detrun.checkers.transactions import Transactions
from detrun.world.disk.disk import Disk, DiskLatency
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.recovery import recover
from detrun_scenarios.database.log.writer import DIRECTORY, open_log
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.volume import open_volume
from detrun_scenarios.database.transactions.conflicts import Conflicts, Marks
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.transaction import ABORTED, DuplicateKeyError, Level, Transaction

BYTES = 256
LEVELS: list[Level] = ["snapshot", "serializable", "2pl"]


async def opened(disk: Disk) -> Store:
    log = await open_log(disk)
    volume = await open_volume(disk, f"{DIRECTORY}/pages", BYTES)
    await disk.fsync_directory(DIRECTORY)
    changes = Changes(BufferPool(volume, log, {"heap": 12, "index": 24}), log)
    store = Store(changes)
    await recover(changes)
    await store.load()
    return store


async def with_accounts(count: int, disk: Disk | None = None) -> Store:
    """Rows (id, owner, amount), found by id and by owner."""
    store = await opened(Disk() if disk is None else disk)
    indexes = {"id": ("id",), "owner": ("owner",)}
    table = await store.create_table("accounts", ("id", "owner", "amount"), indexes, unique=("id",))
    first = Transaction(store, "snapshot")
    for number in range(count):
        await first.insert(table, (number, f"owner{number % 3}", 0))
    await first.commit()
    return store


async def set_amount(one: Transaction, number: int, amount: int) -> None:
    table = one.store.tables["accounts"]
    (found,) = await one.get(table, "id", [number])
    await one.update(table, found, (*found.row[:2], amount))


async def amount(one: Transaction, number: int) -> Any:
    (found,) = await one.get(one.store.tables["accounts"], "id", [number])
    return found.row[2]


async def tried(work: Callable[[], Awaitable[None]], one: Transaction) -> bool:
    """Whether a transaction could do its work and commit."""
    try:
        await work()
        await one.commit()
    except ABORTED:
        await one.roll_back()
        return False
    return True


def history_of(level: Level, seed: int, conflicts: Any = None) -> tuple[Any, int]:
    """A random mix of reads and writes; what the checker says of its history, and how many were committed."""

    async def main() -> tuple[Any, int]:
        disk = Disk(latency=DiskLatency(fsync_seconds=0.002))
        store = await with_accounts(4, disk)
        if conflicts is not None:
            store.conflicts = conflicts
        table, history, order = store.tables["accounts"], Transactions(), dict[int, list[int]]()

        async def client() -> None:
            for _ in range(4):
                one = Transaction(store, level)
                noted = history.transaction(f"T{one.number}")
                written: list[int] = []
                try:
                    for _ in range(2):
                        for found in await one.get(table, "id", [detrun.choice(4)]):
                            noted.read(found.row[0], found.row[2] or None)
                        await trio.sleep(detrun.uniform(0.0, 0.002))
                    number = detrun.choice(4)
                    (found,) = await one.get(table, "id", [number])
                    noted.read(number, found.row[2] or None)
                    await one.update(table, found, (*found.row[:2], one.number))
                    noted.write(number, one.number)
                    written.append(number)
                    await one.commit()
                    for number in written:
                        order.setdefault(number, []).append(one.number)
                    noted._end("committed")
                except ABORTED:
                    await one.roll_back()
                    noted.abort()

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(client)
        last = Transaction(store, "snapshot")
        assert {row[0]: row[2] for _, row in await last.scan(table)} == {
            number: order[number][-1] if number in order else 0 for number in range(4)
        }
        committed = sum(one.outcome == "committed" for one in history)
        return serializable(history, version_order=order), committed

    found: tuple[Any, int] = detrun.record(main, seed=seed).result
    return found


@pytest.mark.parametrize("level", ["serializable", "2pl"])
@pytest.mark.parametrize("seed", range(6))
def test_histories_are_serializable_at_the_levels_that_say_so(level: Level, seed: int) -> None:
    found, committed = history_of(level, seed)
    assert found.anomaly is None, str(found)
    assert committed > 2


def test_without_one_of_the_two_marks_the_checker_finds_what_went_wrong() -> None:
    class Blind(Conflicts):
        def ignores(self, reader: Marks, writer: int) -> None:
            return

    assert "G2" in {history_of("serializable", seed, Blind())[0].anomaly for seed in range(6)}


def test_snapshot_isolation_lets_write_skew_through_and_nothing_worse() -> None:
    anomalies = {history_of("snapshot", seed)[0].anomaly for seed in range(8)}
    assert "G2" in anomalies
    assert anomalies <= {"G2", None}


@pytest.mark.parametrize(("level", "both"), [("snapshot", True), ("serializable", False), ("2pl", False)])
def test_write_skew_by_hand(level: Level, both: bool) -> None:
    """Each reads both accounts, and writes one; serially the second would see what the first has done."""

    async def main() -> list[bool]:
        store = await with_accounts(2)
        done = []

        async def client(mine: int) -> None:
            one = Transaction(store, level)

            async def work() -> None:
                before = await amount(one, 0) + await amount(one, 1)
                await trio.sleep(0.1)
                if not before:
                    await set_amount(one, mine, 1)

            done.append(await tried(work, one))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client, 0)
            nursery.start_soon(client, 1)
        return done

    assert sorted(detrun.record(main).result) == [both, True]


@pytest.mark.parametrize(("level", "both"), [("snapshot", True), ("serializable", False), ("2pl", False)])
def test_a_phantom_by_hand(level: Level, both: bool) -> None:
    """Each counts the rows of an owner that has none, and then gives it one."""

    async def main() -> list[bool]:
        store = await with_accounts(2)
        table, done = store.tables["accounts"], []

        async def client(number: int) -> None:
            one = Transaction(store, level)

            async def work() -> None:
                before = await one.get(table, "owner", ["new"])
                await trio.sleep(0.1)
                assert not before
                await one.insert(table, (number, "new", 0))

            done.append(await tried(work, one))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client, 10)
            nursery.start_soon(client, 11)
        return done

    assert sorted(detrun.record(main).result) == [both, True]


@pytest.mark.parametrize("level", LEVELS)
def test_no_update_is_lost(level: Level) -> None:
    async def main() -> tuple[int, int]:
        store = await with_accounts(1)
        done = []

        async def client() -> None:
            for _ in range(3):
                one = Transaction(store, level)

                async def work(one: Transaction = one) -> None:
                    before = await amount(one, 0)
                    await trio.sleep(detrun.uniform(0.0, 0.1))
                    await set_amount(one, 0, before + 1)

                done.append(await tried(work, one))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(client)
        return sum(done), await amount(Transaction(store, "snapshot"), 0)

    committed, found = detrun.record(main).result
    assert found == committed >= 3


@pytest.mark.parametrize("level", LEVELS)
def test_of_two_that_would_wait_for_each_other_one_goes_on(level: Level) -> None:
    async def main() -> list[bool]:
        store, done = await with_accounts(2), []

        async def client(first: int) -> None:
            one = Transaction(store, level)

            async def work() -> None:
                await set_amount(one, first, 1)
                await trio.sleep(0.1)
                await set_amount(one, 1 - first, 1)

            done.append(await tried(work, one))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client, 0)
            nursery.start_soon(client, 1)
        return done

    assert True in detrun.record(main).result


@pytest.mark.parametrize("level", LEVELS)
def test_a_unique_key_is_there_once_whoever_comes_at_the_same_time(level: Level) -> None:
    async def main() -> tuple[list[str], int]:
        store, said = await with_accounts(0), []
        table = store.tables["accounts"]

        async def client(number: int) -> None:
            one = Transaction(store, level)
            try:
                await one.insert(table, (7, f"owner{number}", 0))
                await trio.sleep(0.1)
                if number == 1:
                    await one.roll_back()
                else:
                    await one.commit()
                said.append("in" if number != 1 else "back")
            except (DuplicateKeyError, *ABORTED) as error:
                await one.roll_back()
                said.append(type(error).__name__)

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(client, number)
        rows = await Transaction(store, "snapshot").get(table, "id", [7])
        return sorted(said), len(rows)

    said, rows = detrun.record(main, seed=2).result
    assert rows == said.count("in") == 1


def test_a_transaction_sees_what_was_there_when_it_began_and_what_it_did_itself() -> None:
    async def main() -> list[Any]:
        store = await with_accounts(2)
        table = store.tables["accounts"]
        old, new = Transaction(store, "snapshot"), Transaction(store, "snapshot")
        await set_amount(new, 0, 5)
        await new.insert(table, (9, "owner9", 9))
        found = [await amount(new, 0), await amount(old, 0), len(await new.scan(table)), len(await old.scan(table))]
        await new.commit()
        found += [await amount(old, 0), len(await old.scan(table))]
        latest = Transaction(store, "snapshot")
        return [*found, await amount(latest, 0), len(await latest.get(table, "owner", ["owner9"]))]

    assert detrun.record(main).result == [5, 0, 3, 2, 0, 2, 5, 1]


def test_after_a_power_loss_committed_rows_are_there_and_tables_are_found() -> None:
    async def main() -> list[Any]:
        disk = Disk()
        store = await with_accounts(8, disk)
        kept, lost = Transaction(store, "serializable"), Transaction(store, "serializable")
        await set_amount(kept, 1, 11)
        await kept.commit()
        await set_amount(lost, 2, 22)
        await lost.delete(store.tables["accounts"], (await lost.get(store.tables["accounts"], "id", [3]))[0])
        await store.changes.log.flush(store.changes.log.end - 1)
        disk.power_loss()
        store = await opened(disk)
        table, one = store.tables["accounts"], Transaction(store, "serializable")
        assert [await index.tree._check() for index in table.indexes.values()] == [9, 9]  # with the old version of 1
        return sorted(row for _, row in await one.scan(table))

    assert detrun.record(main).result == [
        (number, f"owner{number % 3}", 11 if number == 1 else 0) for number in range(8)
    ]


async def with_places() -> Store:
    """Rows (district, number), found by both, two in each of three districts."""
    store = await opened(Disk())
    table = await store.create_table("places", ("d", "n"), {"id": ("d", "n")}, unique=("id",))
    first = Transaction(store, "snapshot")
    for d in range(1, 4):
        for n in range(2):
            await first.insert(table, (d, n))
    await first.commit()
    return store


def test_a_range_is_locked_by_what_all_its_keys_begin_with() -> None:
    async def main() -> list[str]:
        store = await with_places()
        table, events = store.tables["places"], list[str]()
        reader = Transaction(store, "2pl")
        assert len(await reader.get(table, "id", [1])) == 2

        async def insert(d: int) -> None:
            one = Transaction(store, "2pl")
            await one.insert(table, (d, 7))
            await one.commit()
            events.append(f"inserted into {d}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(insert, 1)
            nursery.start_soon(insert, 2)
            await trio.sleep(1.0)
            assert len(await reader.get(table, "id", [1])) == 2
            events.append("read")
            await reader.commit()
        return events

    assert detrun.record(main).result == ["inserted into 2", "read", "inserted into 1"]


@pytest.mark.parametrize(("apart", "aborted"), [(True, 0), (False, 1)])
def test_rows_that_are_new_in_a_range_are_conflicts_there_and_nowhere_else(apart: bool, aborted: int) -> None:
    async def main() -> int:
        store = await with_places()
        table = store.tables["places"]
        one, other = Transaction(store, "serializable"), Transaction(store, "serializable")

        async def work(transaction: Transaction, read: int, written: int) -> None:
            await transaction.get(table, "id", [read])
            await transaction.insert(table, (written, 9))

        async def first() -> None:
            await work(one, 1, 3 if apart else 2)

        done = [await tried(lambda: work(other, 2, 1), other), await tried(first, one)]
        return done.count(False)

    assert detrun.record(main).result == aborted
