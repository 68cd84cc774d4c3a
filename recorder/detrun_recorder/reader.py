"""Reads a recording's frames: damaged files are refused, and a file that ends early is read up to its last whole chunk.

Opening checks every byte of the file once (checksums run at memory speed) and keeps only a table of chunks; columns
are inflated when they are asked for. The rule for the end of the file: a frame that the file is too short for
ends it, and what came before is a truncated recording; anything else that does not hold is damage, and is refused.
The index says nothing that the frames do not say, except which objects a chunk touches; where both speak they must
agree.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections import deque
from itertools import accumulate, pairwise
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from detrun_recorder import format as layout
from detrun_recorder.contents import ChunkEntry, Contents, End
from detrun_recorder.format import DamagedRecordingError, Malformed
from detrun_recorder.proportions import PAYLOAD_LENGTHS_AN_EVENT_BYTE, Proportions, definitions_max
from detrun_recorder.task_columns import Ending, restore_spawned, unpack_endings, unpack_tasks
from detrun_scheduler.errors import RecordingFormatError
from detrun_scheduler.journal import Chunk

DEFINITIONS = ("tasks", "spawns", "stems", "leaves", "kinds", "objects", "names", "endings", "ending_texts")


class Source(Protocol):
    """Where the bytes are."""

    name: str
    size: int

    def read(self, position: int, count: int) -> bytes:
        """Exactly ``count`` bytes from ``position``, fewer only if the source shrank meanwhile."""


class BytesSource:
    """A recording in memory."""

    def __init__(self, content: bytes) -> None:
        self.name = "<bytes>"
        self.content = content
        self.size = len(content)

    def read(self, position: int, count: int) -> bytes:
        return self.content[position : position + count]


class FileSource:
    """A recording on disk. It is opened for each read: nothing to close, at 20 µs for some 16,000 steps."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self.name = str(path)
        try:
            if self.path.is_dir():
                raise RecordingFormatError(f"{self.name} is a directory; give the path of a recording (a file)")
            self.size = self.path.stat().st_size
            self.read(0, 1)
        except (OSError, ValueError) as error:
            reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
            raise RecordingFormatError(
                f"cannot open the recording {self.name}: {reason}; check the path, or make one with `detrun record`"
            ) from error

    def read(self, position: int, count: int) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(position)
            return file.read(count)


class Frame(NamedTuple):
    """One frame whose checksums hold."""

    position: int
    kind: int
    payload: bytes


def read_frame(source: Source, position: int) -> Frame | None:
    """The frame at ``position``; ``None`` if the source ends inside it."""
    head = source.read(position, layout.HEAD_BYTES)
    if len(head) < layout.HEAD_BYTES:
        return None
    kind, length, payload_checksum = layout.HEAD.unpack_from(head)
    checksum = zlib.crc32(layout.POSITION.pack(position) + head[: layout.HEAD.size])
    if layout.CHECKSUM.unpack_from(head, layout.HEAD.size)[0] != checksum:
        raise DamagedRecordingError(source.name, position, "the checksum of a frame's head does not hold")
    if length > layout.FRAME_BYTES_MAX:
        raise DamagedRecordingError(
            source.name, position, f"a frame claims {length} bytes, above the format's {layout.FRAME_BYTES_MAX}"
        )
    start = position + layout.HEAD_BYTES
    if length > source.size - start:
        return None
    payload = source.read(start, length)
    if len(payload) < length:
        return None
    if zlib.crc32(payload) != payload_checksum:
        raise DamagedRecordingError(source.name, position, "the checksum of a frame does not hold")
    return Frame(position, kind, payload)


def read_version(source: Source) -> tuple[int, int]:
    """Check the preamble; raises `RecordingFormatError` unless this reader can read what follows."""
    preamble = source.read(0, layout.PREAMBLE.size)
    if not preamble:
        raise RecordingFormatError(
            f"{source.name} is empty: the run was stopped before it wrote anything; record again"
        )
    if not preamble.startswith(layout.MAGIC[: len(preamble)]):
        raise RecordingFormatError(
            f"{source.name} is not a detrun recording: it begins with {preamble[:8]!r}, not {layout.MAGIC!r}"
        )
    if len(preamble) < layout.PREAMBLE.size:
        raise RecordingFormatError(f"{source.name} ends after {len(preamble)} bytes, before its header; record again")
    _, major, minor, checksum = layout.PREAMBLE.unpack(preamble)
    if checksum != zlib.crc32(preamble[:-4]):
        raise DamagedRecordingError(source.name, 0, "the checksum of the preamble does not hold")
    if major > layout.MAJOR:
        raise RecordingFormatError(
            f"{source.name} has format version {major}.{minor}; this detrun reads up to {layout.MAJOR}.x: "
            f"install a newer detrun, one that reads format {major}"
        )
    if major < 1:
        raise RecordingFormatError(f"{source.name} has format version {major}.{minor}, which never existed")
    return major, minor


