"""A recording, opened: its header and end at once, its steps when asked for.

Opening checks the whole file but keeps only a table of its chunks; a chunk is inflated when a step in it is wanted,
and the last few stay. To name the task of a step the runnable set before it must be known. A chunk says the set before
its first step, so a visit to any step, or to a time, passes over steps of one chunk only. Chunks of older versions, and
those that begin with very many runnable tasks, do not say it: there the first visit to a step far in costs a pass over
the chunks back to the last that does (about half a second per million steps); the sets met on the way are kept, thinned
out when they grow, and later visits start from the nearest.
"""

from __future__ import annotations

import io
import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detrun_recorder import format as layout
from detrun_recorder.contents import ChunkEntry, Contents, End
from detrun_recorder.format import DamagedRecordingError, Malformed
from detrun_recorder.proportions import definitions_max
from detrun_recorder.reader import (
    BytesSource,
    FileSource,
    Source,
    chunk_columns,
    definitions_length,
    endings_of,
    read_contents,
    unpack_chunk,
    unpack_definitions,
)
from detrun_recorder.shared_files import write_whole
from detrun_recorder.writer import Writer
from detrun_scheduler.errors import UsageError
from detrun_scheduler.journal import Chunk
from detrun_scheduler.visible import visible_line

if TYPE_CHECKING:  # what only reads steps is not needed to record
    from detrun_recorder.steps import Step, Tables

CHUNKS_KEPT = 4
ENDINGS_SINCE = (2, 2)
RUNNABLE_NUMBERS_KEPT = 1 << 20  # 8 MB of runnable sets


def open_recording(source: str | os.PathLike[str] | bytes) -> Recording:
    """Open the recording at a path, or in bytes.

    Raises:
        RecordingFormatError: there is no such file, it is not a recording, it is damaged, or it needs a newer detrun.
        UsageError: ``source`` is neither a path nor bytes.
    """
    return _opened(source, None)


def recording_of(writer: Writer, source: str | os.PathLike[str] | bytes) -> Recording:
    """The recording that ``writer`` has written to ``source``, which is read only if it was abandoned.

    Raises:
        RecordingFormatError: the file is gone; or it was abandoned, and `open_recording` refuses it.
    """
    return _opened(source, writer.contents())


def _opened(source: str | os.PathLike[str] | bytes, contents: Contents | None) -> Recording:
    if isinstance(source, bytes | bytearray | memoryview):
        return Recording(BytesSource(bytes(source)), contents=contents)
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            f"a recording is a Recording, a path, or the bytes of a file, not {type(source).__name__}; "
            "of a Run, pass run.recording"
        )
    return Recording(FileSource(source), Path(source), contents)


