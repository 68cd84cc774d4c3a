"""Files on a simulated disk against real ones: the same calls through trio on a real directory, the same answers."""

from __future__ import annotations

import gc
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.errors import UsageError
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.disk.files import RawFile
from tests.examples import examples

PATHS = st.sampled_from(
    [
        "/a",
        "/b",
        "/d",
        "/d/a",
        "/d/e",
        "/a/x",
        "/d/../b",
        "/",
        "/b/",
        "/d/",
        "//a",
        "/a/.",
        "/d/.",
        "/d/e/..",
        "/./d//e/",
    ]
)
MODES = st.sampled_from(["rb", "wb", "ab", "xb", "rb+", "wb+", "ab+", "r", "w", "a+", "r+"])
OPEN = st.tuples(st.just("open"), PATHS, MODES, st.sampled_from([-1, 0, 3]))
CALLS = st.one_of(
    OPEN,
    st.tuples(st.just("use"), st.integers(0, 2)),
    st.tuples(st.just("read"), st.integers(-1, 6)),
    st.tuples(st.just("write"), st.binary(max_size=7)),
    st.tuples(st.just("write"), st.binary(max_size=7)),
    st.tuples(st.just("readline"), st.just(-1)),
    st.tuples(st.just("seek"), st.integers(0, 9), st.sampled_from([0, 2])),
    st.tuples(st.just("tell")),
    st.tuples(st.just("truncate"), st.one_of(st.none(), st.integers(0, 9))),
    st.tuples(st.just("flush")),
    st.tuples(st.just("aclose")),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("rmdir"), PATHS),
    st.tuples(st.just("unlink"), PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("listdir"), PATHS),
)


class RealDirectory:
    """The file system of this machine, below a directory."""

    def __init__(self, root: str) -> None:
        self.root = root

    def at(self, path: str) -> str:
        return self.root + path

    async def open_file(self, path: str, mode: str, buffering: int) -> object:
        return await trio.open_file(self.at(path), mode, buffering, encoding=None if "b" in mode else "utf-8")

    async def mkdir(self, path: str) -> None:
        os.mkdir(self.at(path))

    async def rmdir(self, path: str) -> None:
        os.rmdir(self.at(path))

    async def unlink(self, path: str) -> None:
        os.unlink(self.at(path))

    async def rename(self, source: str, destination: str) -> None:
        os.rename(self.at(source), self.at(destination))

    async def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(self.at(path)))


async def answers(disk: object, calls: list[tuple]) -> list[object]:
    """The result of each call, or the error it raises; up to three files are open, of which one is in use."""
    given_back: list[object] = []
    files: dict[int, object] = {}
    used = 0
    for name, *args in calls:
        try:
            file = files.get(used)
            if name == "use":
                used = args[0]
            elif name == "open":
                if file is not None:
                    await files.pop(used).aclose()
                files[used] = await disk.open_file(*args)
                given_back.append("opened")
            elif name in ("mkdir", "rmdir", "unlink", "rename", "listdir"):
                given_back.append(await getattr(disk, name)(*args))
            elif file is not None:
                if name == "write" and "b" not in file.mode:
                    args = [args[0].hex() + "\n"]
                if name == "seek" and "b" not in file.mode:
                    args = [0, args[1]]  # text files seek to their ends only
                given_back.append(await getattr(file, name)(*args))
        except OSError as error:
            given_back.append((type(error).__name__, error.errno))
        except ValueError as error:
            given_back.append(type(error).__name__)
    for file in files.values():
        await file.aclose()
    return given_back


def real_tree(root: str) -> dict[str, bytes | None]:
    return {
        f"/{path.relative_to(root)}": None if path.is_dir() else path.read_bytes()
        for path in sorted(Path(root).rglob("*"))
    }


def skips(call: tuple) -> bool:
    # The errors of calls on the root depend on where the real root is.
    return call[0] in ("rmdir", "rename", "unlink", "open", "mkdir") and "/" in call[1:3]


@examples(60)
@given(calls=st.lists(CALLS, max_size=30))
def test_the_same_calls_give_the_same_answers_as_on_a_real_file_system(calls):
    calls = [call for call in calls if not skips(call)]
    root = tempfile.mkdtemp()
    try:
        real = trio.run(answers, RealDirectory(root), calls)
        disk = Disk()
        simulated = trio.run(answers, disk, calls)
        disk.file_system._check()
        assert simulated == real
        assert disk.tree() == dict(sorted(real_tree(root).items()))
    finally:
        shutil.rmtree(root)


def run(main, **options):
    return detrun.record(main, **options).result


