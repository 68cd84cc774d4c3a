"""A killed recording holds what was done until a second before, and a finished one is what it would have been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

import detrun
from detrun_recorder.format import PREAMBLE
from detrun_recorder.header import describe_run
from detrun_recorder.recording import open_recording
from detrun_recorder.writer import Writer
from detrun_scheduler import current
from detrun_scheduler.errors import RecordingFormatError

SLOW = """
import trio


async def main():
    async def worker(count):
        for _ in range(count):
            sum(range(2_000_000))  # a slow step
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(worker, 10_000)
"""


@pytest.mark.one_python
def test_a_slow_program_that_is_killed_leaves_its_steps_and_they_replay(tmp_path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    path = tmp_path / "run.detrun"
    command = [sys.executable, "-m", "detrun", "record", "slow.py:main", "-o", str(path)]
    recording = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while _steps(path) < 2:  # for ever if nothing is written before the chunk is full
            time.sleep(0.05)
    finally:
        recording.send_signal(signal.SIGKILL)
        recording.wait()
    left = open_recording(path)
    assert left.truncated
    assert left.steps >= 2
    sys.path.insert(0, str(tmp_path))
    try:
        import slow  # type: ignore[import-not-found]

        with pytest.raises(detrun.StepLimitError):  # having followed what there is
            detrun.replay(slow.main, recording=path, max_steps=left.steps + 1)
    finally:
        sys.path.remove(str(tmp_path))


def _steps(path: Path) -> int:
    try:
        return open_recording(path).steps
    except RecordingFormatError:  # not there yet, or in the middle of a write
        return 0


saves: list[bool] = []


async def long_enough() -> float:
    """Some chunks of steps, with time, draws and events in them."""

    async def worker(number: int) -> None:
        for turn in range(1_500):
            if number == turn % 500 and saves:
                current.run.save_soon()  # as the thread does
            await trio.lowlevel.checkpoint()
            await detrun.sleep(detrun.exponential(1.0))

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(worker, number)
    return trio.current_time()


@pytest.mark.one_python
def test_a_run_that_ends_leaves_the_file_that_it_would_have_left(monkeypatch, tmp_path) -> None:
    saved: list[None] = []
    original = Writer.save_open_chunk
    monkeypatch.setattr(Writer, "save_open_chunk", lambda self, chunk: saved.append(original(self, chunk)))
    monkeypatch.setattr(f"{__name__}.saves", [True])
    kept = detrun.record(long_enough, to=tmp_path / "run.detrun")
    assert len(saved) >= 24
    monkeypatch.undo()
    assert (tmp_path / "run.detrun").read_bytes() == detrun.record(long_enough).recording.to_bytes()
    assert detrun.replay(long_enough, recording=tmp_path / "run.detrun").digest == kept.digest


@pytest.mark.one_python
def test_the_open_chunk_is_readable_at_every_moment(tmp_path) -> None:
    chunks = list(detrun.record(long_enough).recording.chunks())
    assert len(chunks) > 1
    path = tmp_path / "file"
    with Writer(path, describe_run()) as writer:
        writer.save_open_chunk(chunks[0])
        assert open_recording(path).steps == chunks[0].steps
        writer.save_open_chunk(chunks[0])
        writer.write_chunk(chunks[0])
        size = os.path.getsize(path)
        writer.save_open_chunk(chunks[1])
        assert open_recording(path).steps == chunks[0].steps + chunks[1].steps
    assert open_recording(path).truncated
    path.write_bytes(path.read_bytes()[: size + PREAMBLE.size])  # killed in the middle of the last writing
    assert open_recording(path).steps == chunks[0].steps