def read_contents(source: Source) -> Contents:
    """Check all of ``source`` and list what is in it."""
    version = read_version(source)
    frame = read_frame(source, layout.PREAMBLE.size)
    if frame is None:
        raise RecordingFormatError(f"{source.name} is truncated inside its header, before the first step; record again")
    position = layout.PREAMBLE.size
    chunks: list[ChunkEntry] = []
    end: End | None = None
    proportions = Proportions()
    try:
        header = read_header(frame)
        tie = layout.header_tie(frame.payload)
        position += layout.HEAD_BYTES + len(frame.payload)
        while (frame := read_frame(source, position)) is not None:
            if frame.kind == layout.CHUNK and end is None:
                content = layout.unpack_map(frame.payload)
                check_tie(content, version, tie)
                chunks.append(read_entry(frame.position, content, header, chunks[-1] if chunks else None))
                proportions.add(chunks[-1].steps, content["columns"], len(frame.payload), source.size)
            elif frame.kind == layout.END and end is None:
                end = read_end(tied_map(frame, version, tie, layout.END_BYTES_MAX), chunks)
            elif frame.kind == layout.INDEX and end is not None:
                chunks = read_index(tied_map(frame, version, tie), chunks)
                position += layout.HEAD_BYTES + len(frame.payload)
                return Contents(version, header, chunks, end, read_trailer(source, position, frame.position))
            elif not frame.kind & layout.SKIPPABLE:
                raise Malformed(f"a frame of kind {frame.kind} stands where none may; a newer detrun may read it")
            position += layout.HEAD_BYTES + len(frame.payload)
    except Malformed as error:
        raise DamagedRecordingError(source.name, position, str(error)) from error
    return Contents(version, header, chunks, end, whole=False)


def read_header(frame: Frame) -> dict[str, Any]:
    """The header map, with the keys that the rest depends on checked."""
    if frame.kind != layout.HEADER:
        raise Malformed(f"the first frame has kind {frame.kind}, not a header's {layout.HEADER}")
    if len(frame.payload) > layout.HEADER_BYTES_MAX:
        raise Malformed(f"the header has {len(frame.payload)} bytes, above the format's {layout.HEADER_BYTES_MAX}")
    header = layout.unpack_map(frame.payload, entries_max=4096, array_entries_max=4096)
    if layout.integer(header, "ticks_per_second", 10**9) == 0:
        raise Malformed("'ticks_per_second' is 0")
    return header


def tied_map(
    frame: Frame, version: tuple[int, int], tie: bytes, bytes_max: int = layout.FRAME_BYTES_MAX
) -> dict[str, Any]:
    """The map in a frame that belongs to the file's header."""
    if len(frame.payload) > bytes_max:
        raise Malformed(f"the frame has {len(frame.payload)} bytes, above the format's {bytes_max}")
    content = layout.unpack_map(frame.payload, entries_max=4096)
    check_tie(content, version, tie)
    return content


def check_tie(content: dict[str, Any], version: tuple[int, int], tie: bytes) -> None:
    """Refuse a frame that was written below another header; files before 2.1 do not say."""
    if content.get("header") != tie and ("header" in content or version >= (2, 1)):
        raise Malformed("a frame belongs to another header: two recordings were written to one file")


def read_entry(
    position: int, content: dict[str, Any], header: dict[str, Any], previous: ChunkEntry | None
) -> ChunkEntry:
    """The table's line for a chunk, from its frame's map; the columns stay packed."""
    steps = layout.integer(content, "steps", layout.CHUNK_STEPS_MAX)
    first_step = layout.integer(content, "first_step", 1 << 62)
    expected = 0 if previous is None else previous.first_step + previous.steps
    if first_step != expected:
        raise Malformed(f"a chunk begins at step {first_step}, but the one before it ends at step {expected}")
    start = content.get("start")
    if isinstance(start, int) and not isinstance(start, bool) and 0 <= start < layout.TICKS_MAX:
        start = start / header["ticks_per_second"]
    elif not isinstance(start, float) or not isfinite(start):
        raise Malformed(f"'start' is {start!r:.40}, neither ticks nor seconds")
    digest = content.get("digest")
    if not isinstance(digest, bytes) or len(digest) != 16:
        raise Malformed("a chunk has no digest of 16 bytes")
    if not isinstance(content.get("columns"), dict):
        raise Malformed("a chunk has no map of columns")
    return ChunkEntry(position, first_step, steps, start, digest, None, "runnable" in content["columns"])