def test_lines_of_text_come_one_by_one():
    async def main():
        disk = Disk()
        async with await disk.open_file("/poem", "w") as file:
            await file.writelines(["Öde\n", "zwei"])
        async with await disk.open_file("/poem") as file:
            return [line async for line in file]

    assert run(main) == ["Öde\n", "zwei"]


def test_what_was_not_flushed_is_lost_in_a_crash_and_what_was_is_not():
    async def main():
        disk = Disk()
        file = await disk.open_file("/f", "wb")
        await file.write(b"flushed ")
        await file.flush()
        await file.write(b"not flushed")
        disk.crash()
        with pytest.raises(UsageError, match="open it again"):
            await file.write(b"!")
        del file  # collected, its buffers would be flushed
        return disk.tree(), disk.durable_tree()

    assert run(main) == ({"/f": b"flushed "}, {})


def test_a_file_that_is_unlinked_lives_on_for_those_who_have_it_open():
    async def main():
        disk = Disk(capacity_bytes=1024)
        file = await disk.open_file("/f", "wb+", 0)
        await file.write(b"still here")
        await disk.unlink("/f")
        await file.seek(0)
        content = await file.read()
        used = disk.file_system.used_sectors
        await file.aclose()
        disk.file_system._check()
        return content, used, disk.file_system.used_sectors, disk.tree()

    assert run(main) == (b"still here", 1, 0, {})


def test_unbuffered_text_and_unknown_modes_are_refused_as_by_open():
    async def main():
        disk = Disk()
        for mode, buffering in (("w", 0), ("rw", -1), ("q", -1), ("wbt", -1), ("ww", -1)):
            with pytest.raises(ValueError, match=r"mode|unbuffered"):
                await disk.open_file("/f", mode, buffering)
            with pytest.raises(ValueError, match=r"mode|unbuffered|have"):
                open(os.devnull, mode, buffering)  # noqa: SIM115 (it does not open)
        with pytest.raises(io.UnsupportedOperation):
            async with await disk.open_file("/g", "wb") as file:
                await file.read()

    run(main)


def test_paths_do_what_paths_of_trio_do():
    async def use(root):
        await (root / "x" / "y").mkdir(parents=True)
        path = root / "x" / "y" / "notes.txt"
        answers = [await path.exists(), await path.write_text("ä\n"), await path.read_bytes(), await path.is_file()]
        answers += [await path.parent.is_dir(), path.name, path.suffix, (await path.stat()).st_size]
        other = await path.rename(path.with_name("other"))
        answers += [
            await path.exists(),
            await other.read_text(),
            [entry.name for entry in await other.parent.iterdir()],
        ]
        await other.with_suffix(".empty").touch()
        await other.unlink()
        await other.unlink(missing_ok=True)
        with pytest.raises(FileExistsError):
            await (root / "x").mkdir()
        await (root / "x").mkdir(exist_ok=True)
        return [*answers, sorted(entry.name for entry in await other.parent.iterdir())]

    root = tempfile.mkdtemp()
    try:
        real = trio.run(use, trio.Path(root))
    finally:
        shutil.rmtree(root)
    assert trio.run(use, Disk().path()) == real


async def search_and_compare(root):
    """The answers of paths and files to all calls besides reading and writing."""
    await (root / "d" / "e").mkdir(0o700, parents=True)
    await (root / "d" / "a.txt").write_text("hello", newline="")
    await (root / "d" / "e" / "b.txt").write_bytes(b"x")
    answers = [
        [sorted(str(path.relative_to(root)) for path in await root.glob(pattern))]
        for pattern in ("*", "*/*", "**/*.txt", "d/**/*", "d/*.t?t", "[a-d]/e/b.*", "**/e", "nowhere/*", "d/a.txt/*")
    ]
    directory, file = root / "d", root / "d" / "a.txt"
    answers += [sorted(path.name for path in await root.rglob("*.txt"))]
    answers += [str((await (directory / ".." / "d").resolve()).relative_to(root)), (await (root / "x").resolve()).name]
    for pattern in ("", "/etc"):
        with pytest.raises((ValueError, NotImplementedError)):
            list(await root.glob(pattern))
    answers += [await directory.samefile(str(directory / "e" / "..")), (await file.lstat()).st_size]
    for question in ("exists", "is_file", "is_dir", "is_symlink", "is_mount"):
        answers.append([await getattr(path, question)() for path in (directory, file, root / "nothing")])
    other = root / "x.tar.gz"
    answers += [other.stem, other.suffixes, other.with_stem("z").name, directory.joinpath("1", "2").parents[1].name]
    answers += [sorted([root / "b", root / "a"])[0].name, root / "a" < root / "b", file.match("*.txt"), file.parts[-2:]]
    answers += [directory.is_relative_to(root), file.is_absolute(), os.fsdecode(bytes(file)) == os.fspath(file)]
    async with await file.open("r+") as text:
        answers += [text.encoding.lower(), text.errors, text.newlines, text.line_buffering, text.isatty()]
        answers += [hasattr(text, name) for name in ("peek", "read1", "readall", "buffer", "raw")]
    async with await file.open("rb") as binary:
        answers += [await binary.peek(1), await binary.read1(2), await binary.readinto1(bytearray(2))]
        answers += [hasattr(binary, name) for name in ("encoding", "readall", "raw", "read1")]
    async with await file.open("rb", 0) as raw:
        answers += [await raw.readall(), hasattr(raw, "peek"), hasattr(raw, "raw")]
    return answers


