"""Visits to one step or one time of a recording: they give what a pass gives, and look at few chunks."""

from __future__ import annotations

import threading
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_recorder.contents import End
from detrun_recorder.format import DamagedRecordingError, Malformed
from detrun_recorder.reader import BytesSource, FileSource, read_contents, unpack_chunk, unpack_runnable
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import FIRST_ACTION
from detrun_scheduler.journal import Chunk, append_varint
from tests.recorder.simulated_runs import simulate

SAID, UNSAID = simulate(3, 400, chunk_steps=10), simulate(4, 400, chunk_steps=10)  # see `simulate`


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first steps of the chunks that are unpacked from here on."""
    found: list[int] = []

    def noted(source: Any, entry: Any, ticks_per_second: int) -> Chunk:
        found.append(entry.first_step)
        return unpack_chunk(source, entry, ticks_per_second)

    monkeypatch.setattr("detrun_recorder.recording.unpack_chunk", noted)
    return found


def test_a_time_or_a_step_is_found_without_the_chunks_before_it(unpacked: list[int]) -> None:
    recording = Recording.from_chunks({}, SAID.chunks, SAID.end, exact_times=True)
    assert recording.step(317).task == SAID.steps[317].task
    assert unpacked == [310]
    unpacked.clear()
    wanted = next(at for at, step in enumerate(SAID.steps) if step.time >= SAID.steps[205].time)
    assert recording.at_time(SAID.steps[205].time).index == wanted
    # The step may be the first of its chunk: then the time moved at the end of the chunk before.
    assert set(unpacked) <= {wanted // 10 * 10, wanted // 10 * 10 - 10}


def test_a_file_that_does_not_say_who_could_run_is_passed_over_once(unpacked: list[int]) -> None:
    recording = Recording.from_chunks({}, UNSAID.chunks, UNSAID.end, exact_times=True)
    assert recording.step(317).runnable == UNSAID.steps[317].runnable
    assert unpacked == list(range(0, 311, 10))
    unpacked.clear()
    assert recording.step(205).runnable == UNSAID.steps[205].runnable
    assert unpacked == [200]


@given(st.sampled_from((SAID, UNSAID)), st.floats(-1.0, max(SAID.time, UNSAID.time) + 1))
def test_the_step_at_a_time_is_that_of_a_pass(run: Any, time: float) -> None:
    recording = Recording.from_chunks({}, run.chunks, run.end, exact_times=True)
    wanted = next((at for at, step in enumerate(run.steps) if step.time >= time), len(run.steps) - 1)
    assert recording.at_time(time).index == wanted


def test_a_set_that_does_not_follow_from_the_chunk_before_is_damage() -> None:
    wrong = replace(SAID.chunks[7], runnable=(0, 999))
    recording = Recording.from_chunks({}, [*SAID.chunks[:7], wrong, *SAID.chunks[8:]], SAID.end)
    with pytest.raises(DamagedRecordingError, match="not the one after the chunk before"):
        list(recording.iter_steps())


@pytest.mark.parametrize("differences", [b"", b"\3\0", b"\1" * 16_385])
def test_a_set_that_is_empty_repeats_a_task_or_is_too_large_is_refused(differences: bytes) -> None:
    with pytest.raises(Malformed, match="runnable set"):
        unpack_runnable(differences)


def test_a_very_large_set_is_left_out() -> None:
    large = replace(SAID.chunks[7], runnable=tuple(range(16_385)))
    recording = Recording.from_chunks({}, [*SAID.chunks[:7], large, *SAID.chunks[8:]], SAID.end, exact_times=True)
    assert [at for at, entry in enumerate(recording.entries) if not entry.says_runnable] == [0, 7]
    assert recording.step(77).runnable == SAID.steps[77].runnable


def test_what_a_run_did_before_the_first_step_of_a_chunk_is_seen_on_a_visit_there() -> None:
    choices = bytearray(SAID.chunks[6].choices)
    append_varint(choices, FIRST_ACTION + 8 * 70 + 1)  # a collection before step 70
    acting = replace(SAID.chunks[6], choices=bytes(choices))
    recording = Recording.from_chunks({}, [*SAID.chunks[:6], acting, *SAID.chunks[7:]], SAID.end)
    assert list(recording.iter_steps())[70].actions == recording.step(70).actions != ()
    assert recording.step(71).actions == ()


@pytest.mark.parametrize("kept", ["in memory", "in a file"])
def test_a_finished_run_knows_what_its_file_says(kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a task blocks the event loop and threads run while it does."""
    monkeypatch.setattr("detrun_scheduler.loop.CHUNK_STEPS", 7)
    monkeypatch.setattr("detrun_scheduler.journal.CHUNK_STEPS", 7)

    async def main() -> None:
        lock, shared = threading.Lock(), detrun.Atomic(0.0)

        def hold() -> None:
            for _ in range(5):
                with lock:
                    shared.fetch_add(1.0)

        async def take() -> None:
            for _ in range(5):
                with lock:
                    await trio.sleep(0)
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, hold)
            nursery.start_soon(take)
            nursery.start_soon(take)

    to = tmp_path / "run.detrun" if kept == "in a file" else None
    monkeypatch.setattr("detrun_recorder.recording.read_contents", None)  # nothing is read back
    recording = detrun.record(main, seed=2, to=to).recording
    monkeypatch.undo()
    read = read_contents(BytesSource(recording.to_bytes()) if to is None else FileSource(to))
    assert (read.header, read.end, read.chunks) == (recording.header, recording.end, recording.entries)
    assert (read.version, read.whole) == (recording.version, recording.whole)
    assert len(read.chunks) > 3
    assert [entry.says_runnable for entry in read.chunks] == [False] + [True] * (len(read.chunks) - 1)
    again = open_recording(recording.to_bytes())
    assert list(again.iter_steps()) == [recording.step(index) for index in range(recording.steps)]


def test_long_texts_of_an_end_are_known_as_they_are_written() -> None:
    chunk = Chunk(0, 0.0, b"", b"\1", b"", array("d"), [], [(0, -1, "main")], [], [], [], bytes(16))
    end = End(1, 0.0, bytes(16), "error", "E" * 3000, "\ud800" * 3, {"tasks": 1})
    recording = Recording.from_chunks({}, [chunk], end)
    assert recording.end == open_recording(recording.to_bytes()).end
