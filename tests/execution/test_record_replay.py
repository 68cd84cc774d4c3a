"""`record` and `replay` as a person uses them: files, bytes, failures, crashes, observation, wrong use."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun_recorder.format import CHUNK, END
from detrun_recorder.recording import open_recording
from detrun_recorder.writer import Writer
from detrun_scheduler import current
from detrun_scheduler.strategies.random_walk import RandomWalk


async def ping_pong(rounds: int = 20) -> list[float]:
    log: list[float] = []
    to_b, at_b = trio.open_memory_channel[float](0)
    to_a, at_a = trio.open_memory_channel[float](1)

    async def a() -> None:
        for _ in range(rounds):
            await to_b.send(detrun.uniform())
            log.append(await at_a.receive())

    async def b() -> None:
        for _ in range(rounds):
            message = await at_b.receive()
            await trio.sleep(message)
            await to_a.send(-message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(a)
        nursery.start_soon(b)
        nursery.start_soon(trio.sleep, 3)
    return log


async def fails() -> None:
    await trio.sleep(1)
    raise ValueError("wrong")


async def deadlocks() -> None:
    await trio.sleep_forever()


async def spins(steps: int) -> int:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    return steps


def test_a_recording_replays_from_a_file_from_bytes_and_from_memory(tmp_path: Path) -> None:
    file = tmp_path / "run.detrun"
    run = detrun.record(ping_pong, seed=9, to=file)
    assert run.recording.path == file
    assert file.read_bytes() == run.recording.to_bytes()
    for recording in (file, str(file), file.read_bytes(), run.recording, open_recording(file)):
        again = detrun.replay(ping_pong, recording=recording)
        assert (again.digest, again.result) == (run.digest, run.result)
        assert (again.steps, again.virtual_time) == (run.steps, run.virtual_time)
    assert detrun.record(ping_pong, seed=9).recording.to_bytes() == file.read_bytes()
    assert run.recording.seed == 9
    assert run.recording.strategy == "random"
    assert run.recording.target == f"{Path(__file__).relative_to(Path.cwd())}:ping_pong"


@pytest.mark.parametrize("strategy", ["fifo", "random", "pct", RandomWalk()])
def test_every_strategy_records_and_replays(strategy: Any) -> None:
    run = detrun.record(ping_pong, seed=1, strategy=strategy)
    assert detrun.replay(ping_pong, recording=run.recording).digest == run.digest


IN_A_FRESH_PROCESS = """
import sys
import detrun
from tests.execution.test_record_replay import ping_pong
run = detrun.replay(ping_pong, recording=sys.argv[1])
print(run.digest, run.result)
"""


def python(*arguments: str, hash_seed: str = "77") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_recording_replays_in_a_fresh_process_under_another_hash_seed(tmp_path: Path) -> None:
    file = tmp_path / "run.detrun"
    run = detrun.record(ping_pong, seed=2, to=file)
    done = python("-c", IN_A_FRESH_PROCESS, str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{run.digest} {run.result}"


STARTED_AS_A_SCRIPT = """
import dataclasses
import sys

import detrun

@dataclasses.dataclass
class Answer:
    number: float

async def main():
    return Answer(detrun.uniform())

if __name__ == "__main__":
    print(detrun.record(main, to=sys.argv[1]).digest)
