"""What a module asks of a node's disk while it is imported."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.world.disk.disk import Disk, DiskLatency

MODULE = """
import os
is_there = [os.path.exists(f"/settings/{number}") for number in range(3)]
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "asks_the_disk.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)

    async def main() -> list[Any]:
        seen: list[Any] = []

        def on_node() -> None:
            seen.append(import_module("asks_the_disk").is_there)
            seen.append(os.path.exists("/"))

        latency = DiskLatency(metadata_seconds=1.0)
        async with detrun.World(disk=lambda name: Disk(name, latency=latency)) as world:
            node = world.node("a")
            begin = trio.current_time()
            node.start(on_node)
            await trio.sleep(100)
            seen.append(trio.current_time() - begin)
        return seen

    yield main
    sys.modules.pop("asks_the_disk", None)


def test_a_recording_of_a_first_import_is_replayed_where_the_module_is_imported(program: Any) -> None:
    first = detrun.record(program)
    assert first.result == [[False, False, False], True, 100.0]
    assert "asks_the_disk" in sys.modules
    assert detrun.record(program).digest == first.digest
    assert detrun.replay(program, recording=first.recording).digest == first.digest


def test_older_recordings_have_the_steps_of_imports(program: Any) -> None:
    old = NewRun(seed=0).execute(program, (), Options(thread_rules=8))
    sys.modules.pop("asks_the_disk")
    assert detrun.replay(program, recording=old.recording).digest == old.digest
    sys.modules.pop("asks_the_disk")
    assert detrun.record(program).steps < old.steps
