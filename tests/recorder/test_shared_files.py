"""Files that several processes want at once: no torn file, no lost work, and a clear word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import detrun
from detrun_recorder.header import describe_run
from detrun_recorder.shared_files import held, unwritable, write_whole
from detrun_recorder.writer import Writer


async def nothing() -> None:
    """A program of four steps."""


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_whole(target, [b"old"])

    def fails_midway():
        yield b"new"
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(target, fails_midway())
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_temporary_file_does_not_need_a_longer_name(tmp_path: Path) -> None:
    write_whole(tmp_path / ("n" * 255), [b"content"])


def test_two_writers_of_one_path_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "run.detrun"
    with Writer(path, describe_run()):
        began = path.read_bytes()
        other = f"import detrun\nasync def main(): pass\ndetrun.record(main, to={str(path)!r})"
        done = subprocess.run([sys.executable, "-c", other], stderr=subprocess.PIPE, text=True, check=False)
        assert "another process is recording to it" in done.stderr
        assert path.read_bytes() == began
    detrun.record(nothing, to=path)  # the lock is gone with the writer


def test_a_lock_is_held_by_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    lock = tmp_path / "campaigns" / "lock"
    other = (
        "from pathlib import Path\nfrom detrun_recorder.shared_files import held\n"
        f"with held(Path({str(lock)!r})) as ours: print(ours)"
    )
    with held(lock) as ours:
        assert ours
        assert subprocess.check_output([sys.executable, "-c", other], text=True) == "False\n"
    assert subprocess.check_output([sys.executable, "-c", other], text=True) == "True\n"
    assert os.listdir(lock.parent) == []


def test_a_directory_that_cannot_be_written_is_known_before_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert unwritable(tmp_path / "new" / "deeper") == ""
    assert "Not a directory" in unwritable(tmp_path / "file" / "below")
    assert unwritable(Path("/proc/detrun"))
    assert os.listdir(tmp_path) == ["file"]
