"""Truncated, damaged and hostile files: a prefix or a clear refusal, in bounded memory, never a wrong answer."""

from __future__ import annotations

import io
import random
import tracemalloc
import zlib
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun_recorder import format as layout
from detrun_recorder import proportions
from detrun_recorder.format import DamagedRecordingError
from detrun_recorder.header import describe_run
from detrun_recorder.recording import Recording, open_recording
from detrun_recorder.writer import Writer
from detrun_scheduler.errors import RecordingFormatError
from detrun_scheduler.journal import Chunk
from detrun_scheduler.visible import visible
from tests.recorder import independent_reader
from tests.recorder.small_files import KINDS, PARTS, RUN, SMALL, STEPS, assembled, frames


def read_everything(content: bytes) -> Recording:
    """Everything that a program may ask of a recording."""
    recording = open_recording(content)
    assert list(recording.iter_steps()) == [recording.step(index) for index in range(recording.steps)]
    for number in range(min(len(recording.objects), 2)):
        list(recording.object_steps(number))
    if recording.steps:
        recording.at_time(1.0)
    assert f"{recording.steps} steps, {recording.virtual_time:g} s" in repr(recording)
    assert recording.seed is None or isinstance(recording.seed, int)
    return recording


def test_the_parts_reassemble_to_the_file() -> None:
    assert assembled(PARTS) == SMALL
    assert [layout.HEADER, *[layout.CHUNK] * len(RUN.chunks), layout.END, layout.INDEX] == KINDS


def test_a_file_cut_at_any_byte_is_a_prefix_or_is_refused() -> None:
    positions = [position for position, _, _ in frames(SMALL)]
    chunk_ends = [position for position, kind in zip(positions[1:], KINDS, strict=False) if kind == layout.CHUNK]
    end_whole, header_whole = positions[-1], positions[1]
    for size in range(len(SMALL)):
        if size < header_whole:
            with pytest.raises(RecordingFormatError, match=r"empty|ends after|truncated inside its header"):
                open_recording(SMALL[:size])
            continue
        recording = open_recording(SMALL[:size])
        whole = sum(end <= size for end in chunk_ends)
        steps = sum(chunk.steps for chunk in RUN.chunks[:whole])
        assert (recording.steps, recording.whole) == (steps, False)
        assert recording.truncated == (recording.end is None) == (size < end_whole)
        assert list(recording.iter_steps()) == STEPS[:steps]
        if size in positions:
            assert len(independent_reader.read(SMALL[:size])["steps"]) == steps
        assert recording.digest == (RUN.chunks[whole - 1].digest if whole else b"")


def test_every_single_changed_byte_is_noticed_when_the_file_is_opened() -> None:
    """CRC-32 notices every burst of up to 32 bits, so none of these may pass: no false-alarm rate to state."""
    for position in range(len(SMALL)):
        for pattern in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF, 0x55):
            damaged = bytearray(SMALL)
            damaged[position] ^= pattern
            with pytest.raises(RecordingFormatError):
                open_recording(bytes(damaged))


@pytest.mark.parametrize("count", [1, 4, 13, 500])
def test_bytes_after_the_end_are_damage(count: int) -> None:
    with pytest.raises(DamagedRecordingError, match="bytes follow the end") as caught:
        open_recording(SMALL + bytes(count))
    assert caught.value.offset == len(SMALL)


@given(st.integers(0, len(SMALL) - 1), st.integers(1, 50))
def test_with_bytes_missing_in_the_middle_a_file_is_refused_or_shows_whole_chunks_only(
    position: int, count: int
) -> None:
    """Inside a last frame that the rest of the file is too short for, nothing can be checked, and nothing is shown."""
    try:
        recording = open_recording(SMALL[:position] + SMALL[position + count :])
    except RecordingFormatError:
        return
    assert not recording.whole
    assert list(recording.iter_steps()) == STEPS[: recording.steps]


