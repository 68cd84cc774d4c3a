"""What calls of files answer on a node and in a real directory: paths in errors, modes, times, masks, limits."""

from __future__ import annotations

import asyncio
import os
import pathlib
import select
import selectors
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import detrun
from tests.world.processes.on_a_node import on_a_node

OPEN = open  # the run's in a run, too


def answers() -> Iterator[Callable[[], Any]]:
    """Calls one after another, below the working directory."""
    yield lambda: os.mkdir("d")
    yield lambda: os.mkdir("d")
    yield lambda: OPEN("d/missing/f", "w")
    yield lambda: pathlib.Path("f").write_text("text")
    yield lambda: OPEN("f", "x")
    yield lambda: OPEN("f/x", "w")
    yield lambda: OPEN("d", "w")
    yield lambda: OPEN("a\0b")
    yield lambda: os.stat("a\0b")
    yield lambda: os.path.exists("a\0b")
    yield lambda: os.mkdir("a\0b")
    yield lambda: OPEN("x" * 256, "w")
    yield lambda: OPEN("é" * 128, "w")
    yield lambda: os.stat("x/" * 2_100)
    yield lambda: OPEN("f", opener=lambda *_: -1)
    yield lambda: OPEN("f", opener=lambda *_: "f")
    yield lambda: os.stat(pathlib.Path("gone"))
    yield lambda: os.listdir(b"gone")
    yield lambda: os.rename("gone", "d/missing/x")
    yield lambda: os.rename("f", "d/missing/x")
    yield lambda: os.rename("f", dst="d")
    yield lambda: os.open("f", os.O_RDONLY, dir_fd=12_345)
    yield lambda: os.open("f", os.O_RDONLY | os.O_DIRECTORY)
    yield lambda: sorted(os.listdir(None))
    yield lambda: repr(OPEN("f", "rb", 0))
    yield lambda: [OPEN("m", mode).mode for mode in ("wb+", "ab+", "rb+", "wb")]
    yield lambda: tempfile.TemporaryFile(dir=".").mode  # noqa: SIM115
    # Descriptors.
    yield lambda: os.pread(os.open("f", os.O_RDONLY), 3, -1)
    yield lambda: os.read(os.open("f", os.O_RDONLY), -1)
    yield lambda: os.pwrite(os.open("f", os.O_RDWR), b"x", -1)
    yield lambda: os.lseek(os.open("f", os.O_RDONLY), -1, os.SEEK_SET)
    yield lambda: os.lseek(os.open("f", os.O_RDONLY), 1, os.SEEK_DATA)
    yield lambda: os.lseek(os.open("f", os.O_RDONLY), 1, os.SEEK_HOLE)
    yield lambda: os.lseek(os.open("f", os.O_RDONLY), 9, os.SEEK_DATA)
    yield lambda: os.fsync(object())  # type: ignore[arg-type]  # on purpose
    yield lambda: os.close(os.open("f", os.O_RDONLY | os.O_TRUNC)) or os.stat("f").st_size
    # Times and modes.
    yield lambda: os.utime("f", (5, 7.25)) or (os.stat("f").st_atime_ns, os.stat("f").st_mtime_ns)
    yield lambda: os.utime("f", (1_700_000_000.1, -0.5)) or (os.stat("f").st_atime_ns, os.stat("f").st_mtime_ns)
    yield lambda: os.utime("f", ns=(1, 2)) or (os.stat("f").st_atime_ns, os.stat("f").st_mtime_ns)
    yield lambda: os.utime("f", 5)  # type: ignore[arg-type]  # on purpose
    yield lambda: os.umask(0o077)
    yield lambda: OPEN("private", "w").close() or stat.filemode(os.stat("private").st_mode)
    yield lambda: os.mkdir("own") or stat.filemode(os.stat("own").st_mode)
    yield lambda: os.umask(0o022)
    yield lambda: os.close(os.open("open", os.O_CREAT | os.O_WRONLY)) or stat.filemode(os.stat("open").st_mode)
    yield lambda: [os.pathconf(".", name) for name in ("PC_NAME_MAX", "PC_PATH_MAX", "PC_PIPE_BUF")]
    yield lambda: os.pathconf(".", "PC_OF_NOTHING")
    yield lambda: [bool(found) for found in select.select([OPEN("f")], [OPEN("f")], [OPEN("f")], 1)]
    yield lambda: polled(OPEN("f"), select.POLLIN, close=False)
    yield lambda: polled(OPEN("f"), select.POLLIN | select.POLLOUT, close=False)
    yield lambda: polled(OPEN("f"), select.POLLIN, close=True)
    yield lambda: select.epoll().register(OPEN("f"))
    yield lambda: selectors.DefaultSelector().register(OPEN("f"), selectors.EVENT_READ)
    yield lambda: asyncio.run(watched())
    yield lambda: inherited(os.open("f", os.O_RDONLY))
    yield lambda: nameless("gone")
    # A directory that is held and renamed, and one that is removed under its process.
    folder: list[int] = []
    yield lambda: folder.append(os.open("d", os.O_RDONLY))
    yield lambda: os.rename("d", "e")
    yield lambda: os.close(os.open("late", os.O_CREAT | os.O_WRONLY, dir_fd=folder[0]))
    yield lambda: (os.listdir("e"), os.listdir(folder[0]))
    yield lambda: os.fchdir(folder[0]) or os.path.basename(os.getcwd())
    yield lambda: os.unlink("late") or os.rmdir("../e")
    yield lambda: os.getcwd()
    yield lambda: OPEN("x", "w")
    yield lambda: os.chdir("..")


