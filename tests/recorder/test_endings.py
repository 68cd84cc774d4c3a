"""Recordings say how each task ended that did not return, and what they say leaves the digest alone."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import trio

import detrun
from detrun.world import World
from detrun_recorder.format import Malformed
from detrun_recorder.recording import Recording, open_recording
from detrun_recorder.task_columns import pack_endings, unpack_endings
from detrun_recorder.writer import Writer
from detrun_scheduler.endings import ending_of
from detrun_scheduler.errors import DetrunError


def by_path(recording: Recording) -> dict[str, str]:
    """How tasks ended that did not return."""
    assert recording.endings is not None
    return {recording.tasks[number][1]: ending for number, ending in recording.endings.items()}


def last_outcomes(recording: Recording) -> dict[str, str]:
    """How the last step of each task ended."""
    return {step.path: step.outcome for step in recording.iter_steps()}


async def fails_beside_others() -> None:
    async def waits() -> None:
        await trio.sleep_forever()

    async def raises_while_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("again")

    async def fails() -> None:
        await trio.sleep(1)
        raise ValueError("first")

    async with trio.open_nursery() as nursery:
        for function in (waits, raises_while_cancelled, fails, trio.lowlevel.checkpoint):
            nursery.start_soon(function)


def test_a_cancelled_task_is_told_from_one_that_failed() -> None:
    run = detrun.record(fails_beside_others, raise_errors=False)
    assert by_path(run.recording) == {
        "main/waits": "cancelled",
        "main/raises_while_cancelled": "failed: KeyError",
        "main/fails": "failed: ValueError",
        "main": "failed: ValueError, KeyError",
    }
    outcomes = last_outcomes(run.recording)
    assert outcomes["main/waits"] == "cancelled"
    assert outcomes["main/fails"] == outcomes["main"] == "failed"
    assert outcomes["main/checkpoint"] == "done"


def test_threads_that_fail_or_are_killed_are_told_from_those_that_return() -> None:
    def raises() -> None:
        raise LookupError("lost")

    def main() -> None:
        gate = threading.Lock()
        gate.acquire()
        threads = [threading.Thread(target=raises, name="raises"), threading.Thread(target=str, name="returns")]
        for thread in [*threads, threading.Thread(target=gate.acquire, name="waits", daemon=True)]:
            thread.start()
        for thread in threads:
            thread.join()

    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        recording = detrun.record(main).recording
    finally:
        threading.excepthook = hook
    assert by_path(recording) == {"main/raises": "failed: LookupError", "main/waits": "killed"}
    assert last_outcomes(recording)["main/raises"] == "failed"
    assert last_outcomes(recording)["main/waits"] == "killed"


def test_the_tasks_of_a_crashed_node_are_killed_and_a_deadlocked_one_never_ends() -> None:
    async def crashes() -> None:
        async with World() as world:
            world.node("a").start(trio.sleep_forever)
            await trio.sleep(1)
            world.node("a").crash()
            await trio.Event().wait()

    recording = detrun.record(crashes, raise_errors=False).recording
    assert recording.end is not None
    assert recording.end.error_type == "DeadlockError"
    assert [ending for path, ending in by_path(recording).items() if path.endswith("sleep_forever")] == ["killed"]
    assert "main" not in by_path(recording)


def test_trios_idle_worker_threads_end_in_the_ordinary_way() -> None:
    async def main() -> None:
        await trio.to_thread.run_sync(str)

    assert by_path(detrun.record(main).recording) == {}


def test_a_replay_has_the_digest_of_a_recording_without_endings() -> None:
    recording = detrun.record(fails_beside_others, raise_errors=False).recording
    older = Recording.from_chunks(
        recording.header, [replace(chunk, endings=[]) for chunk in recording.chunks()], recording.end
    )
    assert older.endings == {}
    run = detrun.replay(fails_beside_others, recording=older, raise_errors=False)
    assert run.digest == recording.digest.hex()


def test_a_recording_cut_short_has_the_endings_so_far(tmp_path) -> None:
    recording = detrun.record(fails_beside_others, raise_errors=False).recording
    path = tmp_path / "cut.detrun"
    with Writer(path, recording.header) as writer:
        for chunk in recording.chunks():
            writer.save_open_chunk(chunk)
    cut = open_recording(path)
    assert cut.truncated
    assert by_path(cut) == by_path(recording)


def test_an_ending_names_the_types_that_were_raised_and_no_cancellation() -> None:
    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as cancelled:
                endings.append(ending_of(cancelled))
                endings.append(ending_of(BaseExceptionGroup("", [cancelled, cancelled])))
                endings.append(ending_of(BaseExceptionGroup("", [cancelled, ExceptionGroup("", [OSError()])])))
                raise

    endings: list[str] = []
    detrun.record(main)
    assert endings == ["cancelled", "cancelled", "failed: OSError"]
    three = ExceptionGroup("", [ValueError(), KeyError(), OSError()])
    assert ending_of(three) == "failed: ValueError, KeyError, OSError"
    assert len(ending_of(type("E" * 300, (Exception,), {})())) == 200
    many = [ValueError(), ValueError(), KeyError(), OSError(), DetrunError(), TypeError()]
    assert ending_of(ExceptionGroup("", many)) == "failed: ValueError, KeyError, OSError and 2 more types"


@pytest.mark.parametrize("column", [b"\0", b"\0\2", b"\0\0" * 4])
def test_a_damaged_column_of_endings_is_refused(column: bytes) -> None:
    packed = pack_endings([(7, "cancelled"), (300, "killed"), (301, "cancelled")])
    assert packed["ending_texts"].count(b"cancelled") == 1
    assert unpack_endings(packed["endings"], ["cancelled", "killed"], 3)[1] == (300, "killed")
    with pytest.raises(Malformed, match=r"endings|more than 3 tasks end"):
        unpack_endings(column, ["cancelled", "killed"], 3)