def test_chunks_that_are_swapped_dropped_or_repeated_are_damage() -> None:
    header, first, second, *rest = PARTS
    for parts in ([header, second, first, *rest], [header, second, *rest], [header, first, first, second, *rest]):
        with pytest.raises(DamagedRecordingError, match="begins at step"):
            open_recording(assembled(parts))
    spliced = bytearray(SMALL)
    (_, _, _), (start, _, one), (other, _, two), *_ = frames(SMALL)
    spliced[start : other + layout.HEAD_BYTES + len(two)] = (
        SMALL[other : other + layout.HEAD_BYTES + len(two)] + SMALL[start : start + layout.HEAD_BYTES + len(one)]
    )
    with pytest.raises(DamagedRecordingError, match="checksum"):  # positions are part of it
        open_recording(bytes(spliced))


def test_the_error_names_the_file_the_byte_and_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "broken.detrun"
    position = frames(SMALL)[2][0]
    path.write_bytes(SMALL[: position + 20] + b"?" + SMALL[position + 21 :])
    with pytest.raises(DamagedRecordingError) as caught:
        open_recording(path)
    assert caught.value.offset == position
    assert str(caught.value).startswith(f"{path} is damaged: at byte {position}, the checksum of a frame does not hold")


def test_files_that_are_no_recordings_are_named_with_the_way_out(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty", tmp_path / "notes.txt"
    empty.write_bytes(b"")
    text.write_text("choices were made")
    for path, message in (
        (tmp_path / "missing.detrun", "there is no such file"),
        (tmp_path, "is a directory"),
        (empty, "is empty"),
        (text, "is not a detrun recording: it begins with b'choices '"),
        (Path("nul\0"), "cannot open"),
    ):
        with pytest.raises(RecordingFormatError, match=message) as caught:
            open_recording(path)
        assert visible(str(path)) in str(caught.value)


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.detrun"
    path.write_bytes(SMALL)
    recording = open_recording(path)
    path.write_bytes(SMALL[:200] + bytes(len(SMALL) - 200))
    with pytest.raises(DamagedRecordingError):
        list(recording.iter_steps())


def test_a_run_that_is_killed_leaves_every_chunk_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "run.detrun"
    writer = Writer(path, {})
    for count, chunk in enumerate(RUN.chunks):
        assert (
            open_recording(path).steps == 20 * count
        )  # three chunks, of 20, 20 and 10; another process sees it at once
        writer.write_chunk(chunk)
    writer.abandon()
    assert (open_recording(path).steps, open_recording(path).truncated) == (50, True)


# --- versions --------------------------------------------------------------------------------------------------------


def with_version(major: int, minor: int) -> bytes:
    preamble = layout.PREAMBLE.pack(layout.MAGIC, major, minor, 0)[:-4]
    return preamble + layout.CHECKSUM.pack(zlib.crc32(preamble)) + SMALL[layout.PREAMBLE.size :]


def test_a_newer_major_version_is_refused_with_the_way_out() -> None:
    with pytest.raises(RecordingFormatError, match=r"version 3\.1; this detrun reads up to 2\.x: install a newer"):
        open_recording(with_version(3, 1))
    with pytest.raises(RecordingFormatError, match="never existed"):
        open_recording(with_version(0, 1))


def test_what_a_newer_minor_version_may_add_is_ignored() -> None:
    parts = []
    for kind, payload in PARTS:
        content = msgpack.unpackb(payload)
        content["from the future"] = {"a": 1}
        if kind == layout.CHUNK:
            content["columns"]["also new"] = [3, b"abc"]
            parts.append((layout.SKIPPABLE | 5, b"a frame that may be skipped"))
        parts.append((kind, msgpack.packb(content)))
    header = parts.index(next(part for part in parts if part[0] == layout.HEADER))
    parts.insert(0, parts.pop(header))
    *body, end, _ = parts  # positions have moved, so the old index would be refused
    content = with_version(2, 9)[: layout.PREAMBLE.size] + assembled([*body, end])[layout.PREAMBLE.size :]
    recording = open_recording(content)
    assert recording.version == (2, 9)
    assert list(recording.iter_steps()) == STEPS
    with pytest.raises(DamagedRecordingError, match="kind 5 stands where none may"):
        open_recording(assembled([PARTS[0], (5, b""), *PARTS[1:]]))


# --- hostile files: every checksum holds -----------------------------------------------------------------------------


def column_of(content: bytes) -> list[Any]:
    return layout.pack_column(content)


def chunk_with(**changes: Any) -> bytes:
    """SMALL with its first chunk changed; the index is left out, since it would not agree."""
    content = msgpack.unpackb(PARTS[1][1])
    columns = changes.pop("columns", {})
    content.update(changes)
    content["columns"].update(columns)
    return assembled([PARTS[0], (layout.CHUNK, msgpack.packb(content))])


def bomb(length: int, byte: int = 0) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(bytes((byte,)) * length) + compressor.flush()


def million(number: int) -> tuple[int, bytes]:
    """A chunk of 2**20 schedule points in a kilobyte."""
    steps = layout.CHUNK_STEPS_MAX
    chunk = {"first_step": number * steps, "steps": steps, "start": 0, "times": 0, "digest": bytes(16)}
    return layout.CHUNK, msgpack.packb(chunk | {"columns": {"outcomes": [steps, bomb(steps)]}})


HEADER_OF = {"ticks_per_second": 10**6}
HOSTILE: dict[str, Callable[[], bytes]] = {
    "a frame of four gigabytes": lambda: layout.pack_preamble() + forged_head(layout.HEADER, 0xFFFF_FFFF),
    "a header nested a hundred thousand deep": lambda: assembled([(1, b"\x91" * 100_000)]),
    "a header of maps nested deep": lambda: assembled([(1, b"\x81\xa1a" * 1000 + b"\x01")]),
    "an array that claims four billion entries": lambda: assembled([(1, b"\x81\xa1a\xdd\xff\xff\xff\xff")]),
    "arrays that claim much, nested": lambda: assembled([(1, b"\x81\xa1a" + b"\xdc\x10\x00" * 300_000)]),
    "text that is not UTF-8": lambda: assembled([(1, b"\x81\xa1a\xa2\xff\xfe")]),
    "an extension type": lambda: assembled([(1, b"\x81\xa1a\xd4\x05\x00")]),
    "a msgpack timestamp": lambda: assembled([(1, b"\x81\xa1a\xd6\xff\x00\x00\x00\x00")]),
    "keys that are numbers": lambda: assembled([(1, b"\x81\x01\x01")]),
    "a header that is a list": lambda: assembled([(1, b"\x90")]),
    "a header with bytes after it": lambda: assembled([(1, msgpack.packb(HEADER_OF) + b"\x00")]),
    "a header without a unit of time": lambda: assembled([(1, b"\x80")]),
    "a unit of time of zero": lambda: assembled([(1, msgpack.packb({"ticks_per_second": 0}))]),
    "a header that is too long": lambda: assembled([(1, msgpack.packb({**HEADER_OF, "x": "y" * (1 << 20)}))]),
    "a chunk before the header": lambda: assembled(PARTS[1:]),
    "two headers": lambda: assembled([PARTS[0], *PARTS]),
    "an end before the last chunk": lambda: assembled([PARTS[0], PARTS[-2], *PARTS[1:]]),
    "two ends": lambda: assembled([*PARTS[:-1], PARTS[-2], PARTS[-1]]),
    "an index without an end": lambda: assembled([*PARTS[:-2], PARTS[-1]]),
    "an index that is out by one frame": lambda: assembled([PARTS[0], (0x85, b""), *PARTS[1:]]),
    "more steps than outcomes": lambda: chunk_with(steps=21),
    "a billion steps": lambda: chunk_with(steps=1 << 30),
    "a first step that is not the first": lambda: chunk_with(first_step=1),
    "a start that is not finite": lambda: chunk_with(start=float("nan")),
    "a start that is text": lambda: chunk_with(start="0"),
    "a digest of 15 bytes": lambda: chunk_with(digest=bytes(15)),
    "more times than bytes": lambda: chunk_with(times=10**9),
    "times that are not a multiple": lambda: chunk_with(times=2, columns={"ticks": [3, b"abc"]}),
    "no times at all": lambda: chunk_with(times=0),
    "a column that is a number": lambda: chunk_with(columns={"events": 5}),
    "a column longer than it claims": lambda: chunk_with(columns={"events": [1, b"\0\0"]}),
    "a column that inflates to more than it claims": lambda: chunk_with(columns={"events": [100_000, bomb(1 << 26)]}),
    "a column that inflates to less than it claims": lambda: chunk_with(columns={"events": [1 << 26, bomb(1000)]}),
    "a column with bytes after its end": lambda: chunk_with(columns={"events": [900, bomb(900) + b"x"]}),
    "a column that is no deflate stream": lambda: chunk_with(columns={"events": [100, b"\xff" * 50]}),
    "outcomes that inflate to 64 megabytes": lambda: chunk_with(columns={"outcomes": [1 << 26, bomb(1 << 26)]}),
    "choices that inflate to 64 megabytes": lambda: chunk_with(columns={"choices": [1 << 26, bomb(1 << 26)]}),
    "a column of a gigabyte": lambda: chunk_with(columns={"events": [1 << 30, bomb(1 << 20)]}),
    "a choice out of range": lambda: chunk_with(columns={"choices": column_of(b"\x63" * 20)}),
    "too few choices": lambda: chunk_with(columns={"choices": column_of(b"")}),
    "a choice that never ends": lambda: chunk_with(columns={"choices": column_of(b"\xff" * 20)}),
    "a choice cut off": lambda: chunk_with(columns={"choices": column_of(b"\x80")}),
    "nobody runnable": lambda: chunk_with(columns={"outcomes": column_of(b"\1" * 20), "choices": column_of(b"")}),
    "an unknown event": lambda: chunk_with(columns={"events": column_of(b"\x63\0" * 40)}),
    "events that end early": lambda: chunk_with(columns={"events": column_of(b"\2\1")}),
    "a task that is not defined": lambda: chunk_with(columns={"events": column_of(b"\3\x63\0" * 40)}),
    "an object that is not defined": lambda: chunk_with(columns={"events": column_of(b"\7\x63\0" * 40)}),
    "a name that is not defined": lambda: chunk_with(columns={"events": column_of(b"\x09\x63\0" * 40)}),
    "a path that reaches past its column": lambda: chunk_with(columns={"tasks": column_of(b"\0\0\x7fmain")}),
    "a path that is not UTF-8": lambda: chunk_with(columns={"tasks": column_of(b"\0\0\2\xff\xfe")}),
    "a stem that is not listed": lambda: chunk_with(columns={"spawns": column_of(b"\0\0\7\0\0")}),
    "a leaf that is not listed": lambda: chunk_with(columns={"spawns": column_of(b"\0\0\0\7\0")}),
    "a place before the first": lambda: chunk_with(columns={"spawns": column_of(b"\0\0\0\0\1")}),
    "a task cut off": lambda: chunk_with(columns={"spawns": column_of(b"\0\0\0")}),
    "more spawned than defined": lambda: chunk_with(columns={"events": column_of(b"\x0b\0" * 40)}),
    "sixty-four million draws in one step": lambda: chunk_with(columns={"events": [1 << 26, bomb(1 << 26, 5)]}),
    "sixty-four million times": lambda: chunk_with(
        times=1 << 26, columns={"events": [1 << 26, bomb(1 << 26, 1)], "ticks": [1 << 26, bomb(1 << 26)]}
    ),
    "sixty-four million empty payloads": lambda: chunk_with(columns={"payload_lengths": [1 << 26, bomb(1 << 26)]}),
    "four chunks of a million steps": lambda: assembled([PARTS[0], *[million(at) for at in range(4)]]),
    "payload lengths that do not add up": lambda: chunk_with(columns={"payload_lengths": column_of(b"\x7f" * 9)}),
}


def forged_head(kind: int, length: int) -> bytes:
    """A frame's head that claims ``length``, as the first frame."""
    head = layout.HEAD.pack(kind, length, 0)
    return head + layout.CHECKSUM.pack(zlib.crc32(layout.POSITION.pack(layout.PREAMBLE.size) + head))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_bounded_memory(name: str) -> None:
    content = HOSTILE[name]()
    tracemalloc.start()
    try:
        with pytest.raises(RecordingFormatError):
            read_everything(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 48 << 20


@pytest.mark.parametrize(
    ("name", "more"), [("objects", {}), ("names", {}), ("kinds", {}), ("tasks", {}), ("spawns", {"leaves": [1, b"\0"]})]
)
def test_definitions_of_nothing_are_refused_by_their_number(
    name: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four million empty labels in four kilobytes, and the like."""
    content = chunk_with(columns={name: [1 << 22, bomb(1 << 22)], **more})
    monkeypatch.setattr(proportions, "DEFINITIONS_FREE", 1000)  # so that the test is quick
    tracemalloc.start()
    try:
        for read in (lambda recording: recording.tables, lambda recording: recording.chunk(0)):
            with pytest.raises(DamagedRecordingError, match=r"there are more than \d+ \w+ in a file of this size"):
                read(open_recording(content))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_the_header_of_one_recording_on_the_body_of_another_is_refused() -> None:
    """Two processes that write to one path can leave such a file; the headers are equally long."""
    one, other = (
        Recording.from_chunks(describe_run(seed=seed, packages=()), RUN.chunks, RUN.end).to_bytes() for seed in (1, 2)
    )
    start = frames(one)[1][0]
    assert start == frames(other)[1][0]
    for end in (len(one), frames(one)[-2][0]):  # whole, and truncated before its end
        with pytest.raises(DamagedRecordingError, match="belongs to another header") as caught:
            open_recording(one[:start] + other[start:end])
        assert caught.value.offset == start
    for position, kind, _ in frames(one)[1:]:  # what comes late is of another run
        with pytest.raises(DamagedRecordingError, match="belongs to another header"):
            open_recording(one[:position] + other[position:])
        assert kind in (layout.CHUNK, layout.END, layout.INDEX)


def test_frames_of_before_2_1_need_not_say_their_header_but_must_not_say_another() -> None:
    untied = [
        (kind, msgpack.packb({k: v for k, v in msgpack.unpackb(part).items() if k != "header"}))
        for kind, part in PARTS[:2]
    ]
    content = layout.pack_preamble()
    for kind, payload in untied:
        content += layout.pack_frame(len(content), kind, payload)
    with pytest.raises(DamagedRecordingError, match="belongs to another header"):
        open_recording(content)
    old = with_version(2, 0)[: layout.PREAMBLE.size] + content[layout.PREAMBLE.size :]
    assert list(open_recording(old).iter_steps()) == STEPS[:20]


def test_a_run_that_says_much_in_few_bytes_is_stored_so_that_it_can_be_read() -> None:
    """One step with four million draws, and a million steps of nothing but schedule points."""
    draws = Chunk(
        0, 0.0, b"", b"\x80", b"\5" * (1 << 22) + b"\0", array("d"), [], [(0, -1, "main")], [], [], [], bytes(16)
    )
    points = replace(draws, first_step=1, outcomes=bytes(1 << 20), events=b"", tasks=[])
    more = replace(points, first_step=1 + (1 << 20))
    buffer = io.BytesIO()
    writer = Writer(buffer, {})
    for chunk in (draws, points, more):
        writer.write_chunk(chunk)
    recording = open_recording(buffer.getvalue())
    assert recording.chunk(0).events == draws.events
    assert recording.steps == 1 + 2 * (1 << 20)
    assert len(recording.to_bytes()) > 1 << 22  # the draws alone would have had four kilobytes


def test_definitions_that_inflate_beyond_all_measure_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk is within the limits of a chunk; together they are more than a file of this size may define."""
    texts = column_of(layout.pack_text("x" * 998) * 60)
    assert texts[0] == 60_000
    chunk = {"first_step": 0, "steps": 0, "start": 0, "times": 0, "digest": bytes(16), "columns": {"kinds": texts}}
    content = assembled([PARTS[0], *[(layout.CHUNK, msgpack.packb(chunk))] * 40])
    assert len(open_recording(content).tables.kinds) == 40 * 60
    assert 32 * len(content) < 40 * 60_000
    monkeypatch.setattr(layout, "DEFINITIONS_BYTES_FREE", 100_000)  # so that the test is quick
    with pytest.raises(DamagedRecordingError, match="inflate to more than the format allows"):
        open_recording(content).tables  # noqa: B018


def test_one_long_stem_under_many_tasks_is_refused_before_the_paths_fill_the_memory() -> None:
    """A few kilobytes that say a hundred gigabytes of paths."""
    stems, spawns = layout.pack_text("x" * (1 << 20)), b"\1\0\1\0\0" * 100_000
    columns = {"stems": column_of(stems), "leaves": column_of(layout.pack_text("y")), "spawns": column_of(spawns)}
    content = chunk_with(columns=columns)
    assert len(content) < 10_000
    tracemalloc.start()
    try:
        for read in (lambda recording: recording.tables, lambda recording: recording.chunk(0)):
            with pytest.raises(DamagedRecordingError, match="paths of a chunk's tasks have more than"):
                read(open_recording(content))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * layout.PATH_CHARACTERS_MAX


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.text(max_size=9),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=5,
)


@given(st.integers(0, len(PARTS) - 1), st.randoms(use_true_random=False), VALUES)
def test_a_wrong_value_anywhere_is_refused_or_harmless(part: int, choice: random.Random, value: Any) -> None:
    kind, payload = PARTS[part]
    content = msgpack.unpackb(payload)
    within = content["columns"] if kind == layout.CHUNK and choice.random() < 0.5 else content
    within[choice.choice(sorted(within))] = value
    parts = [*PARTS[:part], (kind, msgpack.packb(content)), *PARTS[part + 1 :]]
    if kind != layout.INDEX:
        parts.pop()
    try:
        read_everything(assembled(parts))
    except RecordingFormatError:
        return


@given(st.integers(1, len(RUN.chunks)), st.randoms(use_true_random=False))
def test_wrong_bytes_inside_a_column_are_refused_or_decode_to_some_run(part: int, choice: random.Random) -> None:
    content = msgpack.unpackb(PARTS[part][1])
    name = choice.choice(sorted(content["columns"]))
    column = bytearray(layout.unpack_column(content["columns"][name]))
    for _ in range(choice.randint(1, 3)):
        column[choice.randrange(len(column))] = choice.choice((0, 1, 2, 3, 127, 128, 255, choice.randrange(256)))
    content["columns"][name] = layout.pack_column(bytes(column))
    parts = [*PARTS[:part], (layout.CHUNK, msgpack.packb(content)), *PARTS[part + 1 : -2]]
    try:
        read_everything(assembled(parts))
    except RecordingFormatError:
        return


@given(
    st.lists(
        st.tuples(st.integers(0, len(SMALL)), st.integers(0, 40), st.integers(0, len(SMALL)), st.integers(0, 40)),
        min_size=1,
        max_size=4,
    )
)
def test_a_file_whose_pieces_are_moved_about_says_what_it_said_or_is_refused(edits: list[tuple[int, ...]]) -> None:
    """A piece of the file in place of another, up to four times; what opens is the file, or chunks it began with."""
    content = SMALL
    for place, length, taken_from, taken in edits:
        content = content[:place] + SMALL[taken_from : taken_from + taken] + content[place + length :]
    try:
        recording = read_everything(content)
    except RecordingFormatError:
        return
    assert list(recording.iter_steps()) == STEPS[: recording.steps]
    assert recording.whole == (content == SMALL)


@given(st.binary(max_size=200))
def test_bytes_at_random_are_refused(content: bytes) -> None:
    for prefix in (b"", layout.pack_preamble(), SMALL[: frames(SMALL)[0][0]]):
        with pytest.raises(RecordingFormatError):
            open_recording(prefix + content)