def test_searching_comparing_and_asking_gives_what_it_gives_on_a_real_file_system():
    root = tempfile.mkdtemp()
    try:
        real = trio.run(search_and_compare, trio.Path(root))
    finally:
        shutil.rmtree(root)
    assert trio.run(search_and_compare, Disk().path()) == real


def test_what_a_simulated_disk_has_not_is_said_with_the_way_out():
    async def main():
        disk = Disk()
        with pytest.raises(AttributeError, match="no 'chmod': the disk has files, directories and links, but no permi"):
            await disk.path("a").chmod(0o600)
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            disk.path("a").nonsense  # noqa: B018
        async with await disk.open_file("/f", "wb") as file:
            with pytest.raises(OSError, match=r"no descriptor; instead of os.fsync.*await file.fsync"):
                os.fsync(file.fileno())
        with pytest.raises(UsageError, match="a rename does not lead to another disk"):
            await disk.path("f").rename(Disk("other").path("f"))

    run(main)


def test_paths_may_be_texts_bytes_and_path_objects_and_what_is_none_is_refused():
    async def main():
        disk = Disk(capacity_bytes=512)
        await disk.path("/text").write_bytes(b"1")
        for path in ("/text", b"/text", Path("/text"), trio.Path("/text"), disk.path("text"), Path("text")):
            async with await disk.open_file(path, "rb") as file:
                assert await file.read() == b"1"
        with pytest.raises(TypeError, match="not the file descriptor 3"):
            await disk.open_file(3)
        with pytest.raises(OSError, match="No space left on device: '/full'"):
            await disk.path("/full").write_bytes(b"2")
        with pytest.raises(UsageError, match="disk 'd': capacity_bytes=-1"):
            Disk("d", capacity_bytes=-1)
        slow = Disk("slow", latency=DiskLatency(bytes_per_second=0))
        await slow.path("f").write_bytes(b"1")
        with pytest.raises(UsageError, match="disk 'slow': bytes_per_second=0 is not valid; give a positive number"):
            await slow.path("f").read_bytes()

    run(main)


def test_a_file_that_was_refused_leaves_nothing_to_complain_about_when_it_is_collected(monkeypatch):
    complaints = []
    gc.collect()  # others' garbage may complain elsewhere
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: complaints.append(repr(unraisable.object)))
    with pytest.raises(ValueError, match="invalid mode"):
        RawFile(Disk(), "/f", "rw")
    with pytest.raises(FileNotFoundError):
        RawFile(Disk(), "/f", "r")
    gc.collect()
    assert not [complaint for complaint in complaints if "RawFile" in complaint]


def test_every_call_is_a_checkpoint_and_none_that_has_begun_is_cancelled():
    async def main():
        disk = Disk()
        file = await disk.open_file("/f", "wb")
        for call in (file.write(b"x"), file.flush(), file.fsync(), disk.mkdir("/d"), disk.listdir(), file.tell()):
            with trio.testing.assert_checkpoints():
                await call
        with trio.CancelScope() as scope:
            scope.cancel()
            await disk.mkdir("/never")
        return await disk.listdir()

    assert run(main) == ["d", "f"]


def test_reads_and_writes_at_an_offset_leave_the_position_and_go_past_the_buffer():
    """As `os.pread` and `os.pwrite` do with the descriptor of a buffered file."""

    async def main():
        disk = Disk()
        async with await disk.open_file("/a", "wb+") as file:
            await file.write(b"01234567")
            before_flush = await file.pread(3, 0)
            await file.flush()
            written = await file.pwrite(b"xy", 2)
            found = before_flush, written, await file.pread(4, 1), await file.pread(4, 6), await file.tell()
            await file.write(b"89")
        with pytest.raises(ValueError, match="closed file"):
            await file.pread(1, 0)
        return found, await disk.path("/a").read_bytes()

    assert detrun.record(main).result == ((b"", 2, b"1xy4", b"67", 8), b"01xy456789")
