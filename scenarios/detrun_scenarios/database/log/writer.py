"""`LogWriter`: the end of the log, with group commit.

`append` puts a record into memory and says where it will lie. `flush` returns when it is durable. One task at a time
writes and syncs; those who come meanwhile find at its end that they are served, or take the next turn together. A
committer may wait for others before it syncs (`delay`), which makes its own commit slower and theirs cheaper.

The position of the newest checkpoint is in a small file of its own, which a rename replaces.

Rule: an error of the disk ends the server, for what is durable is not known then (`failure`).

Source: DeWitt et al., "Implementation techniques for main memory database systems", SIGMOD 1984 (group commit); the
delay of the one who syncs is PostgreSQL's ``commit_delay``.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import trio

import detrun
from detrun.world.disk.disk import Disk
from detrun_scenarios.database.log.records import Piece, Placed, Record, encoded, pieces_in, records_in
from detrun_scenarios.database.log.segments import SEGMENT_BYTES, Segments, open_segments
from detrun_scenarios.database.log.state_file import load, save
from detrun_scenarios.frame.news import News

DIRECTORY = "/database"
LOG, MASTER = f"{DIRECTORY}/log", f"{DIRECTORY}/master"
MAGIC = b"detrun database\n"  # so that no record begins at 0
_READ_BYTES = 1 << 14


class LogError(Exception):
    """The log does not hold what it must."""


class LogWriter:
    """See the module. Made by `open_log`.

    Attributes:
        end: where the next record will lie.
        flushed: everything before it is durable.
        has_more: told when more is durable than before, or the disk has failed; also for those who ship the log.
        bytes_written, syncs: so far, for losses.
        failure: of the disk; the log takes no more from then on, and recovery has to begin anew.
    """

    def __init__(self, disk: Disk, file: Segments, end: int) -> None:
        self.disk = disk
        self.file = file
        self.end = self.flushed = self._written = end
        self.has_more = News()
        self.bytes_written = self.syncs = 0
        self.failure: OSError | None = None
        self._pending: list[bytes] = []
        self._is_syncing = False
        self._naming = trio.Lock()
        self._named = 0  # as the newest checkpoint, by this object

    @property
    def begin(self) -> int:
        """Where the oldest record that is kept may lie; none before it can be read."""
        return max(self.file.begin, len(MAGIC))

    def append(self, record: Record) -> int:
        """Put a record behind the others; its LSN."""
        return self.append_bytes(encoded(record))

    def append_bytes(self, data: bytes) -> int:
        """Put records behind the others, as they lie in another log; where they begin."""
        lsn = self.end
        self._pending.append(data)
        self.end += len(data)
        return lsn

    async def flush(self, lsn: int, delay: Any = 0.0) -> None:
        """Return when the record at ``lsn`` is durable.

        Args:
            delay: seconds to wait for others, if this task is the one to sync.

        Raises:
            OSError: the disk failed.
        """
        assert lsn < self.end
        while self.flushed <= lsn:
            if self.failure is not None:
                raise self.failure
            if self._is_syncing:
                await self.has_more.wait()
            else:
                await self._sync(delay)

    async def _sync(self, delay: Any) -> None:
        self._is_syncing = True
        try:
            if delay:
                await detrun.sleep(delay)
            with trio.CancelScope(shield=True):
                data, self._pending = b"".join(self._pending), []
                begin, self._written = self._written, self._written + len(data)
                end = self._written
                await self._write(data, begin)
                await self.file.fsync()
            self.bytes_written += len(data)
            self.syncs += 1
            self.flushed = end
        except OSError as error:
            self.failure = error
            raise
        finally:
            self._is_syncing = False
            self.has_more.tell()

    async def _write(self, data: bytes, begin: int) -> None:
        written = await self.file.pwrite(data, begin)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.file.name)

    async def read(self, lsn: int) -> Placed:
        """The record at ``lsn``, which is durable.

        Raises:
            LogError: there is none.
        """
        size = 256
        while True:
            data = await self.file.pread(size, lsn)
            found = next(records_in(data, lsn), None)
            if found is not None:
                return found
            if len(data) < size:
                raise LogError(f"{self.file.name} has no record at {lsn}")
            size *= 4

    async def read_from(self, lsn: int, end: int | None = None) -> list[Placed]:
        """All whole records from ``lsn`` on, up to ``end`` if it is given."""
        return list(records_in(await self._read_bytes(lsn, end), lsn))

    async def pieces_between(self, lsn: int, end: int) -> list[Piece]:
        """The same records, as they lie there."""
        return list(pieces_in(await self._read_bytes(lsn, end), lsn))

    async def _read_bytes(self, lsn: int, end: int | None) -> bytes:
        pieces: list[bytes] = []
        position = lsn
        while end is None or position < end:
            size = _READ_BYTES if end is None else min(_READ_BYTES, end - position)
            piece = await self.file.pread(size, position)
            pieces.append(piece)
            position += len(piece)
            if len(piece) < size:
                break
        return b"".join(pieces)

    async def cut(self, end: int) -> None:
        """Make the log end there, durably: what lies behind was never promised, and must not follow what will come."""
        await self.file.truncate(end)
        await self.file.fsync()
        self.end = self.flushed = self._written = end

    async def free_before(self, lsn: int) -> None:
        """Let go of the log before a record, by whole files."""
        await self.file.free_before(min(lsn, self.flushed))

    async def restart_at(self, lsn: int) -> None:
        """Forget all records; the next one will lie at ``lsn``, as it does in the log that this one follows."""
        await self.file.truncate(0)
        if lsn < self.file.segment_bytes:
            await self.file.pwrite(MAGIC, 0)
            await self.file.fsync()
        self.end = self.flushed = self._written = lsn

    async def set_master(self, lsn: int) -> None:
        """There is a checkpoint at ``lsn``, which is durable. No matter if a newer one is known already."""
        async with self._naming:
            if lsn > self._named:
                await save(self.disk, MASTER, lsn.to_bytes(8, "little"))
                self._named = lsn

    async def master(self) -> int:
        """Where the newest checkpoint is; 0 if there is none.

        Raises:
            DamagedFileError: the file is damaged, which no crash does.
        """
        return int.from_bytes(await load(self.disk, MASTER) or b"", "little")


async def open_log(disk: Disk, segment_bytes: int = SEGMENT_BYTES) -> LogWriter:
    """The log on a disk, made if there is none; `recovery` finds its end. Its directory is there and durable."""
    if not await disk.exists(DIRECTORY):
        await disk.mkdir(DIRECTORY)
    await disk.fsync_directory("/")
    file = await open_segments(disk, LOG, segment_bytes)
    if not file.begin and await file.pread(len(MAGIC), 0) != MAGIC:
        # New, or it was new when the power went: nothing was promised before the header was durable.
        await file.truncate(0)
        await file.pwrite(MAGIC, 0)
        await file.fsync()
    await disk.fsync_directory(DIRECTORY)
    return LogWriter(disk, file, len(MAGIC))
