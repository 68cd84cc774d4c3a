"""Virtual memory: what is written is read whatever leaves meanwhile, and each rule of its modules at work."""

from __future__ import annotations

from functools import partial

import pytest
import trio

import detrun
from detrun_scenarios.operating_system.invariants import FRAMES_CONSERVED
from detrun_scenarios.operating_system.memory.address_space import PagedSpace
from detrun_scenarios.operating_system.memory.frames import Frame
from detrun_scenarios.operating_system.memory.page_table import TABLE_ENTRIES, PageTable
from detrun_scenarios.operating_system.memory.settings import MemorySettings, Policy
from detrun_scenarios.operating_system.storage.settings import ElevatorName, StorageSettings
from tests.scenarios.operating_system.alone import Alone, Parts, on_parts

pytestmark = pytest.mark.one_python

ONE_SECOND = 1.0


async def pressed(parts: Parts) -> tuple[int, int]:
    """Two processes of two threads each, a reader and a logger want twice the memory that there is."""

    async def work(space: PagedSpace, caller: Alone) -> None:
        for _ in range(40):
            await detrun.sleep(detrun.exponential(0.001))
            await space.touch(caller, min(int(detrun.exponential(6.0)), 19), bool(detrun.bernoulli(0.5)))

    async def live(name: str) -> None:
        space = parts.memory.space(name, 20)
        async with trio.open_nursery() as threads:
            for core in range(2):
                threads.start_soon(work, space, Alone(name, core))
        space.end()

    async def read() -> None:
        for page in range(40):
            await parts.files.read(Alone("reader"), "data", page % 30)

    async def log() -> None:
        for number in range(30):
            await detrun.sleep(detrun.exponential(0.003))
            await parts.files.write(Alone("logger"), "log", number // 4)
            if number % 6 == 0:
                await parts.files.fsync(Alone("logger"), "log")

    parts.files.create("data", 30)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(live, "a")
        nursery.start_soon(live, "b")
        nursery.start_soon(read)
        nursery.start_soon(log)
    await trio.sleep(ONE_SECOND)  # what was leaving has landed
    return parts.memory.swap.free, parts.memory.reclaim.evicted


@pytest.mark.parametrize("policy", ["clock", "aging", "working_set"])
@pytest.mark.parametrize("elevator", ["deadline", "fair"])
def test_pages_read_as_written_and_all_is_given_back(policy: Policy, elevator: ElevatorName) -> None:
    memory = MemorySettings(frames=24, policy=policy, swap_pages=64)
    storage = StorageSettings(elevator=elevator, dirty_age=0.05, flush_interval=0.02)
    free, evicted = on_parts(pressed, memory, storage)
    assert free == 64
    assert evicted > 40


def test_frames_that_are_lost_or_held_twice_are_found() -> None:
    async def main(parts: Parts, spoil: str) -> None:
        space = parts.memory.space("a", 8)
        await space.touch(Alone("a"), 3, True)
        frame = space.table.entry(3).frame
        assert frame is not None
        parts.memory.check()
        if spoil == "lost":
            space.table.entry(3).frame = None
        else:
            parts.memory.frames._free.append(frame)

    for spoil in ("lost", "twice"):
        with pytest.raises(AssertionError, match=FRAMES_CONSERVED):
            on_parts(partial(main, spoil=spoil))


def chosen(space: PagedSpace, page: int) -> Frame:
    """The frame of a page, which is to leave."""
    frame = space.holds(page)
    assert frame is not None
    frame.is_busy = True
    return frame


def test_two_threads_that_want_one_page_read_it_once() -> None:
    async def main(parts: Parts) -> tuple[int, int, list[int]]:
        space, found = parts.memory.space("a", 8), list[int]()
        await space.touch(Alone("a"), 3, True)
        frame = chosen(space, 3)
        assert await space.evict(frame)
        parts.memory.frames.put(frame)

        async def touch(core: int) -> None:
            found.append(await space.touch(Alone("a", core), 3, False))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(touch, 0)
            nursery.start_soon(touch, 1)
        return parts.device.requests["read"], space.major_faults, found

    assert on_parts(main) == (1, 1, [1, 1])


def test_a_page_on_its_way_out_is_wanted_again_and_comes_back_without_a_read() -> None:
    async def main(parts: Parts) -> tuple[int, int, int]:
        space = parts.memory.space("a", 8)
        await space.touch(Alone("a"), 3, True)
        frame = chosen(space, 3)
        stays: list[bool] = []

        async def leave() -> None:
            stays.append(not await space.evict(frame))
            frame.is_busy = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            await trio.sleep(1e-4)  # the write has begun
            version = await space.touch(Alone("a"), 3, True)
        assert stays == [True]
        assert space.table.entry(3).frame is frame
        assert frame.is_dirty  # with what was not in the write
        return parts.device.requests["read"], version, parts.device.on_disk(0)

    assert on_parts(main) == (0, 2, 1)


def test_what_a_core_writes_before_it_forgets_a_page_is_not_lost() -> None:
    async def main(parts: Parts) -> tuple[int, int]:
        space, other = parts.memory.space("a", 8), Alone("a", 1)
        await space.touch(Alone("a", 0), 3, True)
        await space.touch(other, 3, False)
        frame = chosen(space, 3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(space.evict, frame)
            await trio.sleep(1e-6)  # out of the table, and remembered by both cores
            assert space.table.entry(3).frame is None
            await space.touch(other, 3, True)
        assert parts.memory.translations.find(1, (space.number, 3)) is None
        parts.memory.frames.put(frame)
        return await space.touch(other, 3, False), parts.memory.translations.shootdowns

    assert on_parts(main) == (2, 1)


def test_a_core_remembers_so_many_pages_and_looks_up_the_others() -> None:
    async def main(parts: Parts) -> list[bool]:
        space, caller = parts.memory.space("a", 8), Alone("a")
        for page in (0, 1, 2, 0, 3):
            await space.touch(caller, page, False)
        return [parts.memory.translations.find(0, (space.number, page)) is not None for page in range(4)]

    assert on_parts(main, MemorySettings(translations=3)) == [True, False, True, True]


@pytest.mark.parametrize(("pause", "is_direct"), [(0.1, False), (0.0, True)])
def test_the_kernel_thread_frees_in_time_for_the_slow_and_the_fast_have_to_help(pause: float, is_direct: bool) -> None:
    settings = MemorySettings(frames=32, min_free=0.05, low_free=0.25, high_free=0.4)

    async def main(parts: Parts) -> tuple[int, int]:
        space = parts.memory.space("a", 64)
        for page in range(64):
            await space.touch(Alone("a"), page, True)
            await trio.sleep(pause)
            if not is_direct:
                assert parts.memory.frames.free >= settings.low_frames
        return parts.memory.reclaim.direct, parts.memory.reclaim.evicted

    direct, evicted = on_parts(main, settings)
    assert (direct > 0) == is_direct
    assert evicted >= 32


@pytest.mark.parametrize("policy", ["clock", "aging", "working_set"])
def test_pages_leave_although_all_were_used_since_the_policy_looked(policy: Policy) -> None:
    async def main(parts: Parts) -> int:
        for page in range(0, 60, 3):
            await parts.files.read(Alone("a"), "data", page)
        await trio.sleep(ONE_SECOND)
        return parts.memory.frames.free

    settings = MemorySettings(frames=12, policy=policy, look_seconds=100.0, window_seconds=100.0)
    assert on_parts(main, settings) >= settings.low_frames


def test_a_page_that_is_not_written_leaves_without_a_write() -> None:
    async def main(parts: Parts) -> tuple[int, int]:
        space = parts.memory.space("a", 64)
        for page in range(64):
            assert await space.touch(Alone("a"), page, False) == 0
        return parts.device.requests["write"], parts.memory.major_faults

    assert on_parts(main, MemorySettings(frames=16)) == (0, 0)


def test_tables_are_made_where_pages_are() -> None:
    table = PageTable()
    assert table.find(3) is None
    table.entry(3)
    table.entry(10 * TABLE_ENTRIES).slot = 7
    assert table.tables == 2
    assert [page for page, entry in table if entry.slot == 7] == [10 * TABLE_ENTRIES]
