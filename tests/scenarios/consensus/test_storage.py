"""The files of a server: what was saved is there after every crash, and the vote with it."""

from __future__ import annotations

import pytest

import detrun
from detrun.world.disk.crash_states import crash_states
from detrun.world.disk.disk import Disk
from detrun.world.disk.model import DiskLog, PersistenceModel
from detrun_scenarios.consensus.core.entries import Command, Configuration, Entry, Snapshot
from detrun_scenarios.consensus.core.log import Log
from detrun_scenarios.consensus.storage import DIRECTORY, LOG, Storage

MODEL = PersistenceModel(sector_bytes=64)
ENTRIES = tuple(Entry(1, Command("s", number, "add", "k", number)) for number in range(1, 5))
CONFIGURATION = Configuration(("a", "b"), ("a",), ("c",))


async def saved_twice() -> tuple[DiskLog, list[int]]:
    """Two promises; the log of the disk, and its points at which they were given."""
    disk = Disk(model=MODEL)
    storage = Storage(disk)
    await storage.load()
    log = disk.start_log()
    promised = []
    await storage.save(1, "a", True, 1, ENTRIES[:2])
    promised.append(len(log))
    await storage.save(2, "b", True, 2, (Entry(2, CONFIGURATION), *ENTRIES[2:]))
    promised.append(len(log))
    return log, promised


def test_every_crash_state_holds_what_was_promised_and_nothing_else() -> None:
    async def main() -> int:
        log, (first, second) = await saved_twice()
        looked_at = 0
        for state in crash_states(log):
            found = await Storage(Disk("again", model=MODEL, tree=state.tree)).load()
            for _, last in state.intervals:
                what = (found.term, found.vote, [entry.term for entry in found.log.entries])
                if last >= second:
                    assert what == (2, "b", [1, 2, 1, 1])
                elif last >= first:
                    assert what in ((1, "a", [1, 1]), (2, "b", [1, 1]), (2, "b", [1, 2, 1, 1]))
            looked_at += 1
        return looked_at

    assert detrun.record(main, strategy="fifo").result >= 8


@pytest.mark.parametrize("keeps", [True, False])
def test_a_snapshot_and_the_log_that_goes_with_it_survive_any_crash_between_the_two(keeps: bool) -> None:
    async def main() -> None:
        disk = Disk(model=MODEL)
        storage = Storage(disk)
        await storage.load()
        await storage.save(1, "a", True, 1, ENTRIES)
        log = disk.start_log()
        snapshot = Snapshot(3, 1, CONFIGURATION, b"state") if keeps else Snapshot(9, 5, CONFIGURATION, b"state")
        after = Log(ENTRIES)
        after.compact(snapshot.last_index, snapshot.last_term)
        await storage.save_snapshot(snapshot, 1, "a", after)
        for state in crash_states(log):
            found = await Storage(Disk("again", model=MODEL, tree=state.tree)).load()
            if found.snapshot is None:
                assert found.log.entries == list(ENTRIES)
            else:
                assert found.snapshot == snapshot
                assert found.log.last_index == (4 if keeps else 9)
                assert found.log.term_at(snapshot.last_index) == snapshot.last_term
            assert (found.term, found.vote) == (1, "a")

    detrun.record(main, strategy="fifo")


def test_what_is_behind_a_torn_record_is_cut_off_before_anything_is_written() -> None:
    async def main() -> list[Entry]:
        disk = Disk()
        storage = Storage(disk)
        await storage.load()
        await storage.save(1, None, True, 1, ENTRIES[:1])
        async with await disk.open_file(LOG, "ab") as file:
            await file.write(b"\x07garbage")
        storage = Storage(disk)
        await storage.load()
        await storage.save(1, None, False, 2, ENTRIES[1:2])
        assert await disk.listdir(DIRECTORY) == ["log"]
        return (await Storage(disk).load()).log.entries

    assert detrun.record(main).result == list(ENTRIES[:2])
