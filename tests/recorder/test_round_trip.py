"""Round trips: detrun's reader and one written from the format's page alone give back what was written."""

from __future__ import annotations

import io
import math
import zlib
from array import array
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun_recorder import format as layout
from detrun_recorder.contents import End
from detrun_recorder.header import describe_run
from detrun_recorder.recording import Recording, open_recording
from detrun_recorder.steps import Step
from detrun_recorder.writer import Writer, objects_touched
from detrun_scheduler.errors import UsageError
from detrun_scheduler.journal import EVENT_ARGUMENTS, Chunk, append_varint
from tests.recorder import independent_reader
from tests.recorder.simulated_runs import SimulatedRun, TrueStep, simulate

HEADER = describe_run(target="program:main", seed=5, strategy="random", extra={"note": "simulated"})


@st.composite
def runs(draw: st.DrawFn) -> SimulatedRun:
    return simulate(
        draw(st.integers(0, 2**32)),
        draw(st.integers(1, 300)),
        tasks=draw(st.sampled_from((1, 2, 10, 200))),
        spawning=draw(st.sampled_from((0.0, 0.1, 0.4))),
        waiting=draw(st.sampled_from((0.0, 0.3, 0.8))),
        operating=draw(st.sampled_from((0.0, 0.3, 0.7))),
        objects=draw(st.sampled_from((0, 1, 3, 300))),
        mean_delay=draw(st.sampled_from((1e-7, 0.1, 1e5))),
        chunk_steps=draw(st.sampled_from((1, 7, 64, 16_384))),
    )


def as_true(step: Step) -> TrueStep:
    """A decoded step in the terms of the simulation."""
    events: list[tuple[object, ...]] = []
    for event in step.events:
        fields = (event.kind, event.number, event.label, event.operation, event.time, event.payload)
        events.append(tuple(value for value in fields if value is not None))
    return TrueStep(step.time, step.task, step.path, step.runnable, step.choice, step.outcome, events)


def rounded(step: TrueStep) -> TrueStep:
    """The step with its times as a recording of whole microseconds keeps them."""

    def nearest(time: float) -> float:
        return round(time * 1_000_000) / 1_000_000

    events = [("time", nearest(event[1])) if event[0] == "time" else event for event in step.events]  # type: ignore[arg-type]  # seconds
    return replace(step, time=nearest(step.time), events=events)


@given(runs())
def test_every_step_comes_back_as_it_ran_with_times_to_the_nearest_tick(run: SimulatedRun) -> None:
    recording = Recording.from_chunks(HEADER, run.chunks, run.end)
    assert [as_true(step) for step in recording.iter_steps()] == [rounded(step) for step in run.steps]
    assert (recording.steps, recording.digest, recording.truncated) == (len(run.steps), run.digest, False)
    assert recording.end == run.end
    for loaded, written in zip(recording.chunks(), run.chunks, strict=True):
        assert replace(loaded, times=written.times, start_time=written.start_time) == written


@given(runs())
def test_exact_times_come_back_to_the_last_bit(run: SimulatedRun) -> None:
    recording = Recording.from_chunks(HEADER, run.chunks, run.end, exact_times=True)
    assert list(recording.chunks()) == run.chunks
    assert [as_true(step) for step in recording.iter_steps()] == run.steps
    assert recording.time_quantum == 0.0


@given(runs(), st.booleans())
def test_a_reader_written_from_the_page_alone_finds_the_same(run: SimulatedRun, exact: bool) -> None:
    recording = Recording.from_chunks(HEADER, run.chunks, run.end, exact_times=exact)
    other = independent_reader.read(recording.to_bytes())
    assert [TrueStep(**step) for step in other["steps"]] == [as_true(step) for step in recording.iter_steps()]
    assert other["header"] == recording.header
    assert other["end"]["digest"] == recording.digest
    assert other["tables"]["tasks"] == recording.tasks
    assert (other["tables"]["objects"], other["tables"]["names"]) == (recording.objects, recording.names)
    index = other["index"]
    assert index["positions"] == [position for position, _ in other["chunks"]]
    assert index["first_steps"] == [chunk.first_step for chunk in recording.chunks()]
    assert index["starts"] == [chunk.start_time for chunk in recording.chunks()]
    assert index["objects"] == other["touched"]


@given(runs(), st.data())
def test_any_step_can_be_read_alone_in_any_order(run: SimulatedRun, data: st.DataObject) -> None:
    recording = Recording.from_chunks(HEADER, run.chunks, run.end, exact_times=True)
    for _ in range(5):
        index = data.draw(st.integers(0, len(run.steps) - 1))
        assert as_true(recording.step(index)) == run.steps[index]
        time = run.steps[index].time
        first = next(at for at, step in enumerate(run.steps) if step.time >= time)
        assert recording.at_time(time).index == first
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(run.steps))] * 2)))
    assert [as_true(step) for step in recording.iter_steps(start, stop)] == run.steps[start:stop]