def polled(file: Any, events: int, *, close: bool) -> list[int]:
    poll = select.poll()
    poll.register(file, events)
    if close:
        file.close()
    return [found for _, found in poll.poll(1)]


async def watched() -> None:
    asyncio.get_running_loop().add_reader(OPEN("f"), print)


def inherited(number: int) -> list[bool]:
    before = os.get_inheritable(number)
    os.set_inheritable(number, True)
    return [before, os.get_inheritable(number)]


def nameless(name: str) -> list[int]:
    file = OPEN(name, "w")
    before = os.fstat(file.fileno()).st_nlink
    os.unlink(name)
    return [before, os.fstat(file.fileno()).st_nlink]


def outcomes() -> list[str]:
    found = []
    for call in answers():
        try:
            found.append(repr(call()))
        except (OSError, ValueError, TypeError) as error:
            words = "embedded null" if "embedded null" in str(error) else str(error)  # of which versions say more
            found.append(f"{type(error).__name__}: {words}")
    return found


def test_a_node_names_paths_as_they_were_given_and_keeps_modes_and_times(tmp_path: pathlib.Path) -> None:
    before = os.getcwd()
    os.chdir(tmp_path)
    mask = os.umask(0o022)
    try:
        real = outcomes()
    finally:
        os.umask(mask)
        os.chdir(before)

    def program() -> list[str]:
        os.mkdir("/work")
        os.chdir("/work")
        return outcomes()

    # The last are about a directory that is gone, from which the way up leads on, on a real disk only.
    assert on_a_node(program)[:-1] == real[:-1]
    assert [os.umask(mask), os.umask(mask)] == [mask, mask]


def test_a_child_has_the_mask_of_its_parent_or_the_one_that_it_is_given() -> None:
    def program() -> list[str]:
        os.umask(0o027)
        for name, options in (("a", {}), ("b", {"umask": 0o077})):
            subprocess.run([sys.executable, "-c", f"open('/{name}', 'w').close()"], check=True, **options)
        return [stat.filemode(os.stat(name).st_mode) for name in ("/a", "/b")]

    assert on_a_node(program) == ["-rw-r-----", "-rw-------"]


def test_a_program_may_work_in_a_directory_of_real_files_that_its_node_reads(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").write_text("real")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "inner").write_text("deep")

    def program(found: list[Any]) -> None:
        os.chdir(tmp_path)
        found += [OPEN("data").read(), os.getcwd() == str(tmp_path), os.listdir()]
        with pytest.raises(NotADirectoryError):
            os.chdir("data")
        found.append([(folder, names) for folder, _, names, _ in os.fwalk(tmp_path)])
        folder = os.open(tmp_path, os.O_RDONLY)
        found.append(os.read(os.open("data", os.O_RDONLY, dir_fd=folder), 9))
        command = [sys.executable, "-c", "print(open('inner').read())"]
        found.append(subprocess.run(command, check=True, capture_output=True, text=True, cwd="below").stdout)

    async def system() -> list[Any]:
        found: list[Any] = []
        async with detrun.World(host_files=[tmp_path]) as world:
            world.node("a").start(program, found)
            await world.node("a").ended()
        return found

    walked = [(str(tmp_path), ["data"]), (f"{tmp_path}/below", ["inner"])]
    assert detrun.record(system).result == ["real", True, ["below", "data"], walked, b"real", "deep\n"]
