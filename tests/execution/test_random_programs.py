"""Random programs are deterministic and replay exactly: in one process, in fresh ones, and from damaged recordings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import Any
from unittest.mock import patch

import msgpack
import pytest
import trio
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import detrun
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.strategies import STRATEGIES
from tests.execution.random_programs import STEPS_MAX, Body, interpret, programs

pytestmark = [
    # A program may deadlock in a shielded ``finally``: nothing can end it, and closing it makes Python complain.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Generators are left open on purpose.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]

seeds = st.integers(0, 2**32 - 1)
strategies = st.sampled_from(sorted(STRATEGIES))


def examples(count: int) -> settings:
    """``count`` examples, twenty times as many under the long profile."""
    return settings(max_examples=count * (20 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1))


def recorded(program: Body, seed: int, strategy: str = "random") -> detrun.Run:
    run = detrun.record(interpret, program, seed=seed, strategy=strategy, max_steps=STEPS_MAX, raise_errors=False)
    # Such an error would be equal in every run and pass for the program's own.
    assert not isinstance(run.exception, trio.TrioInternalError), run.exception.__cause__
    return run


def how_it_ended(run: detrun.Run) -> str:
    """The result, or the class and text of the exception, in words that can be compared."""
    if run.exception is None:
        return repr(run.result)
    if isinstance(run.exception, detrun.DetrunError):
        return type(run.exception).__name__
    return repr(run.exception)


def same(first: detrun.Run, second: detrun.Run) -> None:
    assert first.digest == second.digest
    assert how_it_ended(first) == how_it_ended(second)
    assert (first.steps, first.virtual_time) == (second.steps, second.virtual_time)


@given(program=programs(), seed=seeds, strategy=strategies)
@examples(40)
def test_one_seed_is_one_run_and_its_recording_replays_it(program: Body, seed: int, strategy: str) -> None:
    first, second = recorded(program, seed, strategy), recorded(program, seed, strategy)
    same(first, second)
    assert first.recording.to_bytes() == second.recording.to_bytes()
    replayed = detrun.replay(interpret, program, recording=first.recording.to_bytes(), raise_errors=False)
    same(first, replayed)


@pytest.mark.one_python
@given(program=programs(), seed=seeds)
@examples(30)
def test_resync_of_an_unchanged_program_follows_its_recording_to_the_end(program: Body, seed: int) -> None:
    run = recorded(program, seed)
    again = detrun.replay(interpret, program, recording=run.recording, mode="resync", raise_errors=False)
    same(run, again)
    assert again.resync is not None
    assert again.resync.unmatched == 0
    assert again.resync.matched == run.steps


@pytest.mark.one_python
def test_the_random_programs_do_what_they_are_for() -> None:
    """The properties above would hold for programs that do nothing; these do interleave, fail, time out and hang."""
    seen: Counter[str] = Counter()

    @given(program=programs(), seed=seeds)
    @examples(100)
    def look(program: Body, seed: int) -> None:
        run = recorded(program, seed)
        other = recorded(program, seed + 1)
        seen["another seed, another run"] += run.digest != other.digest
        seen["several tasks"] += len(run.recording.tasks) > 4
        seen["time passed"] += run.virtual_time > 0
        seen["failed"] += run.exception is not None
        seen["deadlock"] += isinstance(run.exception, detrun.DeadlockError)
        seen["ended well"] += run.exception is None
        seen["cancelled"] += run.exception is None and "True" in how_it_ended(run)

    look()
    assert min(seen.values()) >= 5, seen
    assert len(seen) == 7


CHILD = """
import sys
import msgpack
import detrun
from tests.execution.random_programs import interpret
from tests.execution.test_random_programs import how_it_ended, recorded
answers = []
for program, seed, strategy, recording in msgpack.unpackb(sys.stdin.buffer.read()):
    run = recorded(program, seed, strategy)
    replayed = detrun.replay(interpret, program, recording=recording, raise_errors=False)
    answers.append([run.digest, how_it_ended(run), replayed.digest, how_it_ended(replayed)])
