"""Files in memory: how far they are read ahead, when they are written back, and what fsync promises."""

from __future__ import annotations

import random

import pytest
import trio

from detrun_scenarios.operating_system.files.extents import EXTENT_PAGES, Extents
from detrun_scenarios.operating_system.files.read_ahead import Window
from detrun_scenarios.operating_system.memory.settings import MemorySettings
from detrun_scenarios.operating_system.storage.settings import StorageSettings
from tests.scenarios.operating_system.alone import Alone, Parts, on_parts

pytestmark = pytest.mark.one_python

ROOMY = MemorySettings(frames=256)


def windows(most: int, pages: list[int]) -> list[tuple[int, int]]:
    """First page and number of pages of each read, for a reader whose pages all stay."""
    window, here, found = Window(most), set[int](), []
    for page in pages:
        if wanted := window.pages(page, page in here):
            found.append((wanted.start, len(wanted)))
            here.update(wanted)
    return found


def test_windows_grow_as_linuxs_do_and_each_is_asked_for_when_the_last_one_is_come_to() -> None:
    assert windows(32, list(range(60))) == [(0, 4), (4, 8), (12, 16), (28, 32), (60, 32)]
    assert windows(8, list(range(6))) == [(0, 2), (2, 4), (6, 8)]
    assert windows(1, [0, 1, 2]) == [(0, 1), (1, 1), (2, 1)]


def test_one_who_jumps_gets_what_is_asked_for_and_one_who_goes_on_from_there_is_read_ahead_of() -> None:
    assert windows(32, [50, 7, 90, 91]) == [(50, 1), (7, 1), (90, 1), (91, 4)]


@pytest.mark.parametrize(("read_ahead", "requests"), [(1.0, 64), (32.0, 5)])
def test_a_file_is_read_in_as_many_requests_as_there_are_windows(read_ahead: float, requests: int) -> None:
    async def main(parts: Parts) -> tuple[int, int, int]:
        parts.files.create("data", 64)
        for page in range(64):
            await parts.files.read(Alone("a"), "data", page)
            await trio.sleep(0.001)
        return parts.device.requests["read"], parts.device.pages["read"], parts.files.misses

    found = on_parts(main, ROOMY, StorageSettings(read_ahead=read_ahead))
    assert found[:2] == (requests, 64)
    assert (found[2] == 64) == (read_ahead == 1.0)


def test_a_change_while_a_page_is_written_is_written_too() -> None:
    async def main(parts: Parts) -> tuple[int, int, int]:
        block = parts.files.extents.block("log", 0)
        await parts.files.write(Alone("a"), "log", 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parts.files.fsync, Alone("a"), "log")
            await trio.sleep(1e-4)
            version = await parts.files.write(Alone("b"), "log", 0)
        first = parts.device.on_disk(block)
        await parts.files.fsync(Alone("b"), "log")
        return version, first, parts.device.on_disk(block)

    assert on_parts(main) == (2, 1, 2)


def test_pages_that_lie_together_are_written_at_once() -> None:
    async def main(parts: Parts) -> list[int]:
        for page in (0, 1, 2, 5, EXTENT_PAGES - 1, EXTENT_PAGES):
            await parts.files.write(Alone("a"), "log", page)
        await parts.files.fsync(Alone("a"), "log")
        return [parts.device.requests["write"], parts.device.pages["write"]]

    assert on_parts(main, ROOMY) == [3, 6]  # the second extent follows the first


def test_a_page_is_written_when_it_is_old() -> None:
    async def main(parts: Parts) -> list[int]:
        await parts.files.write(Alone("a"), "log", 0)
        found = []
        for _ in range(2):
            await trio.sleep(0.4)
            found.append(parts.device.on_disk(parts.files.extents.block("log", 0)))
        return found

    assert on_parts(main, storage=StorageSettings(dirty_age=0.5, flush_interval=0.05)) == [0, 1]


def test_one_who_writes_faster_than_the_disk_is_held_back_at_the_limit() -> None:
    async def main(parts: Parts) -> tuple[int, int]:
        most = 0
        for page in range(60):
            await parts.files.write(Alone("a"), "log", 7 * page)
            most = max(most, len(parts.files.write_back.dirty) + len(parts.files.write_back.writing))
        return most, parts.files.write_back.held_back

    most, throttled = on_parts(main, ROOMY, StorageSettings(dirty_background=0.05, dirty_limit=0.1))
    assert most == 25  # a tenth of 256
    assert throttled > 5


def test_no_two_pages_lie_at_one_place_and_none_moves() -> None:
    numbers = random.Random(4)
    wanted = {(numbers.choice("abc"), numbers.randrange(1_500)) for _ in range(300)}
    extents = Extents(100, 100 + 100 * EXTENT_PAGES)
    places = {one: extents.block(*one) for one in wanted}
    assert len(set(places.values())) == len(places)
    assert all(
        extents.block(*one) == place and 100 <= place < 100 + 100 * EXTENT_PAGES for one, place in places.items()
    )
