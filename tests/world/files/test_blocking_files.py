"""`open` and `os` in the code of a node against a real directory: the same calls, the same answers."""

from __future__ import annotations

import io
import mmap
import os
import shutil
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.errors import UsageError
from detrun.world.disk.disk import Disk, DiskLatency

PATHS = st.sampled_from(
    ["/a", "/b", "/d", "/d/a", "/d/e", "/a/x", "/d/../b", "/", "/b/", "/d/", "//a", "/a/.", "/./d//e/"]
)
MODES = st.sampled_from(["rb", "wb", "ab", "xb", "rb+", "wb+", "ab+", "r", "w", "a+", "r+", "rw", "z"])
FLAGS = st.sampled_from(
    [
        os.O_RDONLY,
        os.O_RDWR | os.O_CREAT,
        os.O_WRONLY | os.O_TRUNC,
        os.O_RDWR | os.O_APPEND,
        os.O_WRONLY | os.O_CREAT | os.O_EXCL,
        os.O_RDONLY | os.O_DIRECTORY,
    ]
)
SMALL = st.integers(0, 9)
DATA = st.binary(max_size=7)
CALLS = st.one_of(
    st.tuples(st.just("open"), PATHS, MODES, st.sampled_from([-1, 0, 3])),
    st.tuples(st.just("os_open"), PATHS, FLAGS),
    st.tuples(st.sampled_from(["use", "os_use"]), st.integers(0, 2)),
    st.tuples(st.sampled_from(["read", "os_read"]), SMALL),
    st.tuples(st.sampled_from(["write", "write", "os_write"]), DATA),
    st.tuples(st.just("seek"), SMALL, st.sampled_from([0, 2])),
    st.tuples(st.just("os_lseek"), SMALL, st.sampled_from([0, 1, 2])),
    st.tuples(st.just("os_pread"), SMALL, SMALL),
    st.tuples(st.just("os_pwrite"), DATA, SMALL),
    st.tuples(st.sampled_from(["truncate", "os_ftruncate"]), SMALL),
    st.tuples(st.sampled_from(["readline", "tell", "flush", "close", "sync_it", "os_close", "os_dup", "os_size"])),
    st.tuples(st.sampled_from(["mkdir", "rmdir", "unlink", "listdir", "size", "kind", "makedirs", "rmtree"]), PATHS),
    st.tuples(st.sampled_from(["rename", "copy"]), PATHS, PATHS),
    st.tuples(st.just("chmod"), PATHS, st.sampled_from([0o600, 0o755])),
    st.tuples(st.just("walk")),
)


OPEN = open  # the run's in a run, too


class Caller:
    """Makes calls below a directory and writes down what comes of each, with the directory left out."""

    def __init__(self, root):
        self.root = root
        self.files = []
        self.numbers = []

    def outcomes(self, calls):
        """What came of each call."""
        found = []
        for name, *arguments in calls:
            try:
                found.append(getattr(self, name)(*arguments))
            except OSError as error:
                # Which of several reasons a system names first is its own affair, but for those that programs act on.
                found.append(type(error) if type(error) is not OSError else error.errno)
            except (ValueError, TypeError, IndexError) as error:
                found.append(type(error))
        for file in self.files:
            file.close()
        for number in self.numbers:
            os.close(number)
        return found, self.walk()

    def __getattr__(self, name):
        if name.startswith("os_"):
            return lambda *arguments: getattr(os, name[3:])(self.numbers[-1], *arguments)
        return lambda *arguments: getattr(self.files[-1], name)(*map(self._fitting, arguments))

    def _fitting(self, value):
        file = self.files[-1]
        return value.hex() if isinstance(value, bytes) and "b" not in file.mode else value

    def open(self, path, mode, buffering):
        if len(self.files) < 3:
            self.files.append(OPEN(self.root + path, mode, buffering if "b" in mode else -1))

    def os_open(self, path, flags):
        if len(self.numbers) < 3:
            self.numbers.append(os.open(self.root + path, flags))

    def use(self, index):
        self.files.append(self.files.pop(index))

    def os_use(self, index):
        self.numbers.append(self.numbers.pop(index))

    def close(self):
        self.files.pop().close()

    def os_close(self):
        os.close(self.numbers.pop())

    def os_dup(self):
        self.numbers.append(os.dup(self.numbers[-1]))

    def os_lseek(self, offset, how):
        if os.fstat(self.numbers[-1]).st_mode & 0o100000:  # a place in a directory is a number that says nothing
            return os.lseek(self.numbers[-1], offset, how)

    def os_size(self):
        found = os.fstat(self.numbers[-1])
        return found.st_mode & 0o170000, found.st_size if found.st_mode & 0o100000 else 0

    def sync_it(self):
        self.files[-1].flush()
        os.fsync(self.files[-1].fileno())

    def mkdir(self, path):
        os.mkdir(self.root + path)

    def makedirs(self, path):
        os.makedirs(self.root + path, exist_ok=True)

    def rmdir(self, path):
        if path != "/":
            os.rmdir(self.root + path)

    def unlink(self, path):
        os.unlink(self.root + path)

    def rmtree(self, path):
        if path != "/":
            shutil.rmtree(self.root + path)

    def listdir(self, path):
        return sorted(os.listdir(self.root + path))

    def size(self, path):
        return Path(self.root + path).stat().st_size if os.path.isfile(self.root + path) else None

    def kind(self, path):
        path = self.root + path
        return os.path.exists(path), os.path.isdir(path), os.path.islink(path), os.access(path, os.R_OK)

    def rename(self, source, destination):
        if source != "/" and destination != "/":
            os.rename(self.root + source, self.root + destination)

    def copy(self, source, destination):
        shutil.copyfile(self.root + source, self.root + destination)

    def chmod(self, path, mode):
        if path != "/":
            os.chmod(self.root + path, mode)
            return os.stat(self.root + path).st_mode & 0o777

    def walk(self):
        """Everything that is there, by another way than the calls above."""
        return sorted(
            (str(one)[len(self.root) :], one.read_bytes() if one.is_file() else None)
            for one in Path(self.root or "/").rglob("*")
        )