"""


@pytest.mark.one_python
def test_a_result_of_a_class_of_the_program_has_one_digest_however_the_program_was_started(tmp_path: Path) -> None:
    """A class's module is __main__ in a script, the file's name when replayed by the command line."""
    script, file = tmp_path / "script.py", tmp_path / "run.detrun"
    script.write_text(STARTED_AS_A_SCRIPT)
    done = python(str(script), str(file))
    assert done.returncode == 0, done.stderr
    load = "import sys, detrun; from script import main; print(detrun.replay(main, recording=sys.argv[1]).digest)"
    replayed = python("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {load}", str(file))
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == done.stdout


def test_what_the_program_raises_is_raised_with_the_run_attached_and_raised_again_by_its_replay(tmp_path: Path) -> None:
    file = tmp_path / "run.detrun"
    with pytest.raises(ValueError, match="wrong") as caught:
        detrun.record(fails, to=file)
    run = caught.value.detrun_run  # type: ignore[attr-defined]
    assert run.exception is caught.value
    assert caught.value.__notes__ == [f"recorded; to run it again: detrun replay {file}"]
    with pytest.raises(ValueError, match="wrong"):
        detrun.replay(fails, recording=file)
    kept = detrun.replay(fails, recording=file, raise_errors=False)
    assert kept.digest == run.digest
    with pytest.raises(ValueError, match="wrong"):
        _ = kept.result
    end = open_recording(file).end
    assert end is not None
    assert (end.outcome, end.error_type, end.error_text) == ("error", "ValueError", "wrong")


@pytest.mark.parametrize(
    ("program", "args", "limit", "error"),
    [(deadlocks, (), None, detrun.DeadlockError), (spins, (10**9,), 100, detrun.StepLimitError)],
)
def test_a_run_that_cannot_go_on_is_recorded_whole_and_replays_to_the_same_error(
    program: Any, args: Any, limit: int | None, error: type[Exception]
) -> None:
    run = detrun.record(program, *args, max_steps=limit, raise_errors=False)
    assert isinstance(run.exception, error)
    assert not run.recording.truncated
    with pytest.raises(error):
        detrun.replay(program, *args, recording=run.recording)
    assert detrun.replay(program, *args, recording=run.recording, raise_errors=False).digest == run.digest
    assert current.run is None


KILLED = """
import os, signal, sys
import trio
import detrun
from unittest.mock import patch

async def program(kill_at):
    log = []
    async def task(index):
        for step in range(200):
            if index == 0 and step == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            log.append(index)
            await trio.lowlevel.checkpoint()
    async with trio.open_nursery() as nursery:
        for index in range(3):
            nursery.start_soon(task, index)
    return log

if __name__ == "__main__":
    with patch("detrun_scheduler.loop.CHUNK_STEPS", 64), patch("detrun_scheduler.journal.CHUNK_STEPS", 64):
        if sys.argv[2] == "record":
            detrun.record(program, 150, seed=3, to=sys.argv[1])
        else:
            whole = detrun.record(program, -1, seed=3)
            replayed = detrun.replay(program, -1, recording=sys.argv[1])
            print(replayed.recording.truncated, replayed.recording.steps, replayed.digest == whole.digest)
"""


@pytest.mark.one_python
def test_a_killed_process_leaves_a_recording_that_replays_and_goes_on_as_the_run_would_have(tmp_path: Path) -> None:
    script, file = tmp_path / "killed.py", tmp_path / "run.detrun"
    script.write_text(KILLED)
    assert python(str(script), str(file), "record").returncode == -signal.SIGKILL
    done = python(str(script), str(file), "replay")
    assert done.returncode == 0, done.stderr
    truncated, steps, equal = done.stdout.split()
    assert truncated == equal == "True"
    assert int(steps) > 0
    assert int(steps) % 64 == 0


def test_a_recording_that_cannot_be_created_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(detrun.UsageError, match=r"cannot write the recording to .*nowhere/run.detrun: No such file"):
        detrun.record(spins, 1, to=tmp_path / "nowhere" / "run.detrun")
    assert detrun.record(spins, 1).result == 1


@pytest.mark.parametrize("chunks_written", [0, 3, None])
def test_a_full_disk_ends_the_run_with_a_clear_error_and_leaves_what_was_written(
    chunks_written: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``None``: the chunks fit, the end does not."""
    file = tmp_path / "run.detrun"
    append_frame = Writer.append_frame
    frames = []

    def until_full(self: Writer, kind: int, payload: bytes) -> None:
        if kind == CHUNK and chunks_written is not None and frames.count(CHUNK) == chunks_written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if kind == END and chunks_written is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        frames.append(kind)
        append_frame(self, kind, payload)

    monkeypatch.setattr(Writer, "append_frame", until_full)
    monkeypatch.setattr("detrun_scheduler.loop.CHUNK_STEPS", 10)
    monkeypatch.setattr("detrun_scheduler.journal.CHUNK_STEPS", 10)
    with pytest.raises(detrun.UsageError, match=r"cannot write the recording to .*: No space left on device"):
        detrun.record(spins, 100, to=file, raise_errors=False)
    monkeypatch.undo()
    left = open_recording(file)
    assert left.truncated
    assert left.steps == (10 * chunks_written if chunks_written is not None else detrun.record(spins, 100).steps)


async def is_interrupted(in_a_nursery: bool) -> None:
    async def interrupt() -> None:
        await trio.sleep(1)
        signal.raise_signal(signal.SIGINT)
        await trio.sleep(1)

    if in_a_nursery:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupt)
    else:
        await interrupt()


