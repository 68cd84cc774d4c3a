"""What a reader believes and what it refuses, one rule at a time; damage of all kinds is in `test_damage.py`."""

from __future__ import annotations

import struct
import zlib
from array import array
from pathlib import Path
from typing import Any

import msgpack
import pytest

from detrun_recorder import format as layout
from detrun_recorder.contents import ChunkEntry, End
from detrun_recorder.format import DamagedRecordingError, Malformed, pack_column, pack_planes, pack_text
from detrun_recorder.reader import (
    BytesSource,
    FileSource,
    Frame,
    check_tie,
    chunk_columns,
    definitions_length,
    endings_of,
    read_contents,
    read_end,
    read_entry,
    read_frame,
    read_header,
    read_index,
    read_trailer,
    read_version,
    tied_map,
    unpack_chunk,
    unpack_definitions,
    unpack_runnable,
    unpack_texts,
)
from detrun_scheduler.errors import RecordingFormatError
from tests.recorder.small_files import PARTS, RUN, SMALL, assembled, frames

POSITIONS = [position for position, _, _ in frames(SMALL)]
DIGEST = bytes(range(16))


def varints(*numbers: int) -> bytes:
    """Each below 128, so a byte for each."""
    return bytes(numbers)


# --- sources, frames, preamble ---------------------------------------------------------------------------------------


def test_bytes_are_read_from_memory_and_from_a_file_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.detrun"
    path.write_bytes(b"0123456789")
    for source in (BytesSource(b"0123456789"), FileSource(path)):
        assert (source.size, source.read(2, 3), source.read(8, 5)) == (10, b"234", b"89")
    assert BytesSource(b"").name == "<bytes>"
    assert FileSource(path).name == str(path)


def test_a_file_is_found_again_after_the_directory_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.detrun").write_bytes(b"0123")
    monkeypatch.chdir(tmp_path)
    source = FileSource("a.detrun")
    monkeypatch.chdir("/")
    assert (source.name, source.read(0, 2)) == ("a.detrun", b"01")


def test_what_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path, r"is a directory; give the path of a recording"),
        (tmp_path / "gone", "there is no such file; check the path"),
        (Path("nul\0"), "null"),
    ):
        with pytest.raises(RecordingFormatError, match=reason):
            FileSource(path)


def test_an_unreadable_file_is_refused_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FileSource, position: int, count: int) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.detrun").write_bytes(b"0123")
    monkeypatch.setattr(FileSource, "read", refuse)
    with pytest.raises(RecordingFormatError, match="Permission denied"):
        FileSource(tmp_path / "a.detrun")


def test_a_frame_ends_the_file_where_the_file_is_too_short_for_it() -> None:
    frame = layout.pack_frame(0, layout.HEADER, b"abc")
    assert read_frame(BytesSource(frame), 0) == Frame(0, layout.HEADER, b"abc")
    assert read_frame(BytesSource(frame + b"more"), 0) == Frame(0, layout.HEADER, b"abc")
    for size in range(len(frame)):
        assert read_frame(BytesSource(frame[:size]), 0) is None
    empty = layout.pack_frame(0, layout.HEADER, b"")
    assert read_frame(BytesSource(empty), 0) == Frame(0, layout.HEADER, b"")
    shrunk = BytesSource(frame[:-1])
    shrunk.size += 1  # it was as long when it was opened
    assert read_frame(shrunk, 0) is None


@pytest.mark.parametrize("place", range(layout.HEAD_BYTES + 3))
def test_a_frame_with_a_wrong_byte_is_refused(place: int) -> None:
    frame = bytearray(layout.pack_frame(0, layout.HEADER, b"abc"))
    frame[place] ^= 1
    with pytest.raises(DamagedRecordingError, match="checksum of a frame"):
        read_frame(BytesSource(bytes(frame)), 0)


