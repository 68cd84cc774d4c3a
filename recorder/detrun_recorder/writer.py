"""Writing a recording: a sink for the journal's chunks that streams them to a file.

`Writer` decides what goes into each frame. The rule: whole chunks only ever grow the file, one whole frame per write,
so whatever stops the process leaves a recording that is readable up to its last whole chunk, and no clean-up is needed.
Behind them may stand the open chunk as it was at some moment; what is written next takes its place.
Memory is one chunk and its line of the table for each chunk written; `Writer.contents` is the table of a closed file,
so that its recording can be used without reading it back.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cache
from types import TracebackType
from typing import Any, BinaryIO

from detrun_recorder import format as layout
from detrun_recorder.contents import ChunkEntry, Contents, End
from detrun_recorder.proportions import Proportions
from detrun_recorder.shared_files import open_alone
from detrun_recorder.task_columns import drop_spawned, pack_endings, pack_tasks
from detrun_scheduler.errors import UsageError
from detrun_scheduler.journal import EVENT_ARGUMENTS, OPERATION, RECEIVE, SEND, Chunk

OBJECTS_LISTED_MAX = 1024  # a chunk that touches more objects is searched instead: it bounds the index
TEXT_CHARACTERS_MAX = 2000
TICKS_PER_SECOND = 1_000_000


@cache  # 3 ms to compile: many programs import detrun and record nothing
def objects_pattern() -> re.Pattern[bytes]:
    """Matches, one after another, the object events of an ``events`` column, as group 1.

    A regular expression reads the column 20 times faster than a loop in Python. Each match eats the other events
    before its own, so that it always begins at an event, never inside an argument.
    """
    number = rb"[\x80-\xff]*+[\x00-\x7f]"
    touching = (OPERATION, SEND, RECEIVE)
    assert [EVENT_ARGUMENTS[code] for code in touching] == [2, 1, 1], "an event whose arguments the pattern misreads"
    others = {code: arguments for code, arguments in EVENT_ARGUMENTS.items() if code not in touching} | {0: 0}
    assert set(others.values()) == {0, 1}
    bare = bytes(code for code, arguments in others.items() if arguments == 0)
    with_number = bytes(code for code, arguments in others.items() if arguments == 1)
    skipped = rb"(?:[%b]|[%b]%b)*+" % (re.escape(bare), re.escape(with_number), number)
    # The last alternative matches at the end of the column: a search that fails would start again at every byte.
    touched = rb"\x%02x%b%b|[\x%02x\x%02x]%b" % (OPERATION, number, number, SEND, RECEIVE, number)
    return re.compile(rb"%b(?:(%b)|\Z)" % (skipped, touched), re.DOTALL)


def objects_touched(events: bytes) -> list[int]:
    """The numbers of the objects that occur in an ``events`` column, ascending."""
    distinct = set(objects_pattern().findall(events)) - {b""}
    return sorted({layout.unpack_varint(event, 1)[0] for event in distinct})


class Writer:
    """Streams a recording to ``destination``, a path (overwritten) or a binary file open for writing at its start.

    ``header`` describes the run (`header.describe_run` makes one). ``exact_times=True`` stores virtual times to the
    last bit instead of rounding them to whole ticks, at about three times the size.
    Calling a `Writer` is `write_chunk`, so it can be a `Journal`'s sink as it is. Leaving its ``with`` block, or
    `abandon`, without `close` leaves a truncated recording. A full disk raises `OSError`.
    """

    def __init__(
        self,
        destination: str | os.PathLike[str] | BinaryIO,
        header: Mapping[str, Any],
        *,
        exact_times: bool = False,
        ticks_per_second: int = TICKS_PER_SECOND,
    ) -> None:
        if not 1 <= ticks_per_second <= 10**9:
            raise UsageError(f"ticks_per_second is {ticks_per_second}; choose 1 to 10**9")
        self.ticks_per_second = ticks_per_second
        self.exact_times = exact_times
        content = dict(header) | {"ticks_per_second": ticks_per_second, "exact_times": exact_times}
        payload, self.header = pack_checked(content, layout.HEADER_BYTES_MAX, "the header of a recording")
        self.header_tie = layout.header_tie(payload)
        self.proportions = Proportions()
        self.owned = isinstance(destination, str | os.PathLike)
        self.file: BinaryIO = open_alone(destination) if isinstance(destination, str | os.PathLike) else destination
        self.position = 0
        self.steps = 0
        self.closed = False
        self.has_open_chunk = False  # something stands behind `position`
        self.chunks: list[ChunkEntry] = []
        self.end: End | None = None
        self.append(layout.pack_preamble())
        self.append_frame(layout.HEADER, payload)

    def append(self, content: bytes) -> None:
        """Write and flush, so that a killed process loses no chunk that was handed over."""
        if self.has_open_chunk:
            self.file.seek(self.position)
            self.file.truncate()
            self.has_open_chunk = False
        written: Callable[[bytes], int | None] = self.file.write
        rest = memoryview(content)
        while rest:
            count = written(rest)  # type: ignore[arg-type]  # an unbuffered file may take only a part
            rest = rest[len(rest) if count is None else count :]
        self.file.flush()
        self.position += len(content)

    def append_frame(self, kind: int, payload: bytes) -> None:
        """Write one frame at the current position."""
        self.append(layout.pack_frame(self.position, kind, payload))

    def __call__(self, chunk: Chunk) -> None:
        self.write_chunk(chunk)

    def write_chunk(self, chunk: Chunk) -> None:
        """Append ``chunk``, which must follow the one before; costs 0.1 to 0.3 µs per step, most of it zlib's."""
        if self.closed:
            raise UsageError("this Writer is closed: a recording cannot grow after its end; open another Writer")
        assert chunk.first_step == self.steps, "chunks come in order, none left out"
        assert chunk.steps <= layout.CHUNK_STEPS_MAX
        columns: dict[str, layout.Column] = {}
        content: dict[str, Any] = {"first_step": chunk.first_step, "steps": chunk.steps, "digest": chunk.digest}
        content["header"] = self.header_tie
        start = self.write_times(chunk, content, columns)
        if chunk.outcomes:
            columns["outcomes"] = layout.pack_column(chunk.outcomes)
        if chunk.choices:
            columns["choices"] = layout.pack_column(chunk.choices)
        if chunk.events:
            columns["events"] = layout.pack_column(drop_spawned(chunk.events, chunk.tasks))
        if chunk.runnable and len(chunk.runnable) <= layout.RUNNABLE_STORED_MAX:
            columns["runnable"] = layout.pack_column(layout.pack_varints(differences(chunk.runnable)))
        if chunk.payloads:
            columns["payloads"] = layout.pack_column(b"".join(chunk.payloads))
            columns["payload_lengths"] = layout.pack_column(layout.pack_varints(map(len, chunk.payloads)))
        if chunk.tasks:
            columns |= {
                name: layout.pack_column(content) for name, content in pack_tasks(chunk.tasks).items() if content
            }
        if chunk.endings:
            columns |= {name: layout.pack_column(content) for name, content in pack_endings(chunk.endings).items()}
        for name, texts in (("kinds", chunk.kinds), ("objects", chunk.objects), ("names", chunk.names)):
            if texts:
                columns[name] = layout.pack_column(b"".join(map(layout.pack_text, texts)))
        for name, column in columns.items():
            if column[0] > layout.COLUMN_BYTES_MAX:
                raise UsageError(
                    f"steps {chunk.first_step} to {chunk.first_step + chunk.steps} have {column[0]} bytes of {name}; "
                    f"a recording holds at most {layout.COLUMN_BYTES_MAX} in one chunk: record smaller effect results"
                )
        content["columns"] = columns
        payload = self.in_proportion(chunk, content)
        touched = objects_touched(chunk.events)
        objects = frozenset(touched) if len(touched) <= OBJECTS_LISTED_MAX else None
        self.chunks.append(
            ChunkEntry(
                self.position, chunk.first_step, chunk.steps, start, chunk.digest, objects, "runnable" in columns
            )
        )
        self.append_frame(layout.CHUNK, payload)
        self.steps += chunk.steps

    def save_open_chunk(self, chunk: Chunk) -> None:
        """Write a chunk that will grow yet; the next writing takes its place. For files of our own."""
        position, steps, proportions, chunks = self.position, self.steps, copy(self.proportions), len(self.chunks)
        try:
            self.write_chunk(chunk)
        finally:
            self.position, self.steps, self.proportions = position, steps, proportions
            del self.chunks[chunks:]
            self.has_open_chunk = True

    def in_proportion(self, chunk: Chunk, content: dict[str, Any]) -> bytes:
        """The chunk's frame; with columns as they are where their compressed form says too much in too few bytes."""
        definitions = len(chunk.tasks) + len(chunk.kinds) + len(chunk.objects) + len(chunk.names)
        for is_last in (False, True):
            payload = layout.pack_map(content)
            size = self.position + layout.HEAD_BYTES + len(payload)
            try:
                self.proportions.add(chunk.steps, content["columns"], len(payload), size, definitions)
            except layout.Malformed as error:
                if is_last:
                    raise UsageError(
                        f"steps {chunk.first_step} to {chunk.first_step + chunk.steps}: {error}; "
                        "start fewer tasks in one step, or record smaller effect results"
                    ) from error
                content["columns"] = {
                    name: [column[0], layout.unpack_column(column)] for name, column in content["columns"].items()
                }
            else:
                break
        return payload

    def write_times(self, chunk: Chunk, content: dict[str, Any], columns: dict[str, layout.Column]) -> float:
        """Fill in ``start`` and the column of times; the start in seconds as a reader will see it.

        A chunk falls back to exact seconds where ticks cannot say the time: past 2**51 ticks, or backwards.
        """
        content["times"] = len(chunk.times)
        if not self.exact_times:
            start = array("d", (chunk.start_time,))
            first = layout.ticks_of(start, 0, self.ticks_per_second)
            ticks = None if first is None else layout.ticks_of(chunk.times, first[0], self.ticks_per_second)
            if first is not None and ticks is not None:
                content["start"] = first[0]
                if ticks:
                    columns["ticks"] = layout.pack_planes(ticks)
                return first[0] / self.ticks_per_second
        content["start"] = float(chunk.start_time)
        if chunk.times:
            columns["seconds"] = layout.pack_planes(array("Q", chunk.times.tobytes()))
        return chunk.start_time

    def close(self, end: End) -> None:
        """Write the end frame, the index and the trailer, and close the file if this `Writer` opened it."""
        if self.closed:
            return
        if end.steps != self.steps:
            raise UsageError(f"the end says {end.steps} steps, but {self.steps} were written: close the journal first")
        content = {
            "steps": end.steps,
            "virtual_time": float(end.virtual_time),
            "digest": end.digest,
            "outcome": end.outcome,
            "error_type": shortened(end.error_type),
            "error_text": shortened(end.error_text),
            "counts": dict(end.counts),
            "header": self.header_tie,
        }
        payload, read = pack_checked(content, layout.END_BYTES_MAX, "the end of a recording")
        self.append_frame(layout.END, payload)
        index_position = self.position
        positions = differences([entry.position for entry in self.chunks])
        steps = differences([entry.first_step for entry in self.chunks])
        starts = array("d", [entry.start_time for entry in self.chunks])
        index = {
            "chunks": len(self.chunks),
            "positions": layout.pack_column(layout.pack_varints(positions)),
            "first_steps": layout.pack_column(layout.pack_varints(steps)),
            "starts": layout.pack_column(layout.little_endian(starts).tobytes()),
            "objects": layout.pack_column(b"".join(pack_objects(entry.objects) for entry in self.chunks)),
            "header": self.header_tie,
        }
        self.append_frame(layout.INDEX, layout.pack_map(index))
        self.append(layout.pack_trailer(index_position))
        del read["header"]
        self.end = End(**read)
        self.abandon()

    def contents(self) -> Contents | None:
        """What a reader would find on opening the closed file; None of an abandoned one, which it has to look at."""
        if self.end is None:
            return None
        return Contents((layout.MAJOR, layout.MINOR), self.header, self.chunks, self.end, whole=True)

    def abandon(self) -> None:
        """Stop without an end: what was written stays readable, as a truncated recording."""
        self.closed = True
        if self.owned:
            self.file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.closed:
            self.abandon()


