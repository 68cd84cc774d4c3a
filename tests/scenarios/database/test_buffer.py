"""The buffer pool: pins, latches, dirty pages, and the rule that the log goes first."""

from __future__ import annotations

import pytest
import trio

import detrun
from detrun.world.disk.disk import Disk, DiskLatency
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.latch import Latch, Mode
from detrun_scenarios.database.storage.page import HEAP, Page, TornPageError
from detrun_scenarios.database.storage.replacement import POLICIES, PolicyName
from detrun_scenarios.database.storage.volume import open_volume

BYTES = 256


class OrderedLog:
    """A log that only counts; `flushed` is what is durable."""

    def __init__(self) -> None:
        self.last = self.flushed = 0

    def append(self) -> int:
        self.last += 1
        return self.last

    async def flush(self, lsn: int) -> None:
        await trio.sleep(0.001)
        self.flushed = max(self.flushed, lsn)


async def pool_of(pages: int, frames: int, policy: PolicyName = "lru") -> BufferPool:
    """Pages of which each holds a zero, on a disk that takes its time."""
    disk = Disk(latency=DiskLatency(read_seconds=0.001, write_seconds=0.001, fsync_seconds=0.01))
    volume = await open_volume(disk, "/pages", BYTES)
    for _ in range(pages):
        page = Page.new(HEAP, BYTES)
        page.put(0, bytes(4))
        await volume.write(volume.allocate(), page.sealed())
    return BufferPool(volume, OrderedLog(), {"heap": frames, "index": 2}, policy)


def count(page: Page) -> int:
    return int.from_bytes(page[0], "little")


async def add_one(pool: BufferPool, page_id: int) -> None:
    log = pool.log
    assert isinstance(log, OrderedLog)
    async with pool.using(page_id, "heap", "exclusive") as frame:
        before = count(frame.page)
        await trio.lowlevel.checkpoint()
        frame.page.replace(0, (before + 1).to_bytes(4, "little"))
        pool.changed(frame, log.append())


@pytest.mark.parametrize("policy", POLICIES)
def test_no_addition_is_lost_by_tasks_that_share_fewer_frames_than_pages(policy: PolicyName) -> None:
    async def main() -> tuple[list[int], bool]:
        pool = await pool_of(6, 3, policy)
        written: list[bool] = []
        write = pool.volume.write

        async def watched(page_id: int, data: bytes) -> None:
            assert isinstance(pool.log, OrderedLog)
            written.append(Page.opened(data, "").lsn <= pool.log.flushed)
            await write(page_id, data)

        pool.volume.write = watched  # type: ignore[method-assign]

        async def task() -> None:
            for _ in range(6):
                await add_one(pool, detrun.choice(6))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(task)
        pool._check()
        for frame in list(pool.frames.values()):
            await pool.write(frame)
        sums = [count(Page.opened(data, "")) for data in await pool.volume.read(0, 6)]
        return sums, bool(written) and all(written)

    for seed in range(3):
        sums, log_went_first = detrun.record(main, seed=seed).result
        assert sum(sums) == 18
        assert log_went_first


def test_a_page_is_dirty_until_the_volume_is_synced_and_then_from_its_next_change() -> None:
    async def main() -> list[dict[int, int]]:
        pool = await pool_of(2, 2)
        found = [pool.dirty_pages()]
        await add_one(pool, 0)
        await add_one(pool, 1)
        await add_one(pool, 0)
        found.append(pool.dirty_pages())
        await pool.write(pool.frames[0])
        await add_one(pool, 0)
        found.append(pool.dirty_pages())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.sync)
            nursery.start_soon(pool.write, pool.frames[0])  # begins after the fsync has begun: not durable by it
            await trio.sleep(0.005)
            found.append(pool.dirty_pages())
        found.append(pool.dirty_pages())
        await pool.write(pool.frames[1])
        await pool.sync()
        found.append(pool.dirty_pages())
        return found

    assert detrun.record(main).result == [{}, {0: 1, 1: 2}, {0: 1, 1: 2}, {0: 1, 1: 2}, {0: 4, 1: 2}, {}]


def test_read_ahead_takes_consecutive_pages_in_one_read_and_no_more_than_there_are_places() -> None:
    async def main() -> tuple[list[int], int, int]:
        pool = await pool_of(8, 4)
        async with pool.using(3, "heap", "shared"):
            reads = pool.volume.reads
            await pool.load((0, 1, 2, 3, 4), "heap")
            once = pool.volume.reads - reads
        await pool.load((5, 6, 7), "heap")
        return sorted(pool.frames), once, pool.volume.reads - reads

    assert detrun.record(main).result == ([2, 5, 6, 7], 1, 2)


def test_a_page_that_is_not_whole_is_refused_by_all_who_wait_for_it() -> None:
    async def main() -> tuple[int, int]:
        pool = await pool_of(1, 2)
        await pool.volume.write(0, bytes(BYTES))
        refused = []

        async def reader() -> None:
            with pytest.raises(TornPageError, match="page 0"):
                await pool.pin(0, "heap")
            refused.append(1)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(reader)
        return len(refused), len(pool.frames)

    assert detrun.record(main).result == (3, 0)


def test_a_task_waits_for_a_place_while_all_pages_are_pinned() -> None:
    async def main() -> list[float]:
        pool = await pool_of(3, 2)
        times = []
        for page_id in (0, 1):
            await pool.pin(page_id, "heap")

        async def reader() -> None:
            pool.unpin(await pool.pin(2, "heap"))
            times.append(round(trio.current_time() - began, 6))

        async with trio.open_nursery() as nursery:
            began = trio.current_time()
            nursery.start_soon(reader)
            await trio.sleep(1.0)
            pool.unpin(pool.frames[0])
        return times

    assert detrun.record(main).result == [1.001]


def test_a_page_that_is_being_written_stays_dirty_until_a_sync_that_begins_afterwards() -> None:
    async def main() -> list[dict[int, int]]:
        pool, found = await pool_of(1, 3), []
        await add_one(pool, 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.write, pool.frames[0])
            await trio.sleep(0.0015)  # the log is flushed, and the page on its way
            await pool.sync()
            found.append(pool.dirty_pages())
        await pool.sync()
        return [*found, pool.dirty_pages()]

    assert detrun.record(main).result == [{0: 1}, {}]


def test_a_latch_is_shared_or_exclusive_and_a_writer_that_waits_is_overtaken_by_none() -> None:
    async def main() -> list[str]:
        latch, order = Latch(), []

        async def task(name: str, mode: Mode, after: float) -> None:
            await trio.sleep(after)
            await latch.acquire(mode)
            order.append(f"+{name}")
            await trio.sleep(1.0)
            order.append(f"-{name}")
            latch.release(mode)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(task, "reader1", "shared", 0.0)
            nursery.start_soon(task, "reader2", "shared", 0.1)
            nursery.start_soon(task, "writer", "exclusive", 0.2)
            nursery.start_soon(task, "reader3", "shared", 0.3)
            with trio.move_on_after(0.5):
                await trio.sleep(0.4)
                await latch.acquire("exclusive")
        assert latch.is_free
        return order

    names = "+reader1 +reader2 -reader1 -reader2 +writer -writer +reader3 -reader3"
    assert detrun.record(main).result == names.split()
