"""Golden files: a recording made by any version of the format keeps loading, with the same content.

``golden-1.detrun`` to ``golden-2.3.detrun`` were made once each, when theirs was the latest version, by `make_golden`
below: ``PYTHONPATH=scheduler:recorder python -m tests.recorder.test_golden`` in the checkout.
They must never be made again: a change that cannot load them needs a new major version of the format, which still
reads these.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from detrun_recorder import format as layout
from detrun_recorder.contents import End
from detrun_recorder.recording import open_recording
from detrun_recorder.steps import Event, Step
from detrun_recorder.writer import Writer
from detrun_scheduler.journal import Chunk
from tests.recorder import independent_reader

VERSIONS = {"1": (1, 0), "2": (2, 0), "2.1": (2, 1), "2.2": (2, 2), "2.3": (2, 3)}
HEADER = {
    "detrun": "0.1.0",
    "python": "3.11.7",
    "target": "counter:main",
    "parameters": {"rate": 0.5},
    "seed": 42,
    "strategy": "random",
}


def golden(version: str) -> Path:
    return Path(__file__).with_name(f"golden-{version}.detrun")


def golden_chunks(version: tuple[int, int]) -> list[Chunk]:
    """Two chunks by hand: main starts two workers, one of which sleeps while the other sends."""
    first = Chunk(
        first_step=0,
        start_time=0.0,
        choices=b"\1\1",
        outcomes=b"\x80\0\x83",
        #       spawn 1, spawn 2 |  operation: fetch_add on 0; send on 1; draw; effect 0; time; wake 2
        events=b"\2\1\2\2\0" + b"\4\0\3\7\1\5\6\0\1\0",
        times=array("d", (0.25,)),
        payloads=[b"\xc0"],
        tasks=[(0, -1, "main"), (1, 0, "main/worker[0]"), (2, 0, "main/wörker[1]")],
        kinds=["sleep"],
        objects=["counter", "channel"],
        names=["read_file"],
        digest=bytes(range(16)),
    )
    second = Chunk(
        first_step=3,
        start_time=0.25,
        choices=b"\0\1\0",
        outcomes=b"\x81\x80\x82\x01",
        events=b"\3\1\0" + b"\x08\1\x09\1\0" + b"\x0a\2\0",
        times=array("d"),
        payloads=[],
        tasks=[],
        kinds=[],
        objects=[],
        names=["loss", "crash"],
        digest=bytes(range(16, 32)),
        endings=[(1, "cancelled"), (2, "failed: ValueError")] if version >= (2, 2) else [],
    )
    return [first, second]


def make_golden() -> None:
    """Write the file of the latest version."""
    with Writer(golden(f"{layout.MAJOR}.{layout.MINOR}"), HEADER) as writer:
        for chunk in golden_chunks((layout.MAJOR, layout.MINOR)):
            writer.write_chunk(chunk)
        writer.close(End(7, 0.25, bytes(range(16, 32)), "error", "ValueError", "lost", {"draws": 1}))


MAIN, FIRST, SECOND = "main", "main/worker[0]", "main/wörker[1]"
STEPS = [
    Step(0, 0.0, 0, MAIN, (0,), None, "checkpoint", (Event("spawn", 1, FIRST), Event("spawn", 2, SECOND))),
    Step(1, 0.0, 1, FIRST, (0, 1, 2), 1, "checkpoint", ()),
    Step(
        2,
        0.0,
        1,
        FIRST,
        (0, 1, 2),
        1,
        "sleep",
        (
            Event("operation", 0, "counter", "fetch_add"),
            Event("send", 1, "channel"),
            Event("draw"),
            Event("effect", 0, "read_file", payload=b"\xc0"),
            Event("time", time=0.25),
        ),
    ),
    Step(3, 0.25, 0, MAIN, (0, 2), 0, "done", (Event("wake", 1, FIRST),)),
    Step(4, 0.25, 2, SECOND, (1, 2), 1, "checkpoint", (Event("receive", 1, "channel"), Event("observe", 1, "loss"))),
    Step(5, 0.25, 1, FIRST, (1, 2), 0, "failed", (Event("fault", 2, "crash"),)),
    Step(6, 0.25, 2, SECOND, (2,), None, "done", ()),
]
# A file that says how its tasks ended: the last step of the worker that returned from a thread's point of view failed.
STEPS_WITH_ENDINGS = [*STEPS[:5], replace(STEPS[5], outcome="cancelled"), replace(STEPS[6], outcome="failed")]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_golden_file_says_what_it_always_said(version: str) -> None:
    recording = open_recording(golden(version))
    assert recording.version == VERSIONS[version]
    assert recording.header == {**HEADER, "ticks_per_second": 1_000_000, "exact_times": False}
    assert list(recording.iter_steps()) == (STEPS if recording.endings is None else STEPS_WITH_ENDINGS)
    assert list(recording.chunks()) == golden_chunks(recording.version)
    assert recording.endings == ({1: "cancelled", 2: "failed: ValueError"} if version in ("2.2", "2.3") else None)
    assert recording.end == End(7, 0.25, bytes(range(16, 32)), "error", "ValueError", "lost", {"draws": 1})
    assert recording.tasks == {0: (-1, MAIN), 1: (0, FIRST), 2: (0, SECOND)}
    assert (recording.objects, recording.names) == (["counter", "channel"], ["read_file", "loss", "crash"])
    assert [entry.objects for entry in recording.entries] == [frozenset((0, 1)), frozenset((1,))]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_other_reader_agrees(version: str) -> None:
    read = independent_reader.read(golden(version).read_bytes())
    assert [(step["task"], step["outcome"]) for step in read["steps"]] == [(step.task, step.outcome) for step in STEPS]
    assert read["tables"]["endings"] == (open_recording(golden(version)).endings or {})


def test_the_latest_version_has_its_file() -> None:
    assert max(VERSIONS.values()) == (layout.MAJOR, layout.MINOR)
    assert golden("2.1").read_bytes() != golden("2").read_bytes()


if __name__ == "__main__":
    make_golden()