@pytest.mark.parametrize(("more", "is_refused"), [(0, False), (1, True)])
def test_a_frame_has_a_length_that_it_may_not_claim(more: int, is_refused: bool) -> None:
    head = layout.HEAD.pack(layout.HEADER, layout.FRAME_BYTES_MAX + more, 0)
    source = BytesSource(head + layout.CHECKSUM.pack(zlib.crc32(layout.POSITION.pack(0) + head)))
    if is_refused:
        with pytest.raises(DamagedRecordingError, match="above the format's"):
            read_frame(source, 0)
    else:
        assert read_frame(source, 0) is None  # it may, and is cut off


def preamble(major: int, minor: int) -> bytes:
    unsigned = layout.PREAMBLE.pack(layout.MAGIC, major, minor, 0)[:-4]
    return unsigned + layout.CHECKSUM.pack(zlib.crc32(unsigned))


def test_a_preamble_says_a_version_that_this_reader_knows() -> None:
    for version in ((1, 0), (1, 7), (2, 2), (2, 99)):
        assert read_version(BytesSource(preamble(*version) + b"...")) == version
    for version, reason in (((3, 0), "install a newer detrun, one that reads format 3"), ((0, 9), "never existed")):
        with pytest.raises(RecordingFormatError, match=reason):
            read_version(BytesSource(preamble(*version)))


def test_a_preamble_that_is_none_is_refused_with_the_reason() -> None:
    whole = preamble(2, 2)
    for content, reason in (
        (b"", "is empty"),
        (b"choices were made", "is not a detrun recording"),
        (whole[:-1], "ends after 15 bytes"),
        (whole[:3], "ends after 3 bytes"),
    ):
        with pytest.raises(RecordingFormatError, match=reason):
            read_version(BytesSource(content))
    for place in range(8, 16):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        with pytest.raises(DamagedRecordingError, match="at byte 0, the checksum of the preamble"):
            read_version(BytesSource(bytes(damaged)))


# --- the whole file --------------------------------------------------------------------------------------------------


def test_a_whole_file_says_its_chunks_and_its_end() -> None:
    contents = read_contents(BytesSource(SMALL))
    assert [entry.position for entry in contents.chunks] == POSITIONS[1:-2]
    assert [(entry.first_step, entry.steps) for entry in contents.chunks] == [(0, 20), (20, 20), (40, 10)]
    assert [entry.digest for entry in contents.chunks] == [chunk.digest for chunk in RUN.chunks]
    assert (contents.version, contents.header["target"], contents.end) == ((2, 3), "a:b", RUN.end)
    assert contents.whole


@pytest.mark.parametrize(
    ("frames_left", "chunks", "ended"), [(1, 0, False), (2, 1, False), (4, 3, False), (5, 3, True), (6, 3, True)]
)
def test_a_file_that_ends_early_says_what_is_whole(frames_left: int, chunks: int, ended: bool) -> None:
    ends = [*POSITIONS, len(SMALL) - layout.TRAILER.size]
    for cut in (SMALL[: ends[frames_left]], SMALL[: ends[frames_left] + 5]):
        contents = read_contents(BytesSource(cut))
        assert (len(contents.chunks), contents.end is not None, contents.whole) == (chunks, ended, False)
    with pytest.raises(RecordingFormatError, match="truncated inside its header"):
        read_contents(BytesSource(SMALL[: POSITIONS[1] - 1]))


def test_frames_of_kinds_to_come_are_passed_over_where_they_say_that_they_may_be() -> None:
    header, *others = PARTS
    future = (layout.SKIPPABLE | 5, b"what is to come")
    read = read_contents(BytesSource(assembled([header, future, *others[:-1]])))
    assert (len(read.chunks), read.end) == (3, RUN.end)
    with pytest.raises(DamagedRecordingError, match="a frame of kind 5 stands where none may") as caught:
        read_contents(BytesSource(assembled([header, others[0], (5, b""), *others[1:]])))
    assert caught.value.offset == POSITIONS[2]