def read_end(content: dict[str, Any], chunks: list[ChunkEntry]) -> End:
    """The end frame, checked against the chunks."""
    steps = layout.integer(content, "steps", 1 << 62)
    written = chunks[-1].first_step + chunks[-1].steps if chunks else 0
    digest, virtual_time, counts = content.get("digest"), content.get("virtual_time"), content.get("counts")
    if steps != written:
        raise Malformed(f"the end frame counts {steps} steps, the chunks have {written}")
    # The digest of the end covers the program's result, too, so it is not that of the last chunk.
    if not isinstance(digest, bytes) or len(digest) != 16:
        raise Malformed("the end frame has no digest of 16 bytes")
    if not isinstance(virtual_time, float) or not isfinite(virtual_time) or not isinstance(content.get("outcome"), str):
        raise Malformed("the end frame lacks its virtual time or its outcome")
    if not isinstance(counts, dict) or not all(type(count) is int for count in counts.values()):
        raise Malformed("the counts of the end frame are not whole numbers")
    error_type, error_text = content.get("error_type"), content.get("error_text")
    if not all(text is None or isinstance(text, str) for text in (error_type, error_text)):
        raise Malformed("the error of the end frame is not text")
    return End(steps, virtual_time, digest, content["outcome"], error_type, error_text, counts)


def read_index(content: dict[str, Any], chunks: list[ChunkEntry]) -> list[ChunkEntry]:
    """The chunks with their objects filled in; the rest of the index must repeat what the frames say."""
    columns = {}
    for name in ("positions", "first_steps", "starts", "objects"):
        columns[name] = layout.unpack_column(content.get(name))  # type: ignore[arg-type]  # checked inside
    agree = (
        content.get("chunks") == len(chunks)
        and list(accumulate(layout.unpack_varints(columns["positions"]))) == [entry.position for entry in chunks]
        and list(accumulate(layout.unpack_varints(columns["first_steps"]))) == [entry.first_step for entry in chunks]
        and columns["starts"] == layout.little_endian(array("d", [entry.start_time for entry in chunks])).tobytes()
    )
    if not agree:
        raise Malformed("the index does not agree with the chunks")
    numbers = deque(layout.unpack_varints(columns["objects"]))
    indexed = []
    for entry in chunks:
        if not numbers or numbers[0] > len(numbers):
            raise Malformed("the index lists fewer objects than it claims")
        count = numbers.popleft()
        objects = frozenset(accumulate(numbers.popleft() for _ in range(count - 1))) if count else None
        indexed.append(entry._replace(objects=objects))
    if numbers:
        raise Malformed("the index lists more objects than it claims")
    return indexed


def read_trailer(source: Source, position: int, index_position: int) -> bool:
    """Whether the trailer at ``position`` is whole; raises unless it is right and the last thing in the file."""
    trailer = source.read(position, layout.TRAILER.size + 1)
    if len(trailer) < layout.TRAILER.size:
        return False
    magic, claimed, checksum = layout.TRAILER.unpack_from(trailer)
    if checksum != zlib.crc32(trailer[: layout.TRAILER.size - 4]):
        raise DamagedRecordingError(source.name, position, "the checksum of the trailer does not hold")
    if magic != layout.TRAILER_MAGIC or claimed != index_position:
        raise DamagedRecordingError(source.name, position, "the trailer does not point to the index")
    if len(trailer) > layout.TRAILER.size:
        raise DamagedRecordingError(
            source.name, position + layout.TRAILER.size, "bytes follow the end of the recording"
        )
    return True


# --- chunks ----------------------------------------------------------------------------------------------------------


def chunk_columns(source: Source, entry: ChunkEntry) -> dict[str, Any]:
    """The frame's map of a chunk that `read_contents` listed, columns still packed."""
    frame = read_frame(source, entry.position)
    if frame is None or frame.kind != layout.CHUNK:
        raise DamagedRecordingError(source.name, entry.position, "a chunk is gone: the file changed while it was read")
    return layout.unpack_map(frame.payload)


def definitions_length(columns: dict[str, Any]) -> int:
    """Inflated bytes of the definitions in a chunk."""
    return sum(layout.column_length(columns[name]) for name in DEFINITIONS if name in columns)