def pack_checked(content: dict[str, Any], bytes_max: int, what: str) -> tuple[bytes, dict[str, Any]]:
    """``content`` in msgpack and as read back, refused with a `UsageError` if a reader would refuse it."""
    try:
        packed = layout.pack_map(content)
        read = layout.unpack_map(packed, entries_max=4096, array_entries_max=4096)
    except (TypeError, ValueError, OverflowError, layout.Malformed) as error:
        raise UsageError(
            f"{what} takes plain values only (text, numbers, lists, maps with text keys): {error}"
        ) from error
    if len(packed) > bytes_max:
        raise UsageError(f"{what} has {len(packed)} bytes; at most {bytes_max} fit: shorten the arguments or the extra")
    return packed, read


def differences(numbers: Sequence[int]) -> list[int]:
    """Of each number from the one before, the first from 0."""
    return [after - before for before, after in zip((0, *numbers), numbers, strict=False)]


def pack_objects(numbers: frozenset[int] | None) -> bytes:
    """Count plus one, then differences; a single 0 stands for "not listed"."""
    if numbers is None:
        return b"\0"
    return layout.pack_varints([len(numbers) + 1, *differences(sorted(numbers))])


def shortened(text: str | None) -> str | None:
    """At most `TEXT_CHARACTERS_MAX` characters, of valid UTF-8."""
    if text is None:
        return None
    return text[:TEXT_CHARACTERS_MAX].encode("utf-8", "replace").decode()
