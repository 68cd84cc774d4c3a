"""Files that code of a node makes in a folder of real files that it can read, as beside the script of a program."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that modules are imported from, with one."""
    (tmp_path / "program.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def on_a_node(*programs: Callable[[], Any], seed: int = 0) -> list[Any]:
    """What the programs return, one after the other, with a power loss between them; replayed once."""

    async def main() -> list[Any]:
        found: list[Any] = []

        def calls(program: Callable[[], Any]) -> Callable[[], None]:
            def call() -> None:
                found.append(program())

            return call

        async with detrun.World() as world:
            node = world.node("a")
            node.start(calls(programs[0]))
            await trio.sleep(1)
            for program in programs[1:]:
                node.power_loss()
                node.restart(calls(program))
                await trio.sleep(1)
        return found

    run = detrun.record(main, seed=seed)
    assert detrun.replay(main, recording=run.recording).digest == run.digest
    result: list[Any] = run.result
    return result


def test_folders_and_files_are_made_there_and_listed_with_the_real_ones(base: Path) -> None:
    def program() -> list[Any]:
        os.symlink(base, "/link")
        Path("/link/log.txt").write_text("line")
        (base / "out" / "deep").mkdir(parents=True, exist_ok=True)
        os.rename(base / "log.txt", base / "old.txt")
        with sqlite3.connect(base / "db.sqlite3") as connection:
            connection.execute("create table t(a)")
        return [
            os.listdir(base),
            [entry.name for entry in os.scandir(base)],
            os.listdir(os.fsencode(base)),
            os.listdir("/link"),
            sorted(one.name for one in base.glob("*.py")),
            (base / "program.py").read_text() + (base / "old.txt").read_text(),
            [len(files) for _, _, files in os.walk(base)],
        ]

    names = ["db.sqlite3", "old.txt", "out", "program.py"]
    as_bytes = [name.encode() for name in names]
    assert on_a_node(program)[0] == [names, names, as_bytes, names, ["program.py"], "x = 1\nline", [3, 0, 0]]
    assert os.listdir(base) == ["program.py"]


def test_the_folder_of_real_files_survives_a_power_loss_as_in_life(base: Path) -> None:
    def writes() -> None:
        with open(base / "kept", "w") as file:
            file.write("kept")
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(base, os.O_RDONLY)
        os.fsync(folder)
        (base / "lost").write_text("lost")

    def reads() -> tuple[str, list[str]]:
        return (base / "kept").read_text(), os.listdir(base)

    found = [on_a_node(writes, reads, seed=seed)[1] for seed in range(10)]
    assert {text for text, _ in found} == {"kept"}
    assert {tuple(names) for _, names in found} == {
        ("kept", "program.py"),
        ("kept", "lost", "program.py"),
    }


def test_real_files_are_not_changed(base: Path) -> None:
    def program() -> list[str]:
        said = []
        (base / "new").write_text("")
        for call in (
            lambda: (base / "program.py").write_text(""),
            lambda: (base / "program.py").unlink(),
            lambda: os.rename(base / "new", base / "program.py"),
            lambda: os.rename(base, "/elsewhere"),
            lambda: (base / "new").unlink(),
            lambda: base.rmdir(),
        ):
            try:
                call()
            except (detrun.HiddenStateError, OSError) as error:
                said.append(type(error).__name__)
        return said

    assert on_a_node(program)[0] == ["HiddenStateError"] * 4 + ["OSError"]


def test_in_older_recordings_nothing_could_be_made_there(base: Path) -> None:
    async def main() -> list[str]:
        said: list[str] = []

        def program() -> None:
            try:
                (base / "new").write_text("")
            except FileNotFoundError as error:
                said.append(type(error).__name__)

        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep(1)
        return said

    old = NewRun().execute(main, (), Options(thread_rules=9))
    assert old.outcome.unwrap() == ["FileNotFoundError"]
    assert detrun.replay(main, recording=old.recording).digest == old.digest
    assert detrun.record(main).result == []


def test_a_folder_on_the_disk_alone_is_listed_by_itself_whatever_its_name_is() -> None:
    async def main() -> list[Any]:
        found: list[Any] = []

        def program() -> None:
            folder = "/app/site-packages"  # a name of folders that nodes can read
            found.append((os.listdir(folder), [one.name for one in os.scandir(folder)]))
            os.rmdir(folder)

        async with detrun.World() as world:
            node = world.node("a")
            await node.disk.mkdir("/app")
            await node.disk.mkdir("/app/site-packages")
            node.start(program)
            await trio.sleep(1)
        return found

    assert detrun.record(main).result == [([], [])]
