"""The events of a machine in the order in which they happened: packed when recorded, unpacked when read.

Packing at once fixes what an event was, whatever its maker does to the object later, and takes 20 bytes for a small
one where the object takes 200. Any event is found in O(1). In a file, events lie in frames of the recording format
(`detrun_recorder.format`): each has its length, position and checksum, and every length is bounded before it is
believed. A file is written whole or not at all, so a truncated one is damaged.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from detrun.machines.codec import StateCodec
from detrun_recorder.format import (
    CHECKSUM,
    FRAME_BYTES_MAX,
    HEAD,
    HEAD_BYTES,
    POSITION,
    Malformed,
    integer,
    pack_frame,
    pack_map,
    unpack_map,
)
from detrun_scheduler.errors import RecordingFormatError, UsageError

MAGIC = b"\x89detrunE\n"
VERSION = 1
HEADER, EVENTS = 1, 2
FRAME_BYTES = 1 << 20
EVENTS_MAX = 1 << 48


class EventLog(Sequence[Any]):
    """A sequence of events that only grows; `StateMachine.dispatch` appends to it.

    Args:
        types: dataclasses, named tuples and enumerations in events of a file that was written elsewhere.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._codec = StateCodec(types)
        self._bytes = bytearray()  # all events, one after the other
        self._ends = array("Q", [0])  # ascending: event n is bytes[ends[n]:ends[n + 1]]
        self._first_with_values: int | None = None  # its number, so that `save` can refuse it

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"event {index} of {len(self)}")
        return self._codec.unpack(self._bytes[self._ends[place] : self._ends[place + 1]])

    def __iter__(self) -> Iterator[Any]:
        for place in range(len(self)):
            yield self[place]

    def __repr__(self) -> str:
        return f"<EventLog of {len(self)} events, {len(self._bytes)} bytes>"

    def append(self, event: object, *, has_values: bool = False) -> None:
        """Add an event; ``has_values`` says that its Values belong to a run, so that it cannot outlive it."""
        packed = self._codec.pack(event)
        if has_values and self._first_with_values is None:
            self._first_with_values = len(self)
        self._bytes += packed
        self._ends.append(len(self._bytes))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write every event to a file, which replaces one of that name.

        Raises:
            UsageError: an event holds Values of a run.
        """
        if self._first_with_values is not None:
            raise UsageError(f"event {self._first_with_values} holds Values, which mean nothing after their run")
        target = Path(path)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC)
                file.write(pack_frame(file.tell(), HEADER, pack_map({"version": VERSION, "events": len(self)})))
                for first, last in self._frames():
                    begin, end = self._ends[first], self._ends[last]
                    lengths = array("Q", (self._ends[n + 1] - self._ends[n] for n in range(first, last)))
                    content = pack_map({"lengths": _little_endian(lengths), "events": bytes(self._bytes[begin:end])})
                    file.write(pack_frame(file.tell(), EVENTS, zlib.compress(content, 4)))
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str], types: Iterable[type] = ()) -> EventLog:
        """Read a file that `save` wrote; events are decoded when they are used.

        Args:
            types: the dataclasses, named tuples and enumerations that events are made of.

        Raises:
            RecordingFormatError: it is another file, or it is damaged.
        """
        log = cls(types)
        content = Path(path).read_bytes()
        try:
            if not content.startswith(MAGIC):
                raise Malformed("the first bytes are not those of an event log")
            position, header = _frame(content, len(MAGIC), HEADER)
            fields = unpack_map(header)
            if integer(fields, "version", 1 << 16) != VERSION:
                raise Malformed(f"it has format version {fields['version']}; this detrun reads version {VERSION}")
            while position < len(content):
                position, packed = _frame(content, position, EVENTS)
                log._extend(_inflated(packed))
            if len(log) != integer(fields, "events", EVENTS_MAX):
                raise Malformed(f"it holds {len(log)} events and should hold {fields['events']}")
        except Malformed as error:
            raise RecordingFormatError(f"{os.fspath(path)} is not a whole event log: {error}") from None
        return log

    def _check(self) -> None:
        """Every structural invariant; called by stress tests, never in production."""
        assert self._ends[0] == 0
        assert all(self._ends[n] < self._ends[n + 1] for n in range(len(self))), "an event is at least one byte"
        assert self._ends[-1] == len(self._bytes)
        assert self._first_with_values is None or 0 <= self._first_with_values < len(self)

    def _frames(self) -> Iterator[tuple[int, int]]:
        first = 0
        for last in range(1, len(self) + 1):
            if last == len(self) or self._ends[last + 1] - self._ends[first] > FRAME_BYTES:
                yield first, last
                first = last

    def _extend(self, content: bytes) -> None:
        fields = unpack_map(content)
        lengths, events = fields.get("lengths"), fields.get("events")
        if not isinstance(lengths, bytes) or not isinstance(events, bytes) or len(lengths) % 8:
            raise Malformed("a frame of events has no lengths")
        total = 0
        begin = len(self._bytes)
        for length in _native(lengths):
            total += length
            self._ends.append(begin + total)
        if total != len(events):
            raise Malformed(f"lengths of events add up to {total}, but there are {len(events)} bytes")
        self._bytes += events


def _frame(content: bytes, position: int, expected: int) -> tuple[int, bytes]:
    """The end and the payload of the frame at ``position``."""
    head = content[position : position + HEAD.size]
    claimed = content[position + HEAD.size : position + HEAD_BYTES]
    if len(claimed) < 4 or CHECKSUM.unpack(claimed)[0] != zlib.crc32(POSITION.pack(position) + head):
        raise Malformed(f"the frame at byte {position} is damaged or cut off")
    kind, length, checksum = HEAD.unpack(head)
    payload = content[position + HEAD_BYTES : position + HEAD_BYTES + length]
    if kind != expected or length > FRAME_BYTES_MAX or len(payload) < length or zlib.crc32(payload) != checksum:
        raise Malformed(f"the frame at byte {position} is damaged, cut off or of another kind")
    return position + HEAD_BYTES + length, payload


def _inflated(packed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(packed, FRAME_BYTES_MAX)
    except zlib.error as error:
        raise Malformed(f"a frame of events does not inflate: {error}") from None
    if not inflater.eof:
        raise Malformed(f"a frame of events inflates to more than {FRAME_BYTES_MAX} bytes or is cut off")
    return content


def _little_endian(lengths: array[int]) -> bytes:
    return b"".join(length.to_bytes(8, "little") for length in lengths)


def _native(lengths: bytes) -> Iterator[int]:
    for place in range(0, len(lengths), 8):
        yield int.from_bytes(lengths[place : place + 8], "little")
