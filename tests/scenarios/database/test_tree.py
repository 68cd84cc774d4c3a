"""Trees: a set of entries for tasks that work at the same time, after rollback, and after a crash."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.world.disk.disk import Disk, DiskLatency
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.recovery import checkpoint, recover
from detrun_scenarios.database.log.writer import DIRECTORY, open_log
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.volume import open_volume
from detrun_scenarios.database.tree.backward import leaves_backward
from detrun_scenarios.database.tree.btree import Tree

BYTES = 160  # leaves of six entries or so
KEYS = 40


async def opened(disk: Disk, frames: int = 24) -> Changes:
    log = await open_log(disk)
    volume = await open_volume(disk, f"{DIRECTORY}/pages", BYTES)
    await disk.fsync_directory(DIRECTORY)
    changes = Changes(BufferPool(volume, log, {"heap": 1, "index": frames}), log)
    tree = Tree(changes, 0)
    changes.undo_in_tree = tree.undo
    await recover(changes)
    if not volume.pages:
        await Tree.create(changes)
    return changes


def entry(number: int) -> bytes:
    return b"entry%03d" % number + bytes(number % 5)


async def backward(tree: Tree, low: bytes, high: bytes) -> list[bytes]:
    async with aclosing(leaves_backward(tree, low, high)) as leaves:
        return [one async for _, entries in leaves for one in entries]


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, KEYS)), max_size=120), low=st.integers(0, KEYS))
def test_a_tree_is_a_sorted_set(steps: list[tuple[bool, int]], low: int) -> None:
    async def main() -> tuple[list[bool], list[bytes], int]:
        changes = await opened(Disk())
        tree, trail = Tree(changes, 0), changes.begin()
        done = [await (tree.insert if adds else tree.delete)(trail, entry(number)) for adds, number in steps]
        found = await tree.scan(entry(low), entry(low + 10))
        assert await backward(tree, entry(low), entry(low + 10)) == found[::-1]
        return done, found, await tree._check()

    model, wanted = set[bytes](), list[bool]()
    for adds, number in steps:
        wanted.append((entry(number) in model) is not adds)
        (model.add if adds else model.discard)(entry(number))
    done, found, count = detrun.record(main).result
    assert done == wanted
    assert found == sorted(one for one in model if entry(low) <= one < entry(low + 10))
    assert count == len(model)


async def work_together(frames: int, disk: Disk) -> tuple[Changes, Tree, set[bytes]]:
    """Tasks that insert and delete entries of their own, some of them in vain, while others read ranges."""
    changes = await opened(disk, frames)
    tree, kept = Tree(changes, 0), set[bytes]()

    async def writer(first: int) -> None:
        for turn in range(2):
            trail, mine = changes.begin(), set[bytes]()
            for number in range(first + 50 * turn, first + 50 * turn + 12):
                await tree.insert(trail, entry(3 * number))
                mine.add(entry(3 * number))
                if number % 3 == 0:
                    await tree.delete(trail, entry(3 * number))
                    mine.remove(entry(3 * number))
            if (first // 12 + turn) % 2:
                await changes.roll_back(trail)
            else:
                await changes.log.flush(changes.commit(trail))
                changes.end(trail)
                kept.update(mine)

    async def reader() -> None:
        for _ in range(6):
            before = set(kept)
            found = await tree.scan(b"entry", b"f")
            assert found == sorted(found)
            assert before <= set(found)
            before = set(kept)
            found = await backward(tree, b"entry", b"f")
            assert found == sorted(found, reverse=True)
            assert before <= set(found)

    async with trio.open_nursery() as nursery:
        for first in range(3):
            nursery.start_soon(writer, 12 * first)
        nursery.start_soon(reader)
    return changes, tree, kept


@pytest.mark.parametrize("seed", range(4))
def test_tasks_that_split_at_the_same_time_lose_nothing_and_leave_a_tree(seed: int) -> None:
    async def main() -> None:
        disk = Disk(latency=DiskLatency(read_seconds=0.001, write_seconds=0.001, fsync_seconds=0.002))
        changes, tree, kept = await work_together(24, disk)
        assert await tree._check() == len(kept)
        assert set(await tree.scan(b"", b"z")) == kept
        changes.pool._check()

    detrun.record(main, seed=seed)


@pytest.mark.parametrize("power", [True, False])
def test_after_a_crash_the_tree_has_what_was_committed(power: bool) -> None:
    async def main() -> None:
        disk = Disk()
        changes, tree, kept = await work_together(24, disk)
        trail = changes.begin()
        for number in range(30, 40):
            await tree.insert(trail, entry(number))
        await checkpoint(changes)
        for one in sorted(kept)[:8]:
            await tree.delete(trail, one)
        await changes.log.flush(changes.log.end - 1)
        if power:
            disk.power_loss()
        else:
            disk.crash()
        changes = await opened(disk)
        tree = Tree(changes, 0)
        assert set(await tree.scan(b"", b"z")) == kept
        assert await tree._check() == len(kept)

    detrun.record(main, seed=1)


def test_an_entry_that_is_too_long_is_refused() -> None:
    async def main() -> None:
        changes = await opened(Disk())
        with pytest.raises(ValueError, match="too long"):
            await Tree(changes, 0).insert(changes.begin(), bytes(BYTES // 4))

    detrun.record(main)