def on_a_node(function, seed=0, **world):
    async def main():
        found = []

        async def body():
            found.append(function())

        async with detrun.World(**world) as opened:
            opened.node("a").start(body)
            await trio.sleep(60)
        return found[0]

    return detrun.record(main, seed=seed).result


@settings(max_examples=60)
@given(st.lists(CALLS, max_size=14))
def test_a_node_answers_as_a_real_directory_does(calls):
    with tempfile.TemporaryDirectory() as directory:
        real = Caller(directory).outcomes(calls)
    assert on_a_node(lambda: Caller("").outcomes(calls)) == real


def test_nodes_share_no_files_and_lose_what_they_have_not_synced(tmp_path):
    async def main():
        seen = {}

        def write():
            os.mkdir("/data")
            with open("/data/kept", "w") as kept, open("/data/lost", "w") as lost:
                print("synced", file=kept, flush=True)
                os.fsync(kept.fileno())
                lost.write("never synced")
            for path in ("/data", "/"):
                number = os.open(path, os.O_RDONLY)
                os.fsync(number)
                os.close(number)

        def look(name):
            seen[name] = {file.name: file.read_text() for file in Path("/data").glob("*")}

        async with detrun.World() as world:
            a = world.node("a")
            a.start(write)
            await trio.sleep(1)
            world.node("b").start(look, "b")
            a.power_loss()
            a.restart(look, "a")
            await trio.sleep(1)
        (tmp_path / "real").write_text("of the driver")  # whose files are real
        return seen

    outcomes = [detrun.record(main, seed=seed).result for seed in range(8)]
    assert all(one["b"] == {} and one["a"]["kept"] == "synced\n" for one in outcomes)
    assert {one["a"]["lost"] for one in outcomes} >= {"", "never synced"}  # as the seeds have it
    assert (tmp_path / "real").exists()


def test_a_thread_waits_for_the_disk_while_others_run_and_a_task_with_its_event_loop():
    def timed():
        begin, seen = time.monotonic(), []

        def write(name):
            with open(name, "wb", buffering=0) as file:
                file.write(b"x")
                os.fsync(file)
            seen.append((name, round(time.monotonic() - begin, 3)))

        threads = [threading.Thread(target=write, args=(name,)) for name in "xy"]
        for one in threads:
            one.start()
        time.sleep(0.5)
        seen.append(("main", round(time.monotonic() - begin, 3)))
        for one in threads:
            one.join()
        return seen

    latency = DiskLatency(fsync_seconds=1.0)
    found = on_a_node(lambda: write_once("/z"), disk=lambda node: Disk(node.name, latency=latency))
    assert found == 1.0

    async def main():
        found = []
        async with detrun.World(disk=lambda node: Disk(node.name, latency=latency)) as world:
            world.node("b").start(in_a_thread, timed, found)
            await trio.sleep(5)
        return found[-1]

    first, *rest = detrun.record(main).result
    assert first == ("main", 0.5)
    assert sorted(moment for _, moment in rest) == [1.0, 2.0]  # the device serves one after the other


def in_a_thread(function, found):
    found.append(function())


def write_once(path):
    begin = time.monotonic()
    with open(path, "w") as file:
        file.write("x")
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - begin


