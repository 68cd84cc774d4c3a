"""A program edited in one place: the replay stops at exactly the step that differs, with a readable report."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

import detrun
from detrun_recorder.divergence import Divergence
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import KeyedDraws

Edit = dict[str, Any]


async def program(edit: Edit) -> float:
    """Two workers share a lock, an atomic and a channel; ``edit`` says what is different from the recorded version."""
    cell = detrun.Atomic(1.0, name=edit.get("cell", "cell"))
    lock, event = trio.Lock(), trio.Event()
    send, receive = trio.open_memory_channel[int](4)

    async def worker(index: int) -> None:
        async with lock:
            await trio.sleep(edit.get("seconds", 1.0) if index else 1.0)
            if "operation" in edit and index:
                cell.fetch_sub(2.0)
            else:
                cell.fetch_add(edit.get("number", 2.0) if index else 2.0)
        for _ in range(edit.get("checkpoints", 1) if index else 1):
            await trio.lowlevel.checkpoint()
        if "fails" in edit and index:
            raise ValueError("edited")
        send.send_nowait(index)
        if "waits" in edit and index:
            await event.wait()

    async with trio.open_nursery() as nursery:
        for index in range(2):
            nursery.start_soon(worker, index, name=edit.get("name") if index else None)
        if "task" in edit:
            nursery.start_soon(trio.sleep, 0.5)
        event.set()
    await receive.receive()
    await receive.receive()
    if "draws" in edit:
        detrun.uniform()
    await trio.lowlevel.checkpoint()
    for _ in range(edit.get("more", 0)):
        await trio.lowlevel.checkpoint()
    return cell.load() + edit.get("result", 0)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return detrun.record(program, {}, seed=5).recording


def divergence_of(recording: Recording, edit: Edit) -> tuple[Divergence, str]:
    with pytest.raises(detrun.DivergenceError) as caught:
        detrun.replay(program, edit, recording=recording)
    divergence = caught.value.divergence
    assert isinstance(divergence, Divergence)
    assert str(caught.value) == str(divergence)
    return divergence, str(divergence)


def first_different_step(recording: Recording, edit: Edit) -> int:
    """An oracle that does not compare bytes: the decoded steps of a resync replay's own run would follow another
    schedule, so the edited program is recorded under the recorded choices, and the steps are compared as they print.
    """
    choices = [step.choice for step in recording.iter_steps() if step.choice is not None]
    edited = detrun.record(program, edit, seed=recording.seed or 0, strategy=Choices(choices), raise_errors=False)
    pairs = zip(recording.iter_steps(), edited.recording.iter_steps(), strict=False)
    return next((one.index for one, other in pairs if without_labels(one) != without_labels(other)), -1)


def without_labels(step: Any) -> tuple[Any, ...]:
    return (
        step.path,
        step.outcome,
        step.runnable,
        [(e.kind, e.number, e.label, e.operation, e.time) for e in step.events],
    )


class Choices(KeyedDraws):
    """An oracle that gives a list of answers, and 0 after its end."""

    def __init__(self, choices: list[int]) -> None:
        self.choices = choices

    def new_run(self, run: Any) -> None:
        self.left = iter(self.choices)

    def next_task(self, runnable: Any, current: int) -> int:
        choice = next(self.left, 0)
        return choice if choice < len(runnable) else 0


EDITS: dict[str, tuple[Edit, tuple[str, ...]]] = {
    "another name of an object": ({"cell": "total"}, ("object 'total' where the recording has 'cell'",)),
    "another name of a task": (
        {"name": "helper"},
        ("task 'main/helper' where the recording has 'main/worker[1]'", "spawned task"),
    ),
    "another operation": ({"operation": 1}, ("did something else", "fetch_add on cell", "fetch_sub on cell")),
    "another sleep": ({"seconds": 3.0}, ("time moved to", "where the recording has")),
    "an extra checkpoint": ({"checkpoints": 2}, ("its step ended otherwise", "reached a checkpoint", "returned")),
    "a checkpoint less": ({"checkpoints": 0}, ("its step ended otherwise", "reached a checkpoint", "returned")),
    "an extra task": ({"task": 1}, ("did something else", "spawned task", "main/sleep")),
    "a failure": ({"fails": 1}, ("its step ended otherwise", "raised", "returned")),
    "a draw": ({"draws": 1}, ("drew a random number",)),
    "longer at the end": ({"more": 3}, ("its step ended otherwise", "reached a checkpoint", "returned")),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_found_at_the_first_step_that_differs_and_described(recording: Recording, name: str) -> None:
    edit, texts = EDITS[name]
    divergence, text = divergence_of(recording, edit)
    expected = first_different_step(recording, edit)
    if name == "another name of an object":  # labels are compared where they are first used
        expected = next(step.index for step in recording.iter_steps() if any(e.operation for e in step.events))
    assert divergence.step == expected
    assert divergence.steps_recorded == recording.steps
    assert divergence.time == recording.step(divergence.step).time
    for part in texts:
        assert part in text
    head = (
        f"replay left the recording at step {divergence.step} of {recording.steps}, virtual time {divergence.time:g} s"
    )
    assert text.startswith(head)
    before = recording.step(divergence.step - 1)
    assert divergence.last_agreement.startswith(f"step {before.index}, task {before.task} ")
    assert divergence.actual.task.startswith("task ")
    assert f"--step {divergence.step}" in text


def test_the_stack_of_the_task_that_left_the_recording_is_shown_innermost_last(recording: Recording) -> None:
    divergence, text = divergence_of(recording, {"checkpoints": 2})
    assert divergence.stack
    assert divergence.stack[-1].startswith(__file__)
    assert "worker" in divergence.stack[-1]
    assert f"    at {divergence.stack[-1]}" in text


def test_a_value_alone_is_found_by_the_digest_of_its_stretch(recording: Recording) -> None:
    divergence, text = divergence_of(recording, {"number": 2.0000000000000004})
    assert divergence.step == recording.steps - 1
    assert f"some value in steps 0 to {recording.steps - 1} does not" in text


def test_a_result_alone_is_found_at_the_end(recording: Recording) -> None:
    divergence, text = divergence_of(recording, {"result": 1})
    assert divergence.step == recording.steps
    assert "every step agrees, but the program's result does not" in text
    assert recording.digest.hex() in text


async def sleeps(seconds: Any) -> None:
    for one in seconds:
        await trio.sleep(one)


def test_a_sleep_that_differs_within_the_resolution_of_recorded_times_is_found_by_the_digest() -> None:
    recording = detrun.record(sleeps, [1.0, 2.0]).recording
    with pytest.raises(detrun.DivergenceError, match="a time's last bits"):
        detrun.replay(sleeps, [1.0000000001, 2.0], recording=recording)


async def waits(count: int, then: str) -> None:
    for _ in range(count):
        await trio.lowlevel.checkpoint()
    if then == "deadlock":
        await trio.sleep_forever()
    elif then == "spin":
        while True:
            await trio.lowlevel.checkpoint()


def test_a_program_that_goes_on_where_the_recording_ended_in_a_deadlock_diverges_there() -> None:
    recording = detrun.record(waits, 3, "deadlock", raise_errors=False).recording
    with pytest.raises(detrun.DivergenceError) as caught:
        detrun.replay(waits, 6, "end", recording=recording)
    blocked = next(step.index for step in recording.iter_steps() if step.outcome == "sleep_forever")
    assert caught.value.divergence.step == blocked == recording.steps - 1
    assert "recorded: task 1 (main) blocked in sleep_forever" in str(caught.value)


def test_a_program_that_goes_on_where_the_recording_met_its_step_limit_diverges_there() -> None:
    recording = detrun.record(waits, 0, "spin", max_steps=50, raise_errors=False).recording
    with pytest.raises(
        detrun.DivergenceError, match="ends here with StepLimitError, but the program goes on"
    ) as caught:
        detrun.replay(waits, 0, "spin", recording=recording, max_steps=60)
    assert caught.value.divergence.step == 50


def test_a_recorded_step_limit_is_met_again_without_being_given_again() -> None:
    run = detrun.record(waits, 0, "spin", max_steps=50, raise_errors=False)
    for mode in ("strict", "resync"):
        again = detrun.replay(waits, 0, "spin", recording=run.recording, mode=mode, raise_errors=False)
        assert isinstance(again.exception, detrun.StepLimitError)
        assert again.digest == run.digest


def test_a_replay_that_hits_a_lower_step_limit_has_left_its_recording() -> None:
    recording = detrun.record(waits, 100, "end").recording
    with pytest.raises(detrun.DivergenceError, match="ended with StepLimitError, but the recording goes on") as caught:
        detrun.replay(waits, 100, "end", recording=recording, max_steps=20)
    assert caught.value.divergence.step == 20
    assert isinstance(caught.value.__cause__, detrun.StepLimitError)


def test_a_divergence_is_raised_even_where_errors_of_the_program_are_kept(recording: Recording) -> None:
    with pytest.raises(detrun.DivergenceError):
        detrun.replay(program, {"checkpoints": 2}, recording=recording, raise_errors=False)


def test_a_divergence_in_the_very_last_step_is_not_hidden_by_the_digest_of_the_last_stretch() -> None:
    async def last(draws: bool) -> None:
        await trio.lowlevel.checkpoint()
        if draws:
            detrun.uniform()

    recording = detrun.record(last, False).recording
    with pytest.raises(detrun.DivergenceError, match="drew a random number"):
        detrun.replay(last, True, recording=recording)


def test_a_process_is_fit_for_the_next_run_after_a_divergence(recording: Recording) -> None:
    divergence_of(recording, {"task": 1})
    assert detrun.replay(program, {}, recording=recording).digest == recording.digest.hex()


SOURCE = """
import trio

