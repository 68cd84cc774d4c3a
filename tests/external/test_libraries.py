"""Libraries run unmodified on the nodes of a world, calm, through a partition and through a crash, and replay.

None of them is needed to develop detrun, so each test is skipped where its library is not installed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import detrun

sys.path.insert(0, str(Path(__file__).resolve().parent))
from libraries import BEGIN, END, KEPT, LIBRARIES, PAGE, Library, judged, programs, table, tried

pytestmark = [pytest.mark.external, pytest.mark.one_python]
RUNS = [(library, kind) for library in LIBRARIES for kind in library.expected]


@pytest.mark.parametrize(("library", "kind"), RUNS, ids=[f"{library.name}: {kind}" for library, kind in RUNS])
def test_a_library_does_what_is_expected_and_its_replay_is_the_same_run(library: Library, kind: str) -> None:
    for module in library.modules:
        pytest.importorskip(module)
    program, backend = programs(library)[kind]
    run = detrun.record(program, backend=backend)  # type: ignore[arg-type]  # a word of three
    assert run.result == library.expected[kind]
    assert detrun.replay(program, recording=run.recording).digest == run.digest


def of(name: str) -> Library:
    return next(one for one in LIBRARIES if one.name == name)


def test_a_program_is_replayed_in_a_fresh_process_under_another_hash_seed() -> None:
    found = tried(of("socketserver"), "partition", sys.executable)
    assert "problem" not in found
    assert found["steps"] > 50


def test_another_digest_and_an_unexpected_result_are_problems() -> None:
    run = {"digest": "a", "steps": 3, "result": [1]}
    assert judged(run, dict(run), [1]) == run
    assert judged(run, {**run, "digest": "b"}, [1]) == {"problem": "the replay differs"}
    assert judged(run, dict(run), [2]) == {"problem": "unexpected result [1]"}


def test_the_table_of_the_page_is_what_the_script_has_kept() -> None:
    kept: dict[str, Any] = json.loads(KEPT.read_text())
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown == table(kept)
    assert [row["library"] for row in kept["rows"]] == [library.name for library in LIBRARIES]
    assert not [run for row in kept["rows"] for run in row["runs"].values() if "problem" in run]