def test_threads_of_a_node_race_for_a_file():
    def check_then_act():
        made = []

        def make():
            if not os.path.exists("/lock"):
                with open("/lock", "w"):
                    made.append(1)

        threads = [threading.Thread(target=make) for _ in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        return len(made)

    async def main():
        found = []
        async with detrun.World() as world:
            world.node("a").start(in_a_thread, check_then_act, found)
            await trio.sleep(1)
        return found[0]

    assert {detrun.record(main, seed=seed).result for seed in range(20)} == {1, 2}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Path(os.__file__).write_text(""), "which code of a node can only read"),
        (lambda: os.unlink(os.__file__), "which code of a node can only read"),
        (lambda: io.FileIO("/x"), "goes past them"),
        (lambda: KEPT["open"]("/x", "w"), "goes past them"),
        (lambda: Path("/dev/urandom").read_bytes(), "a stream of the run"),
        (lambda: os.mkfifo("/x"), "no owners, special files"),
        (lambda: mmap.mmap(os.open("/x", os.O_RDWR | os.O_CREAT), 1), "no mapped memory"),
    ],
)
def test_what_would_reach_past_the_disk_is_refused_by_name(call, words):
    with pytest.raises(detrun.HiddenStateError, match=words):
        on_a_node(call)


KEPT = {"open": open}


def test_nodes_read_what_is_installed_and_what_the_world_names_and_change_none_of_it(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "config").write_text("real")

    def body():
        there = tmp_path / "sub" / "config"
        names = [one.name for one in there.parent.iterdir()]
        with pytest.raises(detrun.HiddenStateError):
            there.write_text("changed")
        with pytest.raises(FileNotFoundError) as missing:
            open("/nowhere/x", "w").close()
        return there.read_text(), names, os.path.exists(pytest.__file__), missing.value.__notes__[0][:37]

    read, names, is_installed, note = on_a_node(body, host_files=[tmp_path / "sub"])
    assert (read, names, is_installed) == ("real", ["config"], True)
    assert note == "this is the disk of node 'a', which b"
    with pytest.raises(UsageError, match="there is no"):
        on_a_node(body, host_files=["/no/such/file"])


def test_the_way_to_real_files_takes_no_steps_since_libraries_walk_it_for_every_loaded_module(tmp_path):
    above = tmp_path / "above"
    inside = above / "package" / "module.py"
    inside.parent.mkdir(parents=True)
    inside.write_text("")

    def steps_of(times: int) -> int:
        async def main() -> None:
            def walks() -> None:
                for _ in range(times):
                    assert os.path.realpath(inside) == str(inside)
                assert not above.exists()
                os.makedirs(above / "mine")

            async with detrun.World(host_files=[inside.parent]) as world:
                world.node("a").start(walks)
                await world.node("a").ended()

        return detrun.record(main).steps

    assert steps_of(0) == steps_of(20)


def test_a_folder_that_can_be_read_is_found_though_another_one_lies_in_it(tmp_path):
    (inner := tmp_path / "outer" / "inner").mkdir(parents=True)
    library = os.path.dirname(os.__file__)  # above the library's extension modules

    def body():
        return [os.path.isdir(one) for one in (inner.parent, inner, library, tmp_path)]

    assert on_a_node(body, host_files=[inner.parent, inner]) == [True, True, True, False]


def test_names_of_temporary_files_are_those_of_the_run_and_lie_on_the_disk():
    def body():
        with tempfile.NamedTemporaryFile("w+") as one, tempfile.TemporaryDirectory() as directory:
            one.write("x")
            with tempfile.TemporaryFile() as unnamed:
                unnamed.write(b"y")
            return one.name, directory, os.path.getmtime(directory) == time.time(), sorted(os.listdir("/tmp"))

    first = on_a_node(body)
    assert first == on_a_node(body)
    assert first[2]
    assert [f"/tmp/{name}" for name in first[3]] == sorted(first[:2])
    assert not Path(first[0]).exists()


def test_arrays_and_archives_are_saved_on_the_disk():
    def body():
        numpy.save("/array.npy", numpy.arange(3))
        numpy.savez("/both.npz", a=numpy.ones(2))
        with zipfile.ZipFile("/all.zip", "w") as archive:
            archive.write("/array.npy", "inside")
        shutil.copytree("/", "/copy", ignore=shutil.ignore_patterns("copy"))
        return numpy.load("/copy/array.npy").tolist(), numpy.load("/both.npz")["a"].sum(), sorted(os.listdir("/copy"))

    assert on_a_node(body) == ([0, 1, 2], 2.0, ["all.zip", "array.npy", "both.npz"])