async def main():
    await trio.sleep({seconds})
"""


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("edited_program", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_changed_source_file_is_told_apart_from_a_program_that_is_not_deterministic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "edited_program.py"
    path.write_text(SOURCE.format(seconds=1))
    file = tmp_path / "run.detrun"
    detrun.record(loaded(path).main, to=file)
    path.write_text(SOURCE.format(seconds=2))
    os.utime(path, ns=(1, 1))
    with pytest.raises(detrun.DivergenceError) as caught:
        detrun.replay(loaded(path).main, recording=file)
    assert caught.value.divergence.source_changed
    assert "source has changed" in str(caught.value)
    assert "possible cause" not in str(caught.value)
    assert f"detrun show {file} --step" in str(caught.value)


def test_an_unchanged_source_leaves_causes_open() -> None:
    runs = []

    async def main() -> None:
        runs.append(1)
        await trio.sleep(len(runs))

    with pytest.raises(detrun.DivergenceError, match="possible cause") as caught:
        detrun.replay(main, recording=detrun.record(main).recording)
    assert not caught.value.divergence.source_changed


@pytest.mark.parametrize(
    ("was", "now", "named"),
    [
        ("1", "2", "PYTHONHASHSEED was 1 and is 2: replay with PYTHONHASHSEED=1"),
        ("1", None, "PYTHONHASHSEED was 1 and is not set"),
        ("random", None, "recorded without PYTHONHASHSEED, so processes hash strings differently"),
        ("1", "1", None),
        (None, "1", None),
    ],
)
def test_another_hash_of_strings_is_a_cause_by_name(
    was: str | None, now: str | None, named: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = []

    async def main() -> None:
        runs.append(1)
        await trio.sleep(len(runs))

    path = tmp_path / "run.detrun"
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    with monkeypatch.context() as process:
        if was is not None:
            process.setenv("PYTHONHASHSEED", was)
        detrun.record(main, to=path)
    if now is not None:
        monkeypatch.setenv("PYTHONHASHSEED", now)
    recording = open_recording(path)
    if was is None:
        header = {name: value for name, value in recording.header.items() if name != "hash_seed"}
        recording = Recording.from_chunks(header, list(recording.chunks()), recording.end)
    with pytest.raises(detrun.DivergenceError) as caught:
        detrun.replay(main, recording=recording)
    text = str(caught.value)
    assert ("goes through a set of strings" in text, "(set order, clock" in text) == (named is not None, named is None)
    assert named is None or named in text


def test_what_the_replayed_program_raised_is_said_with_its_line(recording: Recording) -> None:
    divergence, text = divergence_of(recording, {"fails": 1})
    assert divergence.actual.raised.startswith("ValueError")
    assert f"raised {divergence.actual.raised}" in text
    assert divergence.stack[-1].startswith(__file__)


def test_a_program_that_cannot_even_start_says_why(recording: Recording) -> None:
    with pytest.raises(detrun.DivergenceError, match=r"could not start, TypeError: .*positional argument"):
        detrun.replay(program, {}, "one too many", recording=recording)


@pytest.mark.parametrize("truncated", [False, True])
def test_a_sleep_that_differs_in_a_later_chunk_is_found_at_its_step(
    truncated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are compared one by one in each chunk, not at its end, where the digest would tell."""
    monkeypatch.setattr("detrun_scheduler.loop.CHUNK_STEPS", 64)
    monkeypatch.setattr("detrun_scheduler.journal.CHUNK_STEPS", 64)

    async def main(seconds: float) -> None:
        await trio.sleep(0.5)
        for _ in range(80):
            await trio.lowlevel.checkpoint()
        await trio.sleep(seconds)
        for _ in range(120):
            await trio.lowlevel.checkpoint()

    recording = detrun.record(main, 1.0).recording
    if truncated:
        recording = open_recording(recording.to_bytes()[: recording.entries[-1].position])
    assert recording.truncated == truncated
    with pytest.raises(detrun.DivergenceError) as caught:
        detrun.replay(main, 2.0, recording=recording)
    assert "at step 82" in str(caught.value)
    assert "time moved to 2.5 s where the recording has 1.5 s" in str(caught.value)
