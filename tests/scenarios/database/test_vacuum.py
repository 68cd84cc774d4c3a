"""Vacuum: rows and snapshots stay as they are, places come back, and a crash at any point loses nothing."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.world.disk.crash_states import crash_states
from detrun.world.disk.disk import Disk
from detrun.world.disk.image import Tree as DiskTree
from detrun_scenarios.database.invariants import astray
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.recovery import checkpoint, recover
from detrun_scenarios.database.log.writer import DIRECTORY, open_log
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.page import FREE
from detrun_scenarios.database.storage.volume import open_volume
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.transaction import Transaction
from detrun_scenarios.database.transactions.vacuum import vacuum
from detrun_scenarios.database.transactions.versions import version_of
from detrun_scenarios.database.tree.keys import address_in

BYTES = 160
Steps = list[tuple[str, int]]


async def opened(disk: Disk) -> Store:
    log = await open_log(disk, 1 << 20)
    volume = await open_volume(disk, f"{DIRECTORY}/pages", BYTES)
    await disk.fsync_directory(DIRECTORY)
    changes = Changes(BufferPool(volume, log, {"heap": 12, "index": 24}), log)
    store = Store(changes)
    await recover(changes)
    await store.load()
    if "t" not in store.tables:
        await store.create_table("t", ("id", "amount"), {"id": ("id",), "amount": ("amount",)}, unique=("id",))
    return store


async def put(store: Store, values: dict[int, int | None]) -> None:
    """One transaction that gives rows their amounts; None for no row."""
    table, one = store.tables["t"], Transaction(store, "snapshot")
    for number, amount in values.items():
        found = await one.get(table, "id", [number])
        if amount is None:
            for row in found:
                await one.delete(table, row)
        elif found:
            await one.update(table, found[0], (number, amount))
        else:
            await one.insert(table, (number, amount))
    await one.commit()


async def rows(store: Store) -> dict[Any, Any]:
    """Checked as a tree, by each index, and by a scan."""
    table = store.tables["t"]
    assert not await astray(table)
    one = Transaction(store, "snapshot")
    found = dict(row for _, row in await one.scan(table))
    for index in table.indexes:
        assert dict(row for _, row in await one.between(table, index, b"", b"\xff")) == found
    await one.commit()
    return found


async def free_of(store: Store) -> set[int]:
    """The pages that say that they are free."""
    pool, found = store.changes.pool, set[int]()
    for page_id in range(pool.volume.pages):
        frame = pool.frames.get(page_id)
        page = frame.page if frame is not None else pool.opened((await pool.volume.read(page_id))[0], "page")
        if page.kind == FREE:
            found.add(page_id)
    return found


def test_versions_and_entries_go_pages_are_used_again_and_the_store_does_not_grow() -> None:
    async def main() -> tuple[list[int], Any]:
        store, sizes = await opened(Disk()), []
        for turn in range(6):
            await put(store, dict.fromkeys(range(30), turn))
            await put(store, dict.fromkeys(range(25)))
            swept = await vacuum(store)
            assert swept.versions >= 25
            assert swept.pages > 0
            assert set(store.changes.free_pages.all()) == await free_of(store)
            sizes.append(store.changes.pool.volume.pages)
        versions = [one async for one in store.tables["t"].heap.scan()]
        assert len(versions) == 5
        return sizes, await rows(store)

    sizes, found = detrun.record(main).result
    assert sizes[3] == sizes[-1]
    assert found == dict.fromkeys(range(25, 30), 5)


def test_a_snapshot_sees_what_it_saw() -> None:
    async def main() -> None:
        store = await opened(Disk())
        await put(store, dict.fromkeys(range(20), 1))
        old = Transaction(store, "snapshot")
        await put(store, dict.fromkeys(range(20)))
        assert not (await vacuum(store)).versions
        assert len(await old.scan(store.tables["t"])) == 20
        await old.commit()
        assert (await vacuum(store)).versions == 20

    detrun.record(main)


def test_a_page_is_not_used_again_while_a_scan_may_be_on_its_way_to_it() -> None:
    async def main(leaves_read: int) -> tuple[list[Any], list[Any]]:
        store = await opened(Disk())
        table = store.tables["t"]
        await put(store, dict.fromkeys(range(30), 1))
        await put(store, dict.fromkeys(range(5, 25)))
        one = Transaction(store, "snapshot")
        leaves, versions = table.indexes["id"].tree.leaves(b"", b"\xff"), table.heap.scan()
        entries = [entry for _ in range(leaves_read) for entry in (await anext(leaves))[1]]
        records = [(await anext(versions))[1]]
        assert (await vacuum(store)).pages > 4
        await put(store, dict.fromkeys(range(100, 200), 1))
        entries += [entry async for _, some in leaves for entry in some]
        records += [record async for _, record in versions]
        there = [await table.heap.get(address_in(entry)) for entry in entries]
        found = [
            [version.row[0] for version in map(version_of, filter(None, some)) if one.snapshot.sees(version)]
            for some in (there, records)
        ]
        await one.commit()
        return found[0], sorted(found[1])

    left = [*range(5), *range(25, 30)]
    for leaves_read in range(1, 5):
        assert detrun.record(main, leaves_read).result == (left, left)


@settings(max_examples=12, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "delete", "vacuum", "look", "let go", "crash"]), st.integers(0, 24)),
        max_size=30,
    )
)
def test_rows_and_snapshots_are_those_of_a_model(steps: Steps) -> None:
    async def main() -> None:
        disk = Disk()
        store = await opened(disk)
        model: dict[int, int] = {}
        looking: list[tuple[Transaction, dict[int, int]]] = []
        for turn, (what, number) in enumerate(steps):
            match what:
                case "put":
                    numbers = range(number, min(number + 8, 25))
                    await put(store, dict.fromkeys(numbers, turn))
                    model |= dict.fromkeys(numbers, turn)
                case "delete":
                    numbers = range(max(number - 12, 0), number)
                    await put(store, dict.fromkeys(numbers))
                    model = {one: amount for one, amount in model.items() if one not in numbers}
                case "vacuum":
                    await vacuum(store)
                case "look":
                    looking.append((Transaction(store, "snapshot"), dict(model)))
                case "let go" if looking:
                    await looking.pop(0)[0].commit()
                case "crash":
                    if number % 2:
                        await checkpoint(store.changes, write_before=store.changes.log.end)
                    disk.power_loss()
                    store, looking = await opened(disk), []
                    assert set(store.changes.free_pages.all()) == await free_of(store)
            for one, seen in looking:
                assert dict(row for _, row in await one.scan(store.tables["t"])) == seen
                found = await one.between(store.tables["t"], "id", b"", b"\xff")
                assert dict(row for _, row in found) == seen
        assert await rows(store) == model

    detrun.record(main)


def together(seed: int) -> int:
    """Writers, readers and a vacuum at the same time; how many versions went."""

    async def main() -> int:
        store, removed = await opened(Disk()), 0
        table, model, is_over = store.tables["t"], dict[int, int](), trio.Event()

        async def writer(first: int) -> None:
            for turn in range(6):
                numbers = [first + detrun.choice(12) for _ in range(6)]
                values = dict.fromkeys(numbers, None if turn % 3 == 1 else turn)
                await put(store, dict(values))
                for number, amount in values.items():
                    model.pop(number, None)
                    if amount is not None:
                        model[number] = amount

        async def reader() -> None:
            while not is_over.is_set():
                one = Transaction(store, "snapshot")
                before = sorted(row for _, row in await one.between(table, "id", b"", b"\xff"))
                assert sorted(row for _, row in await one.scan(table)) == before
                assert sorted(row for _, row in await one.between(table, "amount", b"", b"\xff")) == before
                leaves = await one.each_between(table, "id", b"", b"\xff", is_backward=True)
                backward = [found.row async for leaf in leaves for found in leaf]
                assert backward[::-1] == before
                await one.commit()

        async def sweeper() -> None:
            nonlocal removed
            while not is_over.is_set():
                removed += (await vacuum(store)).versions

        async with trio.open_nursery() as others:
            others.start_soon(reader)
            others.start_soon(sweeper)
            async with trio.open_nursery() as writers:
                for first in (0, 20, 40):
                    writers.start_soon(writer, first)
            is_over.set()
        assert await rows(store) == model
        return removed

    found: int = detrun.record(main, seed=seed).result
    return found


def test_writers_readers_and_a_vacuum_work_together() -> None:
    assert together(0) > 10


@pytest.mark.slow
def test_writers_readers_and_a_vacuum_work_together_under_many_schedules() -> None:
    for seed in range(60):
        together(seed)


def test_a_power_loss_at_any_point_of_a_vacuum_leaves_the_rows_and_the_list_of_free_pages() -> None:
    async def again(tree: DiskTree) -> tuple[dict[Any, Any], int]:
        store = await opened(Disk("again", tree=tree))
        found = await rows(store)
        assert set(store.changes.free_pages.all()) == await free_of(store)
        swept = await vacuum(store)
        assert await rows(store) == found
        assert set(store.changes.free_pages.all()) == await free_of(store)
        return found, swept.versions

    async def main() -> set[int]:
        disk = Disk()
        store = await opened(disk)
        await put(store, {number: number for number in range(20)})
        await put(store, dict.fromkeys(range(3, 18)))
        before = await rows(store)
        log = disk.start_log()
        await vacuum(store)
        await checkpoint(store.changes, write_before=store.changes.log.end)
        await put(store, {30: 1})
        left = set[int]()
        for state in crash_states(log, limit=6):
            found, removed = await again(state.tree)
            assert found in (before, {**before, 30: 1})
            left.add(removed)
        return left

    left = detrun.record(main, strategy="fifo").result
    assert {0, 15} <= left