@given(runs())
def test_the_steps_of_an_object_and_of_a_task_are_those_that_name_it(run: SimulatedRun) -> None:
    recording = Recording.from_chunks(HEADER, run.chunks, run.end)
    for number in range(min(len(recording.objects), 4)):
        label = f"object[{number}]"
        expected = [at for at, step in enumerate(run.steps) if any(label in event for event in step.events)]
        assert [step.index for step in recording.object_steps(number)] == expected
    for task in list(recording.tasks)[:4]:
        expected = [at for at, step in enumerate(run.steps) if step.task == task]
        assert [step.index for step in recording.task_steps(task)] == expected


def test_forgotten_runnable_sets_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detrun_recorder.recording.RUNNABLE_NUMBERS_KEPT", 30)
    run = simulate(3, 400, chunk_steps=10)
    recording = Recording.from_chunks(HEADER, run.chunks, run.end, exact_times=True)
    for index in (399, 5, 250, 399, 0, 120):
        assert as_true(recording.step(index)) == run.steps[index]
    assert len(recording._runnable) < 10


@given(st.lists(st.tuples(st.sampled_from(sorted(EVENT_ARGUMENTS)), st.integers(0, 2**40), st.integers(0, 19))))
def test_the_index_lists_the_objects_that_a_loop_over_the_events_finds(events: list[tuple[int, int, int]]) -> None:
    column, expected = bytearray(), set()
    for code, number, operation in events:
        column.append(code)
        for argument in (number, operation)[: EVENT_ARGUMENTS[code]]:
            append_varint(column, argument)
        if code in (4, 7, 8):
            expected.add(number)
    assert objects_touched(bytes(column)) == sorted(expected)


@given(st.lists(st.floats(0, 1e12), max_size=50).map(sorted), st.sampled_from((1, 1000, 10**6, 10**9)))
def test_times_are_within_half_a_tick_whatever_their_size(times: list[float], ticks_per_second: int) -> None:
    chunk = Chunk(0, 0.0, b"", b"\x80", b"\1" * len(times) + b"\0", array("d", times), [], [], [], [], [], bytes(16))
    buffer = io.BytesIO()
    with Writer(buffer, {}, ticks_per_second=ticks_per_second) as writer:
        writer(chunk)
        writer.close(End(1, 0.0, bytes(16)))
    loaded = next(open_recording(buffer.getvalue()).chunks())
    for before, after in zip(times, loaded.times, strict=True):
        # Half a tick, and what the time loses where it is multiplied and divided by the ticks of a second.
        assert abs(before - after) <= 0.5 / ticks_per_second + 2**-51 * before
    again = io.BytesIO()
    with Writer(again, {}, ticks_per_second=ticks_per_second) as writer:
        writer(loaded)
        writer.close(End(1, 0.0, bytes(16)))
    assert next(open_recording(again.getvalue()).chunks()) == loaded  # saving again changes nothing


def test_times_that_go_backwards_are_stored_exactly() -> None:
    times = array("d", (3.0000000001, 1.0))
    chunk = Chunk(0, 0.0, b"", b"\x80", b"\1\1\0", times, [], [], [], [], [], bytes(16))
    recording = Recording.from_chunks({}, [chunk], End(1, 1.0, bytes(16)))
    assert next(recording.chunks()).times == times


def test_a_chunk_that_touches_many_objects_is_searched_instead_of_listed() -> None:
    run = simulate(8, 3000, objects=3000, operating=0.7)
    recording = Recording.from_chunks(HEADER, run.chunks, run.end)
    assert recording.entries[0].objects is None
    number = next(event[1] for step in run.steps[2000:] for event in step.events if event[0] == "send")
    assert isinstance(number, int)
    label = f"object[{number}]"
    expected = [at for at, step in enumerate(run.steps) if any(label in event for event in step.events)]
    assert [step.index for step in recording.object_steps(number)] == expected


def test_what_a_failed_run_left_of_its_last_step_is_passed_over() -> None:
    run = simulate(4, 200)
    last = run.chunks[-1]
    unfinished = replace(
        last,
        choices=last.choices + b"\1",
        events=last.events + b"\1\3\2",
        times=last.times + array("d", (run.time + 1,)),
    )
    recording = Recording.from_chunks(HEADER, [*run.chunks[:-1], unfinished], run.end)
    assert [as_true(step) for step in recording.iter_steps()] == [rounded(step) for step in run.steps]