sys.stdout.buffer.write(msgpack.packb(answers))
"""


@pytest.mark.parametrize("hash_seed", ["1", pytest.param("4711", marks=pytest.mark.slow)])
def test_a_fresh_process_under_another_hash_seed_runs_and_replays_the_same(hash_seed: str) -> None:
    cases: list[Any] = []
    wanted: list[list[str]] = []

    @given(program=programs(), seed=seeds, strategy=strategies)
    @examples(40)
    def collect(program: Body, seed: int, strategy: str) -> None:
        run = recorded(program, seed, strategy)
        cases.append([program, seed, strategy, run.recording.to_bytes()])
        wanted.append([run.digest, how_it_ended(run)] * 2)

    collect()
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=msgpack.packb(cases),
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert msgpack.unpackb(done.stdout) == wanted


def whole_chunks(run: detrun.Run, chunks: int) -> bytes:
    """The recording cut after ``chunks`` chunks."""
    entries = run.recording.entries
    cut = entries[chunks].position if chunks < len(entries) else entries[-1].position
    return run.recording.to_bytes()[:cut]


@pytest.mark.one_python
@given(program=programs(), seed=seeds, chunk_steps=st.integers(1, 6), strategy=strategies)
@examples(25)
def test_a_recording_cut_at_any_chunk_replays_its_prefix_and_goes_on_to_the_same_end(
    program: Body, seed: int, chunk_steps: int, strategy: str
) -> None:
    with patch_chunks(chunk_steps):
        run = recorded(program, seed, strategy)
        whole = run.recording
        assert len(whole.entries) >= run.steps // chunk_steps
        for chunks in range(len(whole.entries)):
            cut = open_recording(whole_chunks(run, chunks))
            assert cut.truncated
            assert cut.steps == (whole.entries[chunks].first_step)
            assert [step.task for step in cut.iter_steps()] == [step.task for step in whole.iter_steps(0, cut.steps)]
            replayed = detrun.replay(interpret, program, recording=cut, max_steps=STEPS_MAX, raise_errors=False)
            same(run, replayed)


def patch_chunks(steps: int) -> Any:
    """Make chunks so small that programs of a few steps have many."""
    journal = patch("detrun_scheduler.journal.CHUNK_STEPS", steps)
    loop = patch("detrun_scheduler.loop.CHUNK_STEPS", steps)

    class Both:
        def __enter__(self) -> None:
            journal.start()
            loop.start()

        def __exit__(self, *_: object) -> None:
            loop.stop()
            journal.stop()

    return Both()


def opened(content: bytes) -> Recording | None:
    try:
        return open_recording(content)
    except detrun.RecordingFormatError:
        return None


@pytest.mark.one_python
@given(program=programs(), seed=seeds, chunk_steps=st.integers(2, 6), data=st.data())
@examples(25)
def test_a_recording_cut_at_any_byte_opens_as_a_prefix_or_is_refused(
    program: Body, seed: int, chunk_steps: int, data: st.DataObject
) -> None:
    with patch_chunks(chunk_steps):
        run = recorded(program, seed)
        content = run.recording.to_bytes()
        for _ in range(8):
            cut = opened(content[: data.draw(st.integers(0, len(content) - 1))])
            if cut is None:
                continue
            assert cut.steps <= run.steps
            assert cut.truncated or cut.digest.hex() == run.digest
            replayed = detrun.replay(interpret, program, recording=cut, max_steps=STEPS_MAX, raise_errors=False)
            same(run, replayed)


@pytest.mark.one_python
@given(program=programs(), seed=seeds, data=st.data())
@examples(25)
def test_every_flipped_byte_is_noticed(program: Body, seed: int, data: st.DataObject) -> None:
    content = recorded(program, seed).recording.to_bytes()
    for _ in range(20):
        at, mask = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
        damaged = bytearray(content)
        damaged[at] ^= mask
        assert opened(bytes(damaged)) is None, (at, mask)


@pytest.mark.one_python
@given(program=programs(), other=programs(), seed=seeds)
@examples(25)
def test_the_recording_of_another_program_diverges_or_is_of_an_equal_run(program: Body, other: Body, seed: int) -> None:
    """The negative twin: a replay that compared nothing would pass every test above."""
    run, otherwise = recorded(program, seed), recorded(other, seed)
    assume(run.digest != otherwise.digest)
    with pytest.raises(detrun.DivergenceError):
        detrun.replay(interpret, other, recording=run.recording, max_steps=STEPS_MAX, raise_errors=False)


@pytest.mark.one_python
@examples(25)
@given(program=programs(), seed=seeds, strategy=strategies)
def test_a_what_if_replay_with_the_same_arguments_is_the_recorded_run(program: Body, seed: int, strategy: str) -> None:
    with patch_chunks(3):
        run = recorded(program, seed, strategy)
        again = detrun.replay(
            interpret, program, recording=run.recording, mode="what-if", max_steps=STEPS_MAX, raise_errors=False
        )
    same(run, again)
    assert again.what_if is not None
    assert again.what_if.first_difference is None


@pytest.mark.one_python
@examples(25)
@given(program=programs(), other=programs(), seed=seeds, strategy=strategies)
def test_a_what_if_replay_of_anything_has_a_recording_that_replays(
    program: Body, other: Body, seed: int, strategy: str
) -> None:
    with patch_chunks(4):
        run = recorded(program, seed, strategy)
        followed = detrun.replay(
            interpret, other, recording=run.recording, mode="what-if", max_steps=STEPS_MAX, raise_errors=False
        )
        assert not isinstance(followed.exception, trio.TrioInternalError), followed.exception.__cause__
        again = detrun.replay(interpret, other, recording=followed.recording, max_steps=STEPS_MAX, raise_errors=False)
    same(followed, again)
