"""The files of one server: a write-ahead log of what it has promised, and its newest snapshot.

`/raft/log` is a sequence of records. A ``base`` record opens it and says which entries are gone; a ``state`` record has
term and vote; an ``entries`` record has entries from an index on and replaces what the log had there. Each has a
checksum. Recovery reads up to the first record that is not whole: it was not synced when the power went, and no promise
rests on it. The file is then written anew, so that nothing is ever appended behind garbage.

A snapshot goes to a file of its own and takes its name by a rename when it is durable. The log that goes with it is
then written anew in the same way. Between the two the old log and the new snapshot are there, which recovery accepts
(figure 5.3, steps 6 to 8).

Rule: when `save` has returned, everything it was given is durable. A disk that fails ends the server (fail-stop).

Source: Ongaro 2014, section 3.8; the form of the records is like that of etcd's write-ahead log.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import msgpack

from detrun.world.disk.disk import Disk
from detrun.world.disk.files import DiskFile
from detrun_scenarios.consensus.core.entries import Command, Configuration, Content, Entry, Snapshot
from detrun_scenarios.consensus.core.log import Log
from detrun_scenarios.consensus.core.server import Persistent

DIRECTORY = "/raft"
LOG, SNAPSHOT = f"{DIRECTORY}/log", f"{DIRECTORY}/snapshot"

_HEADER = struct.Struct("<II")  # checksum, bytes of the payload


class StorageError(Exception):
    """The files hold what no crash can have left."""


class Storage:
    """What one server has on its disk."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.file: DiskFile | None = None

    # Reading.

    async def load(self) -> Persistent:
        """Recover, and make the log ready for more."""
        if not await self.disk.exists(DIRECTORY):
            await self.disk.mkdir(DIRECTORY)
            await self.disk.fsync_directory("/")
        found = Persistent()
        for payload in await self._payloads(SNAPSHOT):
            found.snapshot = _snapshot_of(payload)
        for kind, *rest in await self._payloads(LOG):
            if kind == "base":
                found.log = Log(base_index=rest[0], base_term=rest[1])
            elif kind == "state":
                found.term, found.vote = rest
            else:
                index, entries = rest
                if not found.log.base_index < index <= found.log.last_index + 1:
                    raise StorageError(f"{self.disk.name}: entries at {index} behind a log of {found.log.last_index}")
                found.log.truncate_from(index)
                found.log.entries.extend(_entry_of(one) for one in entries)
        snapshot = found.snapshot
        if snapshot is not None and found.log.term_at(snapshot.last_index) != snapshot.last_term:
            found.log.compact(snapshot.last_index, snapshot.last_term)
        await self._write_log(found.term, found.vote, found.log.base_index, found.log.base_term, found.log.entries)
        return found

    async def _payloads(self, path: str) -> list[Any]:
        if not await self.disk.exists(path):
            return []
        return list(_records(await self.disk.path(path).read_bytes()))

    # Writing.

    async def save(
        self, term: int, vote: str | None, has_new_state: bool, first_index: int, entries: tuple[Entry, ...]
    ) -> None:
        """Make a term and a vote durable, if they are new, and entries from ``first_index`` on."""
        record = b""
        if has_new_state:
            record += self.state_record(term, vote)
        if entries:
            record += _record("entries", first_index, [_data_of(entry) for entry in entries])
        assert self.file is not None
        await self.file.write(record)
        await self.file.fsync()

    async def save_snapshot(self, snapshot: Snapshot, term: int, vote: str | None, log: Log) -> None:
        """Make a snapshot durable, then the log that goes with it."""
        base_index, base_term, entries = log.base_index, log.base_term, list(log.entries)
        await self._replace(SNAPSHOT, _snapshot_record(snapshot))
        await self._write_log(term, vote, base_index, base_term, entries)

    def state_record(self, term: int, vote: str | None) -> bytes:
        """Term and vote as they go to the log."""
        return _record("state", term, vote)

    async def _write_log(
        self, term: int, vote: str | None, base_index: int, base_term: int, entries: list[Entry]
    ) -> None:
        content = _record("base", base_index, base_term) + self.state_record(term, vote)
        content += _record("entries", base_index + 1, [_data_of(entry) for entry in entries])
        if self.file is not None:
            await self.file.aclose()
        await self._replace(LOG, content)
        self.file = await self.disk.open_file(LOG, "ab", buffering=0)

    async def _replace(self, path: str, content: bytes) -> None:
        """Put a file in place of another one, whole or not at all."""
        async with await self.disk.open_file(f"{path}.new", "wb", buffering=0) as file:
            await file.write(content)
            await file.fsync()
        await self.disk.rename(f"{path}.new", path)
        await self.disk.fsync_directory(DIRECTORY)


def _record(*payload: Any) -> bytes:
    data = msgpack.packb(payload)
    record: bytes = _HEADER.pack(zlib.crc32(data), len(data)) + data
    return record


def _records(content: bytes) -> Iterator[Any]:
    """The records up to the first that is not whole."""
    position = 0
    while position + _HEADER.size <= len(content):
        checksum, length = _HEADER.unpack_from(content, position)
        position += _HEADER.size
        data = content[position : position + length]
        if not length or len(data) < length or zlib.crc32(data) != checksum:
            return
        yield msgpack.unpackb(data)
        position += length


def _data_of(entry: Entry) -> list[Any]:
    content = entry.content
    if content is None:
        return [entry.term]
    if isinstance(content, Command):
        return [entry.term, content.session, content.number, content.operation, content.key, content.value]
    return [entry.term, *_configuration_data(content)]


def _entry_of(data: list[Any]) -> Entry:
    term, *rest = data
    content: Content
    if not rest:
        content = None
    elif len(rest) == 3:
        content = _configuration_of(rest)
    else:
        content = Command(*rest)
    return Entry(term, content)


def _configuration_data(configuration: Configuration) -> list[Any]:
    return [configuration.voters, configuration.old_voters, configuration.learners]


def _configuration_of(data: list[Any]) -> Configuration:
    return Configuration(*map(tuple, data))


def _snapshot_record(snapshot: Snapshot) -> bytes:
    configuration = _configuration_data(snapshot.configuration)
    return _record(snapshot.last_index, snapshot.last_term, configuration, snapshot.state)


def _snapshot_of(payload: Any) -> Snapshot:
    last_index, last_term, configuration, state = payload
    return Snapshot(last_index, last_term, _configuration_of(configuration), state)
