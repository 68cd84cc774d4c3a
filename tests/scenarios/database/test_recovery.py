"""Log and recovery: what was acknowledged is there after every crash, what was not committed never is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio

import detrun
from detrun.world.disk.crash_states import crash_states
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.disk.image import Tree
from detrun.world.disk.model import DiskLog, PersistenceModel
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.records import Change, Checkpoint, Commit, Structure, Update, encoded, records_in
from detrun_scenarios.database.log.recovery import Recovered, checkpoint, cut_log, recover
from detrun_scenarios.database.log.segments import open_segments
from detrun_scenarios.database.log.writer import DIRECTORY, LOG, open_log
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.page import HEAP, Page
from detrun_scenarios.database.storage.volume import open_volume

BYTES = 128
PAGES = 3
SEGMENT_BYTES = 256  # of the log, so that most records cross into the next file and its beginning is freed
MODEL = PersistenceModel(sector_bytes=64)  # a page is two sectors, so that it can be torn
Contents = Mapping[tuple[int, int], bytes]


async def opened(disk: Disk, frames: int = 2) -> tuple[Changes, Recovered]:
    """Log and pages of a disk, recovered."""
    log = await open_log(disk, SEGMENT_BYTES)
    volume = await open_volume(disk, f"{DIRECTORY}/pages", BYTES)
    await disk.fsync_directory(DIRECTORY)
    changes = Changes(BufferPool(volume, log, {"heap": frames, "index": 2}), log)
    return changes, await recover(changes)


async def make_pages(changes: Changes) -> None:
    """Empty pages, durable in the log."""
    for _ in range(PAGES):
        await changes.pool.room("heap")
        frame = changes.pool.create(changes.pool.volume.allocate(), "heap", Page.new(HEAP, BYTES))
        changes.restructured("heap", [frame])
        changes.pool.unpin(frame)
    await changes.log.flush(changes.log.end - 1)


async def change(changes: Changes, trail: Any, page_id: int, slot: int, record: bytes | None) -> None:
    async with changes.pool.using(page_id, "heap", "exclusive") as frame:
        old = frame.page.get(slot)
        if record is None:
            made = Change("delete", slot, old=frame.page[slot])
        elif old is None:
            made = Change("put", slot, record)
        else:
            made = Change("replace", slot, record, old)
        changes.update(trail, frame, made)


async def contents(changes: Changes) -> dict[tuple[int, int], bytes]:
    found = {}
    for page_id in range(min(PAGES, changes.pool.volume.pages)):
        async with changes.pool.using(page_id, "heap", "shared") as frame:
            found.update({(page_id, slot): record for slot, record in frame.page.records()})
    return found


class Workload:
    """Three transactions with pages that move in and out; what may be there at each point of the disk's log."""

    def __init__(self, log: DiskLog) -> None:
        self.log = log
        self.versions: list[tuple[Contents, int, int]] = []  # contents, from where possible, from where promised

    async def run(self, changes: Changes) -> None:
        await make_pages(changes)
        self.versions.append(({}, 0, 0))
        first, second = changes.begin(), changes.begin()
        await change(changes, first, 0, 0, b"first 0")
        await change(changes, second, 1, 0, b"second 0")
        await change(changes, first, 2, 0, b"first 1")
        await self.commit(changes, first, {(0, 0): b"first 0", (2, 0): b"first 1"})
        await change(changes, second, 0, 0, b"second 1, longer")
        await checkpoint(changes)
        await cut_log(changes)
        await change(changes, second, 2, 1, b"second 2")
        await changes.pool.sync()
        third = changes.begin()
        await change(changes, third, 1, 1, b"third 0")
        await checkpoint(changes)
        await cut_log(changes)
        await changes.roll_back(second)
        await change(changes, third, 2, 0, None)
        await self.commit(changes, third, {(0, 0): b"first 0", (1, 1): b"third 0"})
        await checkpoint(changes, write_before=changes.log.end)
        await cut_log(changes)
        assert changes.log.begin > 2 * SEGMENT_BYTES
        fourth = changes.begin()
        for number in range(6):  # so that the page is older in the log than the checkpoint by more than a file
            await change(changes, fourth, 0, 0, b"fourth %d" % number)
        await self.commit(changes, fourth, {(0, 0): b"fourth 5", (1, 1): b"third 0"})
        await checkpoint(changes)
        await cut_log(changes)

    async def commit(self, changes: Changes, trail: Any, then: Contents) -> None:
        begun = len(self.log)
        await changes.log.flush(changes.commit(trail))
        changes.end(trail)
        self.versions.append((then, begun, len(self.log)))

    def may_be(self, found: Contents, first: int, last: int) -> bool:
        """Whether the contents are possible after a crash at any one of these points."""
        promised = max(place for place, one in enumerate(self.versions) if one[2] <= first)
        return any(found == one[0] for one in self.versions[promised:] if one[1] <= last)


async def recovered(tree: Tree, *, wants_log: bool = False) -> tuple[Contents, DiskLog | None, Recovered]:
    disk = Disk("again", model=MODEL, tree=tree)
    log = disk.start_log() if wants_log else None
    changes, found = await opened(disk)
    result = await contents(changes)
    changes.pool._check()
    return result, log, found