def unpack_definitions(
    columns: dict[str, Any], most: int
) -> tuple[list[tuple[int, int, str]], list[str], list[str], list[str]]:
    """Tasks, kinds, objects and names first used in a chunk; raises `Malformed`, also for more than ``most`` of one."""
    tasks: list[tuple[int, int, str]] = []
    content = layout.unpack_column(columns["tasks"]) if "tasks" in columns else b""
    number = position = 0
    while position < len(content):
        if len(tasks) == most:
            raise Malformed(f"there are more than {most} tasks in a file of this size")
        difference, position = layout.unpack_varint(content, position)
        parent, position = layout.unpack_varint(content, position)
        path, position = layout.unpack_text(content, position)
        number += difference
        tasks.append((number, parent - 1, path))  # as format 1 has them
    if "spawns" in columns:
        stems, leaves = unpack_texts(columns, "stems", most), unpack_texts(columns, "leaves", most)
        tasks += unpack_tasks(layout.unpack_column(columns["spawns"]), stems, leaves, most)
    kinds, objects, names = (unpack_texts(columns, name, most) for name in ("kinds", "objects", "names"))
    return tasks, kinds, objects, names


def unpack_texts(columns: dict[str, Any], name: str, most: int) -> list[str]:
    """The column ``name`` of texts; raises `Malformed`, also for more than ``most``."""
    content = layout.unpack_column(columns[name]) if name in columns else b""
    found: list[str] = []
    position = 0
    interned: dict[str, str] = {}  # a million objects may share one label
    while position < len(content):
        if len(found) == most:
            raise Malformed(f"there are more than {most} {name} in a file of this size")
        text, position = layout.unpack_text(content, position)
        found.append(interned.setdefault(text, text))
    return found


def endings_of(columns: dict[str, Any], most: int) -> list[Ending]:
    """How tasks ended that did not return, in a chunk; raises `Malformed`, also for more than ``most``."""
    if "endings" not in columns:
        return []
    return unpack_endings(layout.unpack_column(columns["endings"]), unpack_texts(columns, "ending_texts", most), most)


def unpack_runnable(content: bytes) -> tuple[int, ...]:
    """The runnable set before a chunk; raises `Malformed`."""
    differences = layout.unpack_varints(content)
    if not 0 < len(differences) <= layout.RUNNABLE_STORED_MAX or 0 in differences[1:]:
        raise Malformed("the runnable set before a chunk is empty, too large, or out of order")
    return tuple(accumulate(differences))


def unpack_chunk(source: Source, entry: ChunkEntry, ticks_per_second: int) -> Chunk:
    """One chunk, its times restored; raises `DamagedRecordingError`."""
    try:
        content = chunk_columns(source, entry)
        packed = content["columns"]

        def column(name: str, bytes_max: int = layout.COLUMN_BYTES_MAX) -> bytes:
            if name not in packed:
                return b""
            if layout.column_length(packed[name]) > bytes_max:
                raise Malformed(f"the column of {name} claims {packed[name][0]} bytes, where {bytes_max} is the most")
            return layout.unpack_column(packed[name])

        outcomes = column("outcomes", entry.steps)
        if len(outcomes) != entry.steps:
            raise Malformed(f"a chunk claims {entry.steps} steps and has {len(outcomes)} outcomes")
        # One more choice than steps: a run that failed inside a step leaves its choice. A number has 9 bytes at most.
        choices = column("choices", 9 * (entry.steps + 1))
        events = column("events")
        count = layout.integer(content, "times", len(events))
        if isinstance(content["start"], float):
            times = array("d", layout.unpack_planes(column("seconds", 8 * count), count).tobytes())
        else:
            ticks = accumulate(layout.unpack_planes(column("ticks", 8 * count), count), initial=content["start"])
            next(ticks)
            times = array("d", (tick / ticks_per_second for tick in ticks))
        if not all(map(isfinite, times)):
            raise Malformed("a time is not finite")
        lengths = layout.unpack_varints(column("payload_lengths", PAYLOAD_LENGTHS_AN_EVENT_BYTE * len(events)))
        joined = column("payloads")
        if sum(lengths) != len(joined):
            raise Malformed("the lengths of the payloads do not add up")
        ends = list(accumulate(lengths, initial=0))
        payloads = [joined[begin:end] for begin, end in pairwise(ends)]
        tasks, kinds, objects, names = unpack_definitions(packed, definitions_max(source.size))
        return Chunk(
            first_step=entry.first_step,
            start_time=entry.start_time,
            choices=choices,
            outcomes=outcomes,
            events=restore_spawned(events, tasks),
            times=times,
            payloads=payloads,
            tasks=tasks,
            kinds=kinds,
            objects=objects,
            names=names,
            digest=entry.digest,
            runnable=unpack_runnable(column("runnable", 9 * layout.RUNNABLE_STORED_MAX))
            if entry.says_runnable
            else None,
            endings=endings_of(packed, definitions_max(source.size)),
        )
    except (Malformed, OverflowError) as error:
        raise DamagedRecordingError(source.name, entry.position, str(error)) from error
