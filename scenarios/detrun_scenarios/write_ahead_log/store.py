"""A key-value store that keeps what it has acknowledged: a write-ahead log, a snapshot, and recovery from both.

A write is appended to the log, the log is synced, then the write is acknowledged; writes that wait together are synced
together. After `COMPACT_AFTER` records the whole table goes to a snapshot, which replaces the old one by a rename, and
the log is emptied. Recovery reads the snapshot and then the log up to the first record that is not whole, and cuts the
log there. The files lie in one directory, whose entries are synced too.

A record is a checksum, a length and a payload; the payload holds a sequence number, the key and the value, so that a
log that is older than the snapshot does no harm. After a failed fsync nothing can be known about the log but by reading
it again, so the store stops.

`Discipline` switches off one precaution at a time; without any one of them real systems have lost data.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import trio

import detrun
from detrun.world.disk.disk import Disk
from detrun.world.disk.files import DiskFile

DIRECTORY = "/store"
LOG, SNAPSHOT, NEW_SNAPSHOT = f"{DIRECTORY}/log", f"{DIRECTORY}/snapshot", f"{DIRECTORY}/snapshot.new"
COMPACT_AFTER = 4

_HEADER = struct.Struct("<II")  # checksum, length of the payload
_PREFIX = struct.Struct("<QI")  # sequence number, length of the key


@dataclass(frozen=True, slots=True)
class Discipline:
    """The precautions that the store takes. All of them are needed."""

    syncs_log: bool = True
    acknowledges_after_sync: bool = True
    checks_tail: bool = True
    syncs_directory: bool = True
    syncs_snapshot: bool = True
    stops_after_failed_fsync: bool = True


CORRECT = Discipline()


@dataclass(frozen=True, slots=True)
class Tuning:
    """Numbers that change when things are durable, and never whether.

    Attributes:
        group_delay: seconds that a sync waits for others to join it; a number or a Value.
        compact_after: records of the log after which the table goes to a snapshot.
    """

    group_delay: Any = 0.0
    compact_after: Any = COMPACT_AFTER


AS_IT_COMES = Tuning()


class StoppedError(Exception):
    """The store met an error of the disk and takes no more writes; what it acknowledged is safe."""


@dataclass(frozen=True, slots=True)
class Record:
    """One write."""

    sequence: int
    key: bytes
    value: bytes

    def encoded(self) -> bytes:
        """As it lies in the log and in the snapshot."""
        payload = _PREFIX.pack(self.sequence, len(self.key)) + self.key + self.value
        return _HEADER.pack(zlib.crc32(payload), len(payload)) + payload


def records_in(data: bytes, *, checked: bool) -> Iterator[tuple[Record, int]]:
    """The records of a file and where each one ends, up to the first that is not whole.

    Unchecked, the last record is taken as it is, however much of it there may be: the mistake.
    """
    start = 0
    while start + _HEADER.size <= len(data):
        checksum, length = _HEADER.unpack_from(data, start)
        payload = data[start + _HEADER.size : start + _HEADER.size + length]
        whole = len(payload) == length >= _PREFIX.size and zlib.crc32(payload) == checksum
        if (checked and not whole) or len(payload) < _PREFIX.size:
            return
        sequence, key_length = _PREFIX.unpack_from(payload)
        key_end = _PREFIX.size + key_length
        start += _HEADER.size + len(payload)
        yield Record(sequence, payload[_PREFIX.size : key_end], payload[key_end:]), start


class Store:
    """An open store. Made by `open_store`."""

    def __init__(
        self,
        disk: Disk,
        discipline: Discipline,
        tuning: Tuning,
        table: dict[bytes, Record],
        log: DiskFile,
        records: int,
    ) -> None:
        self.disk = disk
        self.discipline = discipline
        self.tuning = tuning
        self.table = table  # what may be told: acknowledged writes only
        self.log = log
        self.log_records = records
        self.appended = self.synced = max((record.sequence for record in table.values()), default=0)
        self.appending = trio.Lock()
        self.syncing = trio.Lock()
        self.stopped = False

    def get(self, key: bytes) -> bytes | None:
        """The last acknowledged value of a key."""
        record = self.table.get(key)
        return record.value if record is not None else None

    async def put(self, key: bytes, value: bytes, acknowledge: Callable[[], None]) -> None:
        """Write, and call ``acknowledge`` once a power loss cannot take the write back.

        Raises:
            StoppedError: the disk failed; whether this write will be there after a restart is not known.
        """
        try:
            async with self.appending:
                self._check_running()
                record = Record(self.appended + 1, key, value)
                await self.log.write(record.encoded())
                await self.log.flush()
                self.appended = record.sequence
                self.log_records += 1
            if not self.discipline.acknowledges_after_sync:
                acknowledge()
            await self._sync(record.sequence)
        except OSError as error:
            self.stopped = True
            raise StoppedError(f"{os.strerror(error.errno or errno.EIO)}: the store takes no more writes") from error
        if key not in self.table or self.table[key].sequence < record.sequence:
            self.table[key] = record
        if self.discipline.acknowledges_after_sync:
            acknowledge()
        if self.log_records >= self.tuning.compact_after:
            await self.compact()

    async def _sync(self, sequence: int) -> None:
        """Wait until the log is durable up to a record; one fsync does for all who wait."""
        async with self.syncing:
            self._check_running()
            if self.synced < sequence and self.discipline.syncs_log:
                if self.tuning.group_delay:
                    await detrun.sleep(self.tuning.group_delay)
                appended = self.appended
                try:
                    await self.log.fsync()
                except OSError:
                    if self.discipline.stops_after_failed_fsync:
                        self.stopped = True  # before another in the queue tries, and succeeds
                        raise
                    await self.log.fsync()
                self.synced = appended

    def _check_running(self) -> None:
        if self.stopped:
            raise StoppedError("the store takes no more writes; restart it, to recover what was acknowledged")

    async def compact(self) -> None:
        """Put the table into a new snapshot and begin a new log.

        Raises:
            StoppedError: the disk failed.
        """
        try:
            async with self.appending, self.syncing:
                self._check_running()
                if self.log_records < self.tuning.compact_after:
                    return  # another writer has just done it
                if self.discipline.syncs_log:
                    await self.log.fsync()
                for record, _ in records_in(await read(self.disk, LOG), checked=True):
                    if record.key not in self.table or self.table[record.key].sequence < record.sequence:
                        self.table[record.key] = record  # durable, its writer just has not come round to say so
                await write_snapshot(self.disk, self.discipline, self.table)
                await self.log.truncate(0)
                await self.log.seek(0)
                self.log_records = 0
        except OSError as error:
            self.stopped = True
            raise StoppedError(f"{os.strerror(error.errno or errno.EIO)}: the store takes no more writes") from error

    async def close(self) -> None:
        """Close the log."""
        await self.log.aclose()


async def read(disk: Disk, path: str) -> bytes:
    """The content of a file; nothing if there is none."""
    if not await disk.exists(path):
        return b""
    return await disk.path(path).read_bytes()


async def write_snapshot(disk: Disk, discipline: Discipline, table: dict[bytes, Record]) -> None:
    """Replace the snapshot: the whole new one, or the whole old one, is there at every moment."""
    async with await disk.open_file(NEW_SNAPSHOT, "wb") as file:
        for _, record in sorted(table.items()):
            await file.write(record.encoded())
        if discipline.syncs_snapshot:
            await file.fsync()
    await disk.rename(NEW_SNAPSHOT, SNAPSHOT)
    if discipline.syncs_directory:
        # Before the log is cut: until then the log is the only place where the records are.
        await disk.fsync_directory(DIRECTORY)


async def open_store(disk: Disk, discipline: Discipline = CORRECT, tuning: Tuning = AS_IT_COMES) -> Store:
    """Open the store on a disk, recovering what is there."""
    if not await disk.exists(DIRECTORY):
        await disk.mkdir(DIRECTORY)
    if discipline.syncs_directory:
        # Even if it exists: its maker may have lost power before this.
        await disk.fsync_directory("/")
    table: dict[bytes, Record] = {}
    for record, _ in records_in(await read(disk, SNAPSHOT), checked=True):
        table[record.key] = record
    in_snapshot = max((record.sequence for record in table.values()), default=0)
    end = count = 0
    for record, record_end in records_in(await read(disk, LOG), checked=discipline.checks_tail):
        count, end = count + 1, record_end
        if record.sequence > in_snapshot:
            table[record.key] = record
    log = await disk.open_file(LOG, "rb+" if await disk.exists(LOG) else "wb+")
    if discipline.checks_tail:
        await log.truncate(end)
    if discipline.syncs_log:
        # What was read may be in the cache only, after a mere crash of the process; and we are about to tell it.
        await log.fsync()
    if discipline.syncs_directory:
        await disk.fsync_directory(DIRECTORY)
    await log.seek(end if discipline.checks_tail else 0, 0 if discipline.checks_tail else 2)
    return Store(disk, discipline, tuning, table, log, count)