async def crashed(limit: int, twice: bool) -> tuple[int, int, int]:
    """States looked at; pages mended and transactions undone in all of them."""
    disk = Disk(model=MODEL)
    changes, _ = await opened(disk)
    workload = Workload(disk.start_log())
    await workload.run(changes)
    states = crash_states(workload.log, limit=limit)
    mended = undone = 0
    for state in states:
        found, log, what = await recovered(state.tree, wants_log=twice)
        assert all(workload.may_be(found, first, first) for first, _ in state.intervals), (found, state.intervals)
        mended, undone = mended + what.mended, undone + what.undone
        if log is not None:
            for again in crash_states(log, limit=2):
                assert (await recovered(again.tree))[0] == found
    return len(states), mended, undone


def test_what_was_acknowledged_and_only_what_was_committed_is_there_after_a_crash_at_every_point() -> None:
    states, mended, undone = detrun.record(crashed, 16, False, strategy="fifo").result
    assert states > 100
    assert mended > 10
    assert undone > 10


@pytest.mark.slow
def test_recovery_survives_crashes_of_its_own() -> None:
    assert detrun.record(crashed, 40, True, strategy="fifo").result[0] > 200


def test_a_rolled_back_transaction_leaves_nothing_and_recovery_does_not_undo_it_again() -> None:
    async def main() -> tuple[Any, Any, int]:
        disk = Disk()
        changes, _ = await opened(disk)
        await make_pages(changes)
        trail = changes.begin()
        await change(changes, trail, 0, 0, b"a")
        await change(changes, trail, 0, 0, b"b")
        await changes.roll_back(trail)
        before = await contents(changes)
        await changes.log.flush(changes.log.end - 1)
        disk.crash()
        changes, found = await opened(disk)
        return before, await contents(changes), found.undone

    assert detrun.record(main).result == ({}, {}, 0)


def test_a_checkpoint_bounds_what_recovery_reads() -> None:
    async def main() -> tuple[int, int, Any]:
        disk = Disk()
        changes, _ = await opened(disk, frames=4)
        await make_pages(changes)
        for number in range(20):
            trail = changes.begin()
            await change(changes, trail, 1, 0, b"%d" % number)
            changes.commit(trail)
            changes.end(trail)
        position = await checkpoint(changes, write_before=changes.log.end)
        await checkpoint(changes, write_before=position)
        disk.power_loss()
        changes, found = await opened(disk)
        return found.records, found.redone, (await contents(changes))[1, 0]

    assert detrun.record(main).result == (1, 0, b"19")


def test_those_who_commit_together_share_one_fsync_and_a_delay_lets_more_of_them_come() -> None:
    async def main(delay: float) -> tuple[int, float]:
        disk = Disk(latency=DiskLatency(fsync_seconds=0.01))
        changes, _ = await opened(disk)
        before, began = changes.log.syncs, trio.current_time()

        async def committer(after: float) -> None:
            await trio.sleep(after)
            await changes.log.flush(changes.commit(changes.begin()), delay)

        async with trio.open_nursery() as nursery:
            for place in range(4):
                nursery.start_soon(committer, 0.001 * place)
        return changes.log.syncs - before, round(trio.current_time() - began, 6)

    assert detrun.record(main, 0.0).result == (2, 0.02)  # one alone, then the three that came meanwhile
    assert detrun.record(main, 0.005).result == (1, 0.015)


def test_a_failed_fsync_is_the_end_for_all_who_wait() -> None:
    async def main() -> int:
        disk = Disk(latency=DiskLatency(fsync_seconds=0.01))
        changes, _ = await opened(disk)
        disk.faults.fail_next_fsync()
        failed = []

        async def committer() -> None:
            with pytest.raises(OSError, match="error"):
                await changes.log.flush(changes.commit(changes.begin()))
            failed.append(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(committer)
            nursery.start_soon(committer)
        return len(failed)

    assert detrun.record(main).result == 2


def test_records_come_back_from_bytes_up_to_the_first_that_is_not_whole() -> None:
    records = [
        Update(1, 0, 3, -1, Change("replace", 2, b"new", b"old"), b"image"),
        Structure("index", {4: b"x", 5: b"y"}),
        Checkpoint({7: (100, 120, True)}, {3: 40}, 8, {9: "heap"}),
        Commit(1, 16),
    ]
    data = b"".join(map(encoded, records))
    found = list(records_in(data, 16))
    assert [one.record for one in found] == records
    assert [one.lsn for one in found] == [16, *(one.end for one in found[:-1])]
    assert [one.record for one in records_in(data[:-1], 16)] == records[:-1]
    assert list(records_in(b"\x01" + data, 16)) == []


def test_what_lies_behind_the_end_of_the_log_is_cut_off() -> None:
    async def main() -> tuple[int, int]:
        disk = Disk()
        changes, _ = await opened(disk)
        await changes.log.flush(changes.commit(changes.begin()))
        async with await disk.open_file(f"{LOG}.000000", "ab") as file:
            await file.write(b"\x07garbage")
        disk.crash()
        changes, _ = await opened(disk)
        return changes.log.flushed, (await disk.stat(f"{LOG}.000000")).st_size

    flushed, size = detrun.record(main).result
    assert flushed == size


def test_what_is_found_after_a_crash_is_durable_after_the_next_sync_in_all_segments() -> None:
    """A killed process may have left any segment unsynced; one that lost its end by a later power loss made a hole."""

    async def main() -> bytes:
        disk = Disk()
        await disk.mkdir(DIRECTORY)
        await disk.fsync_directory("/")
        killed = await open_segments(disk, LOG, 16)
        await killed.pwrite(bytes(range(40)), 0)
        disk.crash()
        found = await open_segments(disk, LOG, 16)
        await found.truncate(36)
        await found.fsync()
        disk.power_loss(())
        return await (await open_segments(disk, LOG, 16)).pread(48, 0)

    assert detrun.record(main).result == bytes(range(36))