class Recording:
    """What one run decided. Make one with `open_recording` or `Recording.from_chunks`.

    Attributes:
        header: what the writer said about the run; unknown keys are kept.
        end: how the run ended; None if the recording is truncated.
        truncated: the run was stopped, or the file cut, before the end was written: the steps are a prefix.
        whole: the file is complete to its last byte. False also if only the index after the end is missing.
        path: where it was opened from, or None.
    """

    def __init__(self, source: Source, path: Path | None = None, contents: Contents | None = None) -> None:
        if contents is None:
            contents = read_contents(source)
        self.path = path
        self.header: dict[str, Any] = contents.header
        self.end: End | None = contents.end
        self.truncated = contents.end is None
        self.whole = contents.whole
        self.version = contents.version
        self.source = source
        self.entries: list[ChunkEntry] = contents.chunks
        self._tables: Tables | None = None
        self._kept: dict[int, Chunk] = {}  # in order of last use
        # By chunk: the set before its first step, where the chunk does not say it.
        self._runnable: dict[int, array[int]] = {0: array("Q", (0,))}

    @classmethod
    def from_chunks(
        cls, header: Mapping[str, Any], chunks: list[Chunk], end: End | None = None, *, exact_times: bool = False
    ) -> Recording:
        """A recording in memory; without ``end`` it is a truncated one."""
        buffer = io.BytesIO()
        writer = Writer(buffer, header, exact_times=exact_times)
        for chunk in chunks:
            writer.write_chunk(chunk)
        if end is not None:
            writer.close(end)
        return cls(BytesSource(buffer.getvalue()), contents=writer.contents())

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        return self.source.read(0, self.source.size)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file's bytes to ``path``. They appear there whole or not at all."""
        write_whole(path, (self.source.read(position, 1 << 20) for position in range(0, self.source.size, 1 << 20)))

    def __repr__(self) -> str:
        cut = ", truncated" if self.truncated else ""
        return (
            f"<Recording of {visible_line(self.target or 'a run')}: {self.steps} steps, {self.virtual_time:g} s{cut}>"
        )

    # The run as a whole.

    @property
    def steps(self) -> int:
        """Steps recorded."""
        return self.entries[-1].first_step + self.entries[-1].steps if self.entries else 0

    @property
    def digest(self) -> bytes:
        """Of the run up to the last recorded step; empty if none was."""
        if self.end is not None:
            return self.end.digest
        return self.entries[-1].digest if self.entries else b""

    @property
    def virtual_time(self) -> float:
        """Virtual seconds at the end, or after the last recorded step."""
        if self.end is not None:
            return self.end.virtual_time
        if not self.entries:
            return 0.0
        last = self.chunk(len(self.entries) - 1)
        return last.times[-1] if last.times else last.start_time

    @property
    def time_quantum(self) -> float:
        """Recorded times are within half of this of the run's own; 0.0: they are the run's own."""
        return 0.0 if self.header.get("exact_times") is True else 1 / self.header["ticks_per_second"]

    @property
    def seed(self) -> int | None:
        """The run's seed."""
        value = self.header.get("seed")
        if isinstance(value, str) and len(value) <= 1000 and value.removeprefix("-").isdecimal():
            return int(value)
        return value if type(value) is int else None

    @property
    def target(self) -> str | None:
        """What was run, ``module:function`` or ``path.py:function``."""
        value = self.header.get("target")
        return value if isinstance(value, str) else None

    @property
    def fault_lengths(self) -> dict[str, float]:
        """Planned faults that were left out of the run (0), or lasted a share of their time, by name."""
        extra = self.header.get("extra")
        found = extra.get("fault_lengths") if isinstance(extra, dict) else None
        if not isinstance(found, dict):
            return {}
        shares = {name: share for name, share in found.items() if isinstance(share, int | float)}
        return {name: float(share) for name, share in shares.items() if 0 <= share <= 1}

    @property
    def strategy(self) -> str | None:
        """The strategy that chose."""
        value = self.header.get("strategy")
        return value if isinstance(value, str) else None

    # Definitions.

    @property
    def tables(self) -> Tables:
        """All definitions, read on first use."""
        if self._tables is None:
            from detrun_recorder.steps import Tables

            tables = Tables()
            most = definitions_max(self.source.size)
            endings_most = 2 * most  # a task ends once
            room = layout.DEFINITIONS_BYTES_FREE + layout.DEFINITIONS_RATIO_MAX * self.source.size
            for entry in self.entries:
                try:
                    columns = chunk_columns(self.source, entry)["columns"]
                    room -= definitions_length(columns)
                    if room < 0:
                        raise Malformed(
                            "the definitions inflate to more than the format allows for a file of this size"
                        )
                    tasks, kinds, objects, names = unpack_definitions(columns, most)
                    most -= len(tasks) + len(kinds) + len(objects) + len(names)
                    if "spawns" in columns:
                        room -= sum(len(path) for _, _, path in tasks)  # longer than what says them
                    endings = endings_of(columns, endings_most)
                    endings_most -= len(endings)
                except Malformed as error:
                    raise DamagedRecordingError(self.source.name, entry.position, str(error)) from error
                tables.tasks.update((number, (parent, path)) for number, parent, path in tasks)
                tables.endings.update(endings)
                tables.kinds += kinds
                tables.objects += objects
                tables.names += names
            self._tables = tables
        return self._tables

    @property
    def tasks(self) -> Mapping[int, tuple[int, str]]:
        """For each task number: the parent's number (-1: none) and the path."""
        return self.tables.tasks

    @property
    def endings(self) -> Mapping[int, str] | None:
        """How tasks ended that did not return, by number: ``cancelled``, ``killed`` or ``failed: TYPE``.

        None if the file is older than format 2.2, which does not say: there a step that ``failed`` may be a
        cancellation.
        """
        return self.tables.endings if self.version >= ENDINGS_SINCE else None

    @property
    def objects(self) -> list[str]:
        """Labels of detrun's objects, by number."""
        return self.tables.objects

    @property
    def names(self) -> list[str]:
        """Names of effects, observations and faults, by number."""
        return self.tables.names

    # Chunks and steps.

    def chunk(self, index: int) -> Chunk:
        """The chunk with this index; not to be changed."""
        chunk = self._kept.pop(index, None)
        if chunk is None:
            chunk = unpack_chunk(self.source, self.entries[index], self.header["ticks_per_second"])
            if len(self._kept) >= CHUNKS_KEPT:
                del self._kept[next(iter(self._kept))]
        self._kept[index] = chunk
        return chunk

    def chunks(self) -> Iterator[Chunk]:
        """The chunks in order, read one at a time."""
        for index in range(len(self.entries)):
            yield self.chunk(index)

    def iter_steps(self, start: int = 0, stop: int | None = None) -> Iterator[Step]:
        """The steps ``start`` up to, not including, ``stop``; about 2 µs each."""
        from detrun_recorder.steps import Decoder, actions_after

        stop = self.steps if stop is None else min(stop, self.steps)
        if start < 0:
            raise UsageError(f"step {start} does not exist; steps count from 0")
        if start >= stop:
            return
        index = self.chunk_of_step(start)
        runnable = self.runnable_before(index)
        decoder = Decoder(self.tables, runnable)
        begin = start - self.entries[index].first_step
        if begin == 0 and index > 0:
            decoder.actions = actions_after(self.chunk(index - 1))
        while index < len(self.entries) and self.entries[index].first_step < stop:
            chunk = self.chunk(index)
            try:
                if chunk.runnable is not None and list(chunk.runnable) != runnable:
                    raise Malformed("the runnable set that a chunk says is not the one after the chunk before")
                for step in decoder.steps(chunk, begin):
                    if step.index >= stop:
                        return
                    yield step
            except Malformed as error:
                raise self.damaged(index, error) from error
            index, begin = index + 1, 0
            self.keep_runnable(index, runnable)

    def unfinished_step(self) -> tuple[int, str] | None:
        """Number and path of the task in whose step the run ended, None if its last step came to an end.

        A deadlock while a task waits for a thread leaves such a step behind (see `steps`).
        """
        if not self.entries or self.end is None or self.end.outcome == "ok":
            return None
        from detrun_recorder.steps import begun_after

        last = len(self.entries) - 1
        runnable = self.runnable_before(last)
        try:
            task = begun_after(self.chunk(last), runnable)
        except Malformed as error:
            raise self.damaged(last, error) from error
        return None if task is None else (task, self.tables.path(task))

    def step(self, index: int) -> Step:
        """Step number ``index``; negative counts from the end."""
        number = index + self.steps if index < 0 else index
        if not 0 <= number < self.steps:
            raise UsageError(f"there is no step {index}: the recording has {self.steps} steps, from 0")
        return next(self.iter_steps(number, number + 1))

    def at_time(self, time: float) -> Step:
        """The first step that ran at virtual ``time`` or later; the last step if none did."""
        from detrun_recorder.steps import step_at_time

        if not self.steps:
            raise UsageError("the recording has no steps")
        # The chunk before the first that starts at `time` or later may hold the step; else the next one does.
        first = max(bisect_left(self.entries, time, key=lambda entry: entry.start_time) - 1, 0)
        for index in range(first, len(self.entries)):
            try:
                offset = step_at_time(self.chunk(index), self.runnable_before(index), time)
            except Malformed as error:
                raise self.damaged(index, error) from error
            if offset is not None:
                return self.step(self.entries[index].first_step + offset)
        return self.step(-1)

    def object_steps(self, number: int) -> Iterator[Step]:
        """The steps with an operation on object ``number``, or a message through it.

        Only chunks that the index lists for the object are decoded; without an index, all are.
        """
        if not 0 <= number < len(self.objects):
            raise UsageError(f"there is no object {number}: the recording has {len(self.objects)} objects, from 0")
        kinds = ("operation", "send", "receive")
        for entry in self.entries:
            if entry.objects is None or number in entry.objects:
                for step in self.iter_steps(entry.first_step, entry.first_step + entry.steps):
                    if any(event.number == number and event.kind in kinds for event in step.events):
                        yield step

    def task_steps(self, number: int) -> Iterator[Step]:
        """The steps of task ``number``, from the chunk that defines it on until it ends."""
        from detrun_recorder.steps import ENDED

        if number not in self.tasks:
            raise UsageError(f"there is no task {number}; `tasks` lists those of the recording")
        first = next(at for at, chunk in enumerate(self.chunks()) if any(task[0] == number for task in chunk.tasks))
        for step in self.iter_steps(self.entries[first].first_step):
            if step.task == number:
                yield step
                if step.outcome in ENDED:
                    return

    def chunk_of_step(self, step: int) -> int:
        """Index of the chunk that holds ``step``."""
        return bisect_right(self.entries, step, key=lambda entry: entry.first_step) - 1

    def runnable_before(self, index: int) -> list[int]:
        """Numbers of the runnable tasks before chunk ``index``, ascending."""
        from detrun_recorder.steps import advance

        near = index
        while near not in self._runnable and not self.entries[near].says_runnable:
            near -= 1
        said = self.chunk(near).runnable if self.entries[near].says_runnable else None
        runnable = list(self._runnable[near] if said is None else said)
        for at in range(near, index):
            try:
                advance(self.chunk(at), runnable)
            except Malformed as error:
                raise self.damaged(at, error) from error
            self.keep_runnable(at + 1, runnable)
        return runnable

    def keep_runnable(self, index: int, runnable: list[int]) -> None:
        """Remember the set before chunk ``index``; past the limit every other set is forgotten."""
        if index == len(self.entries) or self.entries[index].says_runnable:
            return
        self._runnable[index] = array("Q", runnable)
        while len(self._runnable) > 2 and sum(map(len, self._runnable.values())) > RUNNABLE_NUMBERS_KEPT:
            for known in sorted(self._runnable)[1::2]:
                del self._runnable[known]

    def damaged(self, index: int, error: Malformed) -> DamagedRecordingError:
        """What to raise for a chunk that breaks the rules."""
        return DamagedRecordingError(self.source.name, self.entries[index].position, str(error))