def test_a_recording_is_saved_to_a_path_and_opened_again(tmp_path: Path) -> None:
    run = simulate(1, 500, chunk_steps=100)
    path = tmp_path / "run.detrun"
    with Writer(path, HEADER) as writer:
        for chunk in run.chunks:
            writer.write_chunk(chunk)
        writer.close(run.end._replace(outcome="error", error_type="ValueError", error_text="x" * 5000))
    recording = open_recording(path)
    assert recording.end is not None
    assert recording.end.error_text == "x" * 2000
    assert (recording.path, recording.seed, recording.target, recording.strategy) == (path, 5, "program:main", "random")
    copy = tmp_path / "copy.detrun"
    recording.save(copy)
    assert copy.read_bytes() == path.read_bytes() == recording.to_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy.detrun", "run.detrun"]
    assert [as_true(step) for step in open_recording(str(copy)).iter_steps()] == [rounded(step) for step in run.steps]


def test_a_run_without_steps_has_a_recording() -> None:
    recording = Recording.from_chunks({}, [], End(0, 0.0, bytes(16)))
    assert (recording.steps, list(recording.iter_steps()), recording.virtual_time) == (0, [], 0.0)
    with pytest.raises(UsageError, match="no steps"):
        recording.at_time(0.0)


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64, -(2**200)])
def test_a_seed_of_any_size_is_kept(seed: int) -> None:
    assert Recording.from_chunks(describe_run(seed=seed), [], None).seed == seed


def test_ten_tasks_of_schedule_points_take_less_than_a_byte_per_step() -> None:
    """The budget is one byte; the choice alone has log2(10) bits, 0.415 bytes."""
    run = simulate(1, 100_000, waiting=0, spawning=0, operating=0, ending=0)
    size = len(Recording.from_chunks(HEADER, run.chunks, run.end).to_bytes())
    print(f"{size / len(run.steps):.3f} bytes per step")
    assert 0.415 <= size / len(run.steps) <= 1.0


def test_exponential_delays_are_stored_near_their_entropy() -> None:
    """The mean is 10**5 ticks, so a delay has log2(e * 10**5) = 18.05 bits; 2 % above is allowed."""
    run = simulate(2, 50_000, waiting=0.33, spawning=0, operating=0, ending=0)
    recording = Recording.from_chunks(HEADER, run.chunks, run.end)
    count = sum(len(chunk.times) for chunk in run.chunks)
    stored = 0
    for chunk in independent_reader.read(recording.to_bytes())["chunks"]:
        stored += len(chunk[1]["columns"]["ticks"][1])
    print(f"{len(recording.to_bytes()) / len(run.steps):.3f} bytes per step, {8 * stored / count:.2f} bits per delay")
    assert 8 * stored / count <= 1.02 * math.log2(math.e * 1e5)


def test_a_closed_writer_refuses_more(tmp_path: Path) -> None:
    run = simulate(1, 10)
    writer = Writer(tmp_path / "run", {})
    writer.write_chunk(run.chunks[0])
    with pytest.raises(UsageError, match="says 11 steps, but 10"):
        writer.close(End(11, 0.0, bytes(16)))
    writer.close(run.end)
    writer.close(run.end)
    with pytest.raises(UsageError, match="closed"):
        writer.write_chunk(run.chunks[0])


@pytest.mark.parametrize("value", [object(), {1: 2}, 2**70, [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]], "x" * (1 << 20)])
def test_a_header_that_no_reader_would_take_is_refused_when_written(value: Any) -> None:
    with pytest.raises(UsageError, match="the header of a recording"):
        Writer(io.BytesIO(), {"extra": value})


def test_a_chunk_too_large_for_the_format_is_refused_when_written() -> None:
    payloads = [bytes(layout.COLUMN_BYTES_MAX // 2 + 1)] * 2
    chunk = Chunk(0, 0.0, b"", b"\x80", b"\6\0\6\0\0", array("d"), payloads, [], [], [], ["read"], bytes(16))
    with pytest.raises(UsageError, match="bytes of payloads"):
        Recording.from_chunks({}, [chunk])


@given(st.sampled_from((32, 700, 1999, 2000, 2001)), st.integers(0, 2**32), st.sampled_from((2, 5, 256)))
def test_a_column_that_a_small_compressor_packs_is_as_short_as_of_a_large_one(
    size: int, seed: int, values: int
) -> None:
    content = bytes(Random(seed).choices(range(values), k=size))
    column = layout.pack_column(content)
    assert layout.unpack_column(column) == content
    strategies = zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY
    by_large = min(size, *(len(layout.deflate((content,), one, layout.SMALL_COLUMN + 1)) for one in strategies))
    assert len(column[1]) <= by_large * 1.02