def test_a_file_has_its_frames_in_order() -> None:
    header, one, two, three, end, index = PARTS
    for parts in (
        [one],
        [header, header],
        [header, index],
        [header, one, two, three, end, end],
        [header, one, two, three, end, one],
        [header, one, three],
        [header, one, two, end],
    ):
        with pytest.raises(DamagedRecordingError):
            read_contents(BytesSource(assembled(parts)))


@pytest.mark.parametrize("place", range(1, 6))
def test_each_frame_that_belongs_to_another_header_is_refused(place: int) -> None:
    position, kind, payload = frames(SMALL)[place]
    other = payload.replace(layout.header_tie(PARTS[0][1]), bytes(layout.HEADER_TIE_BYTES))
    whole = SMALL[:position] + layout.pack_frame(position, kind, other)
    with pytest.raises(DamagedRecordingError, match="belongs to another header") as caught:
        read_contents(BytesSource(whole + SMALL[len(whole) :]))
    assert caught.value.offset == position


def test_a_chunk_that_claims_too_much_is_refused_when_the_file_is_opened() -> None:
    chunk = msgpack.unpackb(PARTS[1][1])
    chunk["columns"]["payload_lengths"] = [1 << 20, zlib.compress(b"")]
    with pytest.raises(DamagedRecordingError, match="lengths of payloads are too many"):
        read_contents(BytesSource(assembled([PARTS[0], (layout.CHUNK, msgpack.packb(chunk))])))


def test_a_chunk_that_another_writer_has_replaced_is_noticed() -> None:
    entry = read_contents(BytesSource(SMALL)).chunks[0]
    for position in (POSITIONS[0], len(SMALL)):  # another frame, and none
        with pytest.raises(DamagedRecordingError, match="a chunk is gone"):
            chunk_columns(BytesSource(SMALL), entry._replace(position=position))


# --- header, end, index, trailer -------------------------------------------------------------------------------------


def test_a_header_is_a_map_with_a_unit_of_time() -> None:
    for ticks in (1, 10**9):
        good = msgpack.packb({"ticks_per_second": ticks, **{f"key {n}": 0 for n in range(4095)}})
        assert read_header(Frame(0, layout.HEADER, good))["ticks_per_second"] == ticks
    for kind, content, reason in (
        (layout.CHUNK, {"ticks_per_second": 1}, "the first frame has kind 2"),
        (layout.HEADER, {"ticks_per_second": 0}, "'ticks_per_second' is 0"),
        (layout.HEADER, {"ticks_per_second": 10**9 + 1}, "ticks_per_second"),
        (layout.HEADER, {"ticks_per_second": 1} | {f"key {n}": 0 for n in range(4096)}, "does not decode"),
        (layout.HEADER, {"ticks_per_second": 1, "x": [0] * 4097}, "does not decode"),
    ):
        with pytest.raises(Malformed, match=reason):
            read_header(Frame(0, kind, msgpack.packb(content)))


def test_a_header_and_an_end_have_bytes_up_to_a_limit() -> None:
    def sized(size: int) -> bytes:
        empty = len(msgpack.packb({"ticks_per_second": 1, "x": b""}))
        return bytes(msgpack.packb({"ticks_per_second": 1, "x": bytes(size - empty - 3)}))  # bin32 for bin8

    fits, more = sized(layout.HEADER_BYTES_MAX), sized(layout.HEADER_BYTES_MAX + 1)
    assert len(fits) == layout.HEADER_BYTES_MAX
    read_header(Frame(0, layout.HEADER, fits))
    with pytest.raises(Malformed, match="above the format's 1048576"):
        read_header(Frame(0, layout.HEADER, more))
    assert tied_map(Frame(0, layout.END, b"\x81\xa1a\x01"), (1, 0), b"", 4) == {"a": 1}
    with pytest.raises(Malformed, match="the frame has 4 bytes"):
        tied_map(Frame(0, layout.END, b"\x81\xa1a\x01"), (1, 0), b"", 3)


