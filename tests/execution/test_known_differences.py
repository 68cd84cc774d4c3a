"""A divergence names what the header knows to be otherwise: the program, its arguments, the Python that ran it."""

from __future__ import annotations

import platform

import pytest
import trio

import detrun
from detrun.execution.known_differences import is_of_pytest, known_differences
from detrun_recorder.recording import open_recording


async def sleeps(seconds: float = 1.0) -> None:
    await trio.sleep(seconds)
    if seconds > 1:
        await trio.sleep(seconds)


async def counts(params: dict[str, float]) -> float:
    return params["x"]


def divergence_of(main, *args, recording) -> str:
    with pytest.raises(detrun.DivergenceError) as raised:
        detrun.replay(main, *args, recording=recording)
    return str(raised.value)


def test_another_program_is_named(tmp_path) -> None:
    path = tmp_path / "a file.detrun"
    detrun.record(sleeps, to=path)
    text = divergence_of(counts, {"x": 1.0}, recording=path)
    assert "test_known_differences.py:sleeps; this is " in text
    assert "is not controlled" not in text
    assert f"detrun show '{path}' --step" in text
    with pytest.raises(detrun.DivergenceError, match=r"test_known_differences\.py:counts"):
        detrun.gradient(counts, {"x": 1.0}, recording=path)


def test_other_arguments_are_named() -> None:
    recording = detrun.record(sleeps, 1.0).recording
    text = divergence_of(sleeps, 3.0, recording=recording)
    assert "the recording was made with 1.0; this is 3.0" in text
    assert "recording.save(path)" in text  # there is no file that a command could be given
    text = divergence_of(sleeps, recording=detrun.record(sleeps, 3.0).recording)
    assert "made with 3.0; this is no arguments" in text


def test_other_parameters_are_named() -> None:
    recording = detrun.record(counts, {"x": 1.0}, params={"x": 1.0}).recording
    assert "made with x=1.0; this is x=2.0" in divergence_of(counts, {"x": 2.0}, recording=recording)


def test_another_python_and_another_trio_are_named() -> None:
    recording = detrun.record(sleeps).recording
    header = {**recording.header, "python": "3.9.1", "packages": {"trio": "0.1", "numpy": "0"}}
    old = type(recording).from_chunks(header, list(recording.chunks()), recording.end)
    assert known_differences(old, sleeps, ()) == (
        f"the recording was made by Python 3.9.1; this is {platform.python_version()}",
        f"the recording was made with trio 0.1; this is {trio.__version__}",
    )


def test_what_is_the_same_or_cannot_be_told_is_not_named(tmp_path) -> None:
    recording = detrun.record(counts, {"x": 1.0}, params={"x": 1.0}).recording
    assert known_differences(recording, counts, ({"x": 1.0},)) == ()
    assert known_differences(recording, counts, None) == ()
    thing = object()

    async def takes(one: object) -> None:
        pass

    path = tmp_path / "file.detrun"
    detrun.record(takes, thing, to=path, target="tests/test_a.py::TestIt::takes[1]")
    assert known_differences(open_recording(path), takes, (object(),))[0].startswith("the recording is of tests/test_a")
    detrun.record(takes, thing, to=path)
    assert known_differences(open_recording(path), takes, (object(),)) == ()
    assert is_of_pytest("a.py::b")
    assert not is_of_pytest("a.py:b")


def test_the_advice_for_a_test_is_a_command_of_pytest(tmp_path) -> None:
    path = tmp_path / "file.detrun"
    detrun.record(sleeps, to=path, target="tests/test_a.py::sleeps[a b]")
    assert f"pytest 'tests/test_a.py::sleeps[a b]' --detrun-replay {path}" in divergence_of(
        counts, {"x": 1.0}, recording=path
    )