@pytest.mark.parametrize("in_a_nursery", [False, True])
def test_ctrl_c_cuts_a_recording_short_and_a_replay_that_is_not_interrupted_goes_on(
    in_a_nursery: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.detrun"
    with pytest.raises(BaseException) as caught:
        detrun.record(is_interrupted, in_a_nursery, to=file)
    group = BaseExceptionGroup("", [caught.value])
    assert group.subgroup(KeyboardInterrupt) is not None
    recording = open_recording(file)
    assert recording.truncated
    assert recording.steps > 0
    monkeypatch.setattr(signal, "raise_signal", lambda _: None)
    replayed = detrun.replay(is_interrupted, in_a_nursery, recording=recording)
    assert replayed.virtual_time == 2.0


@trio.lowlevel.enable_ki_protection
async def interrupted_while_protected() -> None:
    signal.raise_signal(signal.SIGINT)
    await trio.sleep_forever()


async def catches_ctrl_c(how: str) -> str:
    await trio.sleep(1)
    try:
        if how == "between steps":
            with trio.fail_after(5):
                await interrupted_while_protected()
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        await trio.sleep(1)
        return "caught"
    for _ in range(3):
        await trio.sleep(1)
    return "undisturbed"


@pytest.mark.parametrize("how", ["in a step", "between steps"])
def test_ctrl_c_that_the_program_catches_cuts_the_recording_short_and_ends_a_replay(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps after an interrupt from outside cannot be repeated: they are left out of recording and comparison."""
    run = detrun.record(catches_ctrl_c, how)
    assert run.result == "caught"
    assert run.recording.truncated
    assert 0 < run.recording.steps < run.steps
    with monkeypatch.context() as quiet:
        quiet.setattr(signal, "raise_signal", lambda _: None)
        whole = detrun.record(catches_ctrl_c, "in a step")
        assert whole.result == "undisturbed"
    for mode in ("strict", "resync"):
        with pytest.raises(KeyboardInterrupt):
            detrun.replay(catches_ctrl_c, "in a step", recording=whole.recording, mode=mode)
    with pytest.raises(KeyboardInterrupt):
        detrun.check_determinism(catches_ctrl_c, how)


def test_observed_values_count_for_the_digest_and_must_agree_in_the_replay() -> None:
    counter = [0]

    async def main() -> None:
        counter[0] = 0
        for _ in range(3):
            counter[0] += 1
            await trio.lowlevel.checkpoint()

    plain = detrun.record(main)
    run = detrun.record(main, observe=lambda: counter[0])
    other = detrun.record(main, observe=lambda: 2 * counter[0])
    assert len({plain.digest, run.digest, other.digest}) == 3
    assert "observe" in run.recording.names
    assert detrun.replay(main, recording=run.recording, observe=lambda: counter[0]).digest == run.digest
    with pytest.raises(detrun.DivergenceError, match="some value"):
        detrun.replay(main, recording=run.recording, observe=lambda: 3 * counter[0])
    with pytest.raises(detrun.DivergenceError, match="observe"):
        detrun.replay(main, recording=run.recording)


def test_an_observer_that_fails_is_named() -> None:
    with pytest.raises(detrun.UsageError, match="observe raised ZeroDivisionError"):
        detrun.record(ping_pong, observe=lambda: 1 / 0)
    assert detrun.record(ping_pong).steps > 0


def test_an_argument_too_large_for_a_header_is_shortened_there_and_reaches_the_program_whole() -> None:
    async def length(items: list[int]) -> int:
        return len(items)

    run = detrun.record(length, list(range(500_000)))
    assert run.result == 500_000
    assert len(run.recording.header["arguments"][0]) <= 500


def test_a_run_inside_a_run_is_refused_and_the_outer_one_goes_on() -> None:
    recording = detrun.record(spins, 1).recording

    async def main() -> str:
        with pytest.raises(detrun.UsageError, match="inside a run"):
            detrun.record(spins, 1)
        with pytest.raises(detrun.UsageError, match="inside a run"):
            detrun.replay(spins, 1, recording=recording)
        with pytest.raises(detrun.UsageError, match="inside a run"):
            detrun.check_determinism(spins, 1)
        await trio.sleep(1)
        return "went on"

    assert detrun.record(main).result == "went on"


def test_an_exception_that_cannot_say_what_it_is_is_recorded_and_replayed_like_any_other() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

        __repr__ = __str__

    async def main() -> None:
        raise Mute

    run = detrun.record(main, raise_errors=False)
    assert isinstance(run.exception, Mute)
    assert run.recording.end is not None
    assert run.recording.end.error_text == "<its text raises ValueError>"
    assert detrun.replay(main, recording=run.recording, raise_errors=False).digest == run.digest
    detrun.check_determinism(main)


@pytest.mark.parametrize("limit", [None, 5])
def test_runs_that_deadlock_or_do_not_end_leave_no_cyclic_garbage(limit: int | None, garbage_of: Any) -> None:
    """A campaign turns the collector off over thousands of runs, and may be asked to go on after failures."""

    async def main() -> None:
        while limit is not None:
            await trio.lowlevel.checkpoint()
        await trio.sleep_forever()

    def once() -> None:
        run = detrun.record(main, max_steps=limit, raise_errors=False)
        assert type(run.exception) is (detrun.DeadlockError if limit is None else detrun.StepLimitError)

    assert garbage_of(once) == 0


def test_inside_plain_trio_a_run_needs_a_thread_of_its_own() -> None:
    async def called_directly() -> detrun.Run:
        return detrun.record(spins, 1)

    async def in_a_thread() -> detrun.Run:
        return await trio.to_thread.run_sync(lambda: detrun.record(spins, 1))

    with pytest.raises(detrun.UsageError, match=r"called inside trio\.run: .* in a thread of its own"):
        trio.run(called_directly)
    assert trio.run(in_a_thread).digest == detrun.record(spins, 1).digest


def test_wrong_use_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(detrun.UsageError, match=r"'chaos'.*choose one of .*fifo, .*random"):
        detrun.record(spins, 1, strategy="chaos")
    with pytest.raises(detrun.UsageError, match=r"strategy=3 is neither a name .* nor an oracle"):
        detrun.record(ping_pong, strategy=3)  # type: ignore[arg-type]
    for seed in ("7", 1.5, None):
        with pytest.raises(detrun.UsageError, match=f"seed={seed!r} is not an integer"):
            detrun.record(ping_pong, seed=seed)  # type: ignore[arg-type]
    for limit in (0, -1, 1.5, "many"):
        with pytest.raises(detrun.UsageError, match=f"max_steps={limit!r} must be an integer of at least 1"):
            detrun.record(ping_pong, max_steps=limit)  # type: ignore[arg-type]
    with pytest.raises(detrun.UsageError, match="to=5 is not a path"):
        detrun.record(ping_pong, to=5)  # type: ignore[arg-type]
    with pytest.raises(detrun.UsageError, match="expected a function, got 5"):
        detrun.record(5)  # type: ignore[arg-type]
    with pytest.raises(detrun.UsageError, match="expected a function, got <class 'dict'>"):
        detrun.record(dict)
    with pytest.raises(detrun.UsageError, match="got a coroutine"):
        detrun.record(spins(1))  # type: ignore[arg-type]
    recording = detrun.record(spins, 1).recording
    with pytest.raises(detrun.UsageError, match=r"'loose'; choose one of strict, resync, what-if"):
        detrun.replay(spins, 1, recording=recording, mode="loose")
    with pytest.raises(detrun.UsageError, match=r"not Run; of a Run, pass run\.recording"):
        detrun.replay(spins, 1, recording=detrun.record(spins, 1))  # type: ignore[arg-type]
    with pytest.raises(detrun.RecordingFormatError):
        detrun.replay(spins, 1, recording=tmp_path / "missing.detrun")
    with pytest.raises(detrun.RecordingFormatError):
        detrun.replay(spins, 1, recording=b"not a recording")


def test_programs_may_be_methods_partials_and_callable_objects() -> None:
    from functools import partial

    class Program:
        async def method(self, steps: int) -> int:
            return await spins(steps)

        async def __call__(self, steps: int) -> int:
            return await spins(steps)

    for main in (Program().method, Program(), partial(spins), partial(partial(Program().method))):
        run = detrun.record(main, 3)
        assert run.result == 3
        assert detrun.replay(main, 3, recording=run.recording).digest == run.digest


def test_a_run_takes_at_most_a_byte_a_step() -> None:
    """Three busy tasks: a choice and an outcome a step, compressed, definitions included."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(spins, 5000)

    run = detrun.record(main)
    assert len(run.recording.to_bytes()) < run.steps