def test_an_end_has_entries_up_to_a_limit() -> None:
    for entries, is_refused in ((4096, False), (4097, True)):
        frame = Frame(0, layout.END, msgpack.packb({f"key {n}": 0 for n in range(entries)}))
        if is_refused:
            with pytest.raises(Malformed, match="does not decode"):
                tied_map(frame, (1, 0), b"")
        else:
            assert len(tied_map(frame, (1, 0), b"")) == entries


@pytest.mark.parametrize(
    ("content", "version", "is_refused"),
    [
        ({"header": b"tie"}, (2, 1), False),
        ({"header": b"tie"}, (1, 0), False),
        ({"header": b"another"}, (2, 1), True),
        ({"header": b"another"}, (1, 0), True),
        ({}, (2, 0), False),
        ({}, (1, 9), False),
        ({}, (2, 1), True),
        ({}, (2, 2), True),
    ],
)
def test_a_frame_says_the_header_it_belongs_to_since_2_1(content: Any, version: Any, is_refused: bool) -> None:
    frame = Frame(0, layout.END, msgpack.packb(content))
    if is_refused:
        for refuse in (lambda: check_tie(content, version, b"tie"), lambda: tied_map(frame, version, b"tie")):
            with pytest.raises(Malformed, match="belongs to another header"):
                refuse()
    else:
        check_tie(content, version, b"tie")


CHUNK = {"steps": 20, "first_step": 7, "start": 1_500_000, "digest": DIGEST, "columns": {}}
PREVIOUS = ChunkEntry(0, 4, 3, 0.0, DIGEST, None)
UNIT = {"ticks_per_second": 10**6}


