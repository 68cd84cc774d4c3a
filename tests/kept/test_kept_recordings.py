"""Recordings that were made once and are kept: each must replay with the digest that it had.

They were recorded before the code was laid out in rooms, and must replay for ever while the version of the file format
that they have is supported, because people keep failures in files. Nothing here is ever made again. A
change after which one of them no longer replays has changed what a program does under detrun, or what a digest covers,
and needs a new version of the format, or has to be undone.

``programs.py`` has the programs and uses public names only. ``expected.json`` says which recordings each of them has:
one for every Python, or, where Python's own threading module takes other steps in one version than in another, several.
Digests cover floats to the last bit, and these are of the mathematics of Linux on x86-64 (docs/determinism.md).
"""

from __future__ import annotations

import importlib.util
import json
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import detrun

HERE = Path(__file__).resolve().parent
EXPECTED: dict[str, list[dict[str, Any]]] = json.loads((HERE / "expected.json").read_text())
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
PARAMS = {"start": 0.5, "rate": 1.2, "mean": 0.1, "timeout": 0.15}

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="digests of floats hold per platform, and these are of Linux on x86-64",
)


def load_programs() -> ModuleType:
    """The programs, wherever this directory lies."""
    spec = importlib.util.spec_from_file_location("kept_programs", HERE / "programs.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


programs = load_programs()


def is_for(expected: dict[str, Any], python: str) -> bool:
    return expected["pythons"] is None or python in expected["pythons"]


def recordings() -> list[Any]:
    """Every recording; those of other versions of Python are skipped with that reason."""
    found = []
    for name, several in EXPECTED.items():
        for expected in several:
            versions = " and ".join(expected["pythons"] or ())
            skip = pytest.mark.skip(reason=f"is of Python {versions}, whose threading takes other steps")
            marks = [] if is_for(expected, RUNNING) else [skip]
            found.append(pytest.param(name, expected, id=expected["file"], marks=marks))
    return found


def arguments_of(name: str) -> list[dict[str, float]]:
    return [PARAMS] if name == "differentiated" else []


@pytest.mark.parametrize(("name", "expected"), recordings())
def test_a_kept_recording_replays_with_its_digest(name: str, expected: dict[str, Any]) -> None:
    program, path = getattr(programs, name), HERE / expected["file"]
    run = detrun.replay(program, *arguments_of(name), recording=path, raise_errors=False)
    assert (run.digest, run.steps) == (expected["digest"], expected["steps"])


def test_a_kept_recording_has_the_derivatives_that_it_had() -> None:
    (expected,) = EXPECTED["differentiated"]
    found = detrun.gradient(programs.differentiated, PARAMS, recording=HERE / expected["file"])
    assert found.digest == expected["digest"]
    assert found.grads == pytest.approx(expected["gradient"], rel=1e-12)


def test_every_file_is_expected_and_every_program_has_one() -> None:
    files = [expected["file"] for several in EXPECTED.values() for expected in several]
    assert sorted(files) == sorted(path.name for path in HERE.glob("*.detrun"))
    missing = [name for name, several in EXPECTED.items() if not any(is_for(one, RUNNING) for one in several)]
    assert not missing, f"record these with Python {RUNNING}, by a detrun that replays all others: {missing}"


async def one_number_changed() -> Any:
    return await programs.atomics(step=0.5 + 1e-12)


async def one_byte_changed() -> Any:
    return await programs.streams(payload=b"hellO;")


@pytest.mark.parametrize(("name", "changed"), [("atomics", one_number_changed), ("streams", one_byte_changed)])
def test_a_program_that_does_something_else_is_noticed(name: str, changed: Any) -> None:
    """A number in its twelfth digit, one byte of a message: the steps are the same, and the digest is not."""
    with pytest.raises(detrun.DivergenceError):
        detrun.replay(changed, recording=HERE / f"{name}.detrun")


def test_a_byte_of_the_file_that_is_changed_is_noticed() -> None:
    data = bytearray((HERE / "atomics.detrun").read_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(detrun.RecordingFormatError):
        detrun.replay(programs.atomics, recording=bytes(data))