def test_an_entry_says_where_a_chunk_is_and_what_it_begins_with() -> None:
    assert read_entry(99, CHUNK, UNIT, PREVIOUS) == ChunkEntry(99, 7, 20, 1.5, DIGEST, None, False)
    first = CHUNK | {"first_step": 0, "start": 0, "columns": {"runnable": 1}, "steps": layout.CHUNK_STEPS_MAX}
    assert read_entry(9, first, UNIT, None) == ChunkEntry(9, 0, layout.CHUNK_STEPS_MAX, 0.0, DIGEST, None, True)
    assert read_entry(9, CHUNK | {"start": 2.25}, UNIT, PREVIOUS).start_time == 2.25
    far = PREVIOUS._replace(first_step=1 << 62, steps=0)
    assert read_entry(9, CHUNK | {"first_step": 1 << 62}, UNIT, far).first_step == 1 << 62
    with pytest.raises(Malformed, match="first_step"):
        read_entry(9, CHUNK | {"first_step": (1 << 62) + 1}, UNIT, far._replace(steps=1))
    last_tick = (1 << 51) - 1
    assert read_entry(9, CHUNK | {"start": last_tick}, UNIT, PREVIOUS).start_time == last_tick / 10**6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"steps": layout.CHUNK_STEPS_MAX + 1}, "steps"),
        ({"first_step": 6}, "a chunk begins at step 6, but the one before it ends at step 7"),
        ({"first_step": 8}, "begins at step 8"),
        ({"start": -1}, "neither ticks nor seconds"),
        ({"start": 1 << 51}, "neither ticks nor seconds"),
        ({"start": True}, "neither ticks nor seconds"),
        ({"start": "1"}, "neither ticks nor seconds"),
        ({"start": float("nan")}, "neither ticks nor seconds"),
        ({"start": float("inf")}, "neither ticks nor seconds"),
        ({"start": None}, "neither ticks nor seconds"),
        ({"digest": DIGEST + b"x"}, "no digest of 16 bytes"),
        ({"digest": DIGEST[1:]}, "no digest of 16 bytes"),
        ({"digest": "x" * 16}, "no digest of 16 bytes"),
        ({"columns": [1]}, "no map of columns"),
    ],
)
def test_an_entry_that_breaks_the_format_is_refused(change: Any, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read_entry(99, CHUNK | change, UNIT, PREVIOUS)
    with pytest.raises(Malformed, match="ends at step 0"):
        read_entry(99, CHUNK | {"first_step": 1}, UNIT, None)


ENDED = {"steps": 7, "digest": DIGEST, "virtual_time": 2.5, "counts": {"tasks": 3}, "outcome": "error"}


def test_an_end_says_how_a_run_ended() -> None:
    more = {"error_type": "ValueError", "error_text": "x"}
    assert read_end(ENDED | more, [PREVIOUS]) == End(7, 2.5, DIGEST, "error", "ValueError", "x", {"tasks": 3})
    assert read_end(ENDED, [PREVIOUS._replace(first_step=100), PREVIOUS]).error_type is None
    assert read_end(ENDED | {"steps": 0}, []).steps == 0
    far = PREVIOUS._replace(first_step=1 << 62, steps=0)
    assert read_end(ENDED | {"steps": 1 << 62}, [far]).steps == 1 << 62
    with pytest.raises(Malformed, match="steps"):
        read_end(ENDED | {"steps": (1 << 62) + 1}, [far._replace(steps=1)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"steps": 6}, "counts 6 steps, the chunks have 7"),
        ({"steps": 8}, "counts 8 steps, the chunks have 7"),
        ({"digest": DIGEST + b"x"}, "no digest of 16 bytes"),
        ({"digest": DIGEST[1:]}, "no digest of 16 bytes"),
        ({"digest": "x" * 16}, "no digest of 16 bytes"),
        ({"virtual_time": 1}, "lacks its virtual time or its outcome"),
        ({"virtual_time": float("inf")}, "lacks its virtual time or its outcome"),
        ({"outcome": None}, "lacks its virtual time or its outcome"),
        ({"counts": [3]}, "not whole numbers"),
        ({"counts": {"tasks": 1.0, "steps": 1}}, "not whole numbers"),
        ({"counts": {"tasks": True}}, "not whole numbers"),
        ({"error_type": 1}, "is not text"),
        ({"error_text": b"x"}, "is not text"),
    ],
)
def test_an_end_that_breaks_the_format_is_refused(change: Any, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read_end(ENDED | change, [PREVIOUS])


ENTRIES = [
    ChunkEntry(10, 0, 5, 0.0, DIGEST, None),
    ChunkEntry(40, 5, 5, 0.5, DIGEST, None),
    ChunkEntry(90, 10, 5, 0.75, DIGEST, None),
]


def index(objects: bytes = varints(0, 1, 3, 2, 5), **changes: Any) -> dict[str, Any]:
    """An index of `ENTRIES`: of the first the objects are not known, the second has none, the third 2 and 7."""
    content: dict[str, Any] = {"chunks": 3, "objects": pack_column(objects)}
    content["positions"] = pack_column(varints(10, 30, 50))
    content["first_steps"] = pack_column(varints(0, 5, 5))
    content["starts"] = pack_column(struct.pack("<3d", 0.0, 0.5, 0.75))
    return content | changes


def test_an_index_adds_which_objects_a_chunk_touches() -> None:
    found = read_index(index(), ENTRIES)
    assert [entry.objects for entry in found] == [None, frozenset(), frozenset({2, 7})]
    assert [entry._replace(objects=None) for entry in found] == ENTRIES


@pytest.mark.parametrize(
    "change",
    [
        {"chunks": 4},
        {"positions": pack_column(varints(10, 30, 51))},
        {"positions": pack_column(varints(10, 30))},
        {"first_steps": pack_column(varints(0, 5, 6))},
        {"starts": pack_column(struct.pack("<3d", 0.0, 0.5, 0.5))},
    ],
)
def test_an_index_repeats_what_the_frames_say(change: Any) -> None:
    with pytest.raises(Malformed, match="does not agree with the chunks"):
        read_index(index(**change), ENTRIES)


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        (varints(0, 1), "fewer objects than it claims"),
        (varints(0, 1, 3, 2), "fewer objects than it claims"),
        (varints(0, 1, 3, 2, 5, 0), "more objects than it claims"),
    ],
)
def test_an_index_has_as_many_objects_as_it_claims(objects: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read_index(index(objects), ENTRIES)


def test_a_trailer_points_to_the_index_and_is_the_last_thing_in_a_file() -> None:
    trailer = layout.pack_trailer(77)
    assert read_trailer(BytesSource(b"..." + trailer), 3, 77) is True
    for size in range(len(trailer)):
        assert read_trailer(BytesSource(b"..." + trailer[:size]), 3, 77) is False
    with pytest.raises(DamagedRecordingError, match="at byte 23, bytes follow the end"):
        read_trailer(BytesSource(b"..." + trailer + b"x"), 3, 77)
    with pytest.raises(DamagedRecordingError, match="does not point to the index"):
        read_trailer(BytesSource(trailer), 0, 78)
    other = layout.TRAILER.pack(b"notmagic", 77, 0)[:-4]
    with pytest.raises(DamagedRecordingError, match="does not point to the index"):
        read_trailer(BytesSource(other + layout.CHECKSUM.pack(zlib.crc32(other))), 0, 77)
    for place in range(len(trailer)):
        damaged = bytearray(trailer)
        damaged[place] ^= 1
        with pytest.raises(DamagedRecordingError, match="checksum of the trailer"):
            read_trailer(BytesSource(bytes(damaged)), 0, 77)


# --- chunks ----------------------------------------------------------------------------------------------------------


def texts(*those: str) -> list[Any]:
    return pack_column(b"".join(map(pack_text, those)))


def test_definitions_are_tasks_kinds_objects_and_names() -> None:
    # Format 1: how far its number is from the one before, its parent's and one, its path.
    tasks = varints(3, 0) + pack_text("main") + varints(2, 4) + pack_text("main/a")
    columns = {"tasks": pack_column(tasks), "kinds": texts("sleep"), "names": texts("x", "", "x"), "events": [9, b""]}
    assert unpack_definitions(columns, 3) == ([(3, -1, "main"), (5, 3, "main/a")], ["sleep"], [], ["x", "", "x"])
    assert unpack_definitions({}, 0) == ([], [], [], [])
    assert definitions_length(columns) == len(tasks) + 6 + 5
    spawned = {"spawns": pack_column(varints(0, 0, 0, 0, 0)), "stems": texts("main"), "leaves": texts("")}
    assert len(unpack_definitions(columns | spawned, 3)[0]) == 3


def test_more_definitions_than_a_file_may_have_are_refused() -> None:
    tasks = {"tasks": pack_column(varints(0, 0) + pack_text("a") + varints(1, 1) + pack_text("b"))}
    for columns, what in ((tasks, "tasks"), ({"objects": texts("a", "b")}, "objects")):
        unpack_definitions(columns, 2)
        with pytest.raises(Malformed, match=f"more than 1 {what}"):
            unpack_definitions(columns, 1)
    assert unpack_texts({}, "names", 0) == []


def test_equal_texts_are_one_in_memory() -> None:
    one, other = unpack_texts({"names": texts("a long name", "a long name")}, "names", 2)
    assert one is other


def test_a_chunk_without_endings_has_none() -> None:
    assert endings_of({"ending_texts": texts("x")}, 5) == []


def test_a_runnable_set_is_told_by_its_differences() -> None:
    assert unpack_runnable(varints(0)) == (0,)
    assert unpack_runnable(varints(0, 2, 5)) == (0, 2, 7)
    assert len(unpack_runnable(varints(*[1] * layout.RUNNABLE_STORED_MAX))) == layout.RUNNABLE_STORED_MAX
    for wrong in (b"", varints(1, 0), varints(1, 1, 0), varints(*[1] * (layout.RUNNABLE_STORED_MAX + 1))):
        with pytest.raises(Malformed, match="empty, too large, or out of order"):
            unpack_runnable(wrong)


def chunk(steps: int = 2, ticks_per_second: int = 1000, says_runnable: bool = False, **changes: Any) -> Any:
    """A chunk as it is read from a frame; ``columns`` are added to its outcomes."""
    content: dict[str, Any] = {"start": 500, "times": 0} | changes
    content["columns"] = {"outcomes": pack_column(bytes(steps))} | changes.get("columns", {})
    frame = layout.pack_frame(0, layout.CHUNK, layout.pack_map(content))
    entry = ChunkEntry(0, 7, 2, 0.5, DIGEST, None, says_runnable)
    return unpack_chunk(BytesSource(frame), entry, ticks_per_second)


def test_a_chunk_without_columns_has_nothing_but_its_outcomes() -> None:
    found = chunk()
    assert (found.first_step, found.start_time, found.digest, found.outcomes) == (7, 0.5, DIGEST, b"\0\0")
    assert (found.choices, found.events, list(found.times), found.payloads) == (b"", b"", [], [])
    assert (found.tasks, found.kinds, found.objects, found.names, found.endings) == ([], [], [], [], [])
    assert found.runnable is None


def test_a_chunk_has_an_outcome_for_each_step() -> None:
    for steps in (1, 3):
        with pytest.raises(DamagedRecordingError, match="at byte 0"):
            chunk(steps)


def test_payloads_and_the_set_of_runnable_tasks_are_cut_from_their_columns() -> None:
    columns = {"events": pack_column(bytes(30)), "payload_lengths": pack_column(varints(2, 0, 3))}
    assert chunk(columns=columns | {"payloads": pack_column(b"abcde")}).payloads == [b"ab", b"", b"cde"]
    for payloads in (b"abcd", b"abcdef"):
        with pytest.raises(DamagedRecordingError, match="do not add up"):
            chunk(columns=columns | {"payloads": pack_column(payloads)})
    assert chunk(says_runnable=True, columns={"runnable": pack_column(varints(0, 3))}).runnable == (0, 3)


def test_times_are_ticks_from_the_start_or_seconds() -> None:
    ticks, seconds = pack_planes(array("Q", [250, 1000])), pack_planes(array("Q", struct.pack("=2d", 0.75, 1.75)))
    events = pack_column(bytes(2))
    by_ticks = chunk(times=2, columns={"events": events, "ticks": ticks})
    by_seconds = chunk(start=0.5, times=2, columns={"events": events, "seconds": seconds})
    assert list(by_ticks.times) == list(by_seconds.times) == [0.75, 1.75]
    infinite = pack_planes(array("Q", struct.pack("=2d", 0.75, float("inf"))))
    with pytest.raises(DamagedRecordingError, match="not finite"):
        chunk(start=0.5, times=2, columns={"events": events, "seconds": infinite})


@pytest.mark.parametrize(
    ("name", "most", "more"),
    [
        ("choices", 27, {}),  # nine bytes each, and one choice more than steps
        ("ticks", 16, {"times": 2}),
        ("seconds", 16, {"times": 2, "start": 0.5}),
        ("payload_lengths", 6, {}),
        ("runnable", 9 << 14, {"says_runnable": True}),
    ],
)
def test_a_column_has_no_more_bytes_than_what_it_says_can_take(name: str, most: int, more: Any) -> None:
    events = pack_column(bytes(3))
    with pytest.raises(DamagedRecordingError, match=f"column of {name} claims {most + 1} bytes, where {most} is"):
        chunk(columns={"events": events, name: pack_column(bytes(most + 1))}, **more)
    if name != "runnable":  # of which no two differences are as long
        chunk(columns={"events": events, name: pack_column(bytes(most))}, **more)
