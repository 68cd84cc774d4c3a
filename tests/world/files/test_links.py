"""Links on the disk of a node against a real directory, and what a power loss leaves of them."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.world.disk.crash_states import crash_states
from detrun.world.disk.disk import Disk
from detrun.world.disk.image import SymbolicLink
from tests.world.files.test_blocking_files import on_a_node

PATHS = st.sampled_from(
    ["a", "b", "d", "d/a", "d/e", "l", "l/a", "l/..", "l/../a", "d/l", "m", "m/", "l/", "d/l/a", "d/.", "m/l", "a/"]
)
ENTRIES = st.sampled_from(["a", "b", "d", "d/e", "d/l", "l"])  # of trees that may be removed
TARGETS = st.sampled_from(["a", "d", "d/", "../a", "l", "m", "..", ".", "d/e/../a", "missing", "/ROOT/d", "/ROOT/d/l"])
ROOT = "/n/n/n"  # below the real directory, so that a few ``..`` stay in it
FLAGS = st.sampled_from(
    [
        os.O_RDONLY,
        os.O_RDONLY | os.O_NOFOLLOW,
        os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW,
        os.O_WRONLY | os.O_CREAT,
        os.O_WRONLY | os.O_CREAT | os.O_EXCL,
        os.O_WRONLY | os.O_TRUNC,
        os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW,
    ]
)
CALLS = st.one_of(
    st.tuples(st.just("symlink"), TARGETS, PATHS),
    st.tuples(st.just("symlink"), TARGETS, PATHS),
    st.tuples(st.just("link"), PATHS, PATHS, st.booleans()),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("open"), PATHS, FLAGS),
    st.tuples(st.just("write"), PATHS, st.sampled_from(["w", "a", "x"])),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.sampled_from(["unlink", "rmdir", "readlink", "listdir", "status", "chdir"]), PATHS),
    st.tuples(st.just("rmtree"), ENTRIES),
    st.tuples(st.just("copy"), PATHS, PATHS, st.booleans()),
    st.tuples(st.just("copytree"), st.just("d"), st.sampled_from(["a", "b", "l"])),
    st.tuples(st.just("move"), ENTRIES, st.sampled_from(["a", "b", "d", "l", "d/l"])),
    st.tuples(st.just("utime"), PATHS, st.booleans()),
)


class Leaves(Exception):
    """A call would leave the directory that it is to stay in."""


class Caller:
    """Makes calls in a directory some way below ``base``, and writes down what comes of each, with ``base`` left out.

    Every text among the arguments of a call is looked up first, and the call is refused if one leads out of ``base``:
    trees are moved and removed here, on the real side in the machine's file system.
    """

    def __init__(self, base):
        self.base = base
        self.root = base + ROOT
        os.makedirs(self.root)

    def outcomes(self, calls):
        """What came of each call, and what is there in the end."""
        os.chdir(self.root)
        return [self.outcome(name, arguments) for name, *arguments in calls], self.walk()

    def check(self, name, arguments):
        """Refuse what leads out of ``base``, or to ``base`` itself, as a whole or up to its last part."""
        paths = [self.at(one) for one in arguments if isinstance(one, str)]
        if name in ("copy", "copytree", "move"):
            source, destination = paths
            paths.append(os.path.join(destination, os.path.basename(source)))  # which shutil does for a directory
        for path in paths:
            for one in (path, os.path.dirname(path.rstrip("/"))):
                if not os.path.realpath(one).startswith(self.base + "/"):
                    raise Leaves
        if name in ("copytree", "move") and any(
            f"{os.path.realpath(path)}/".startswith(f"{os.path.realpath(source)}/") for path in paths[1:]
        ):
            raise Leaves  # a tree that is copied into itself grows until its paths are too long

    def outcome(self, name, arguments):
        try:
            self.check(name, arguments)
            return getattr(self, name)(*arguments)
        except Leaves:
            return "leaves"
        except shutil.Error:
            return "errors of several files"
        except OSError as error:
            return error.errno

    def at(self, path):
        return path.replace("/ROOT", self.root)

    def shown(self, path):
        return path.replace(self.base, "/BASE", 1)

    def symlink(self, target, path):
        os.symlink(self.at(target), path)

    def link(self, source, destination, by_descriptor):
        if not by_descriptor:
            os.link(source, destination)
            return
        number = os.open(self.root, os.O_RDONLY)
        try:
            os.link(source, destination, src_dir_fd=number, dst_dir_fd=number)
        finally:
            os.close(number)

    def mkdir(self, path):
        os.mkdir(path)

    def open(self, path, flags):
        os.close(os.open(path, flags))

    def write(self, path, mode):
        with open(path, mode) as file:
            file.write(path)

    def rename(self, source, destination):
        os.rename(source, destination)

    def unlink(self, path):
        os.unlink(path)

    def rmdir(self, path):
        os.rmdir(path)

    def rmtree(self, path):
        shutil.rmtree(path)

    def readlink(self, path):
        return self.shown(os.readlink(path)), str(Path(path).readlink()) == os.readlink(path)

    def listdir(self, path):
        with os.scandir(path) as entries:
            return sorted((one.name, one.is_symlink(), one.is_dir(follow_symlinks=False)) for one in entries)

    def status(self, path):
        found = [os.path.islink(path), os.path.lexists(path), os.path.exists(path), Path(path).is_symlink()]
        found += [self.shown(os.path.realpath(path)), os.access(path, os.W_OK)]
        for follow in (False, True):
            try:
                status = os.stat(path, follow_symlinks=follow)
            except OSError as error:
                found.append(error.errno)
            else:
                is_directory = stat.S_ISDIR(status.st_mode)
                is_link = stat.S_ISLNK(status.st_mode)  # the length of what it holds depends on the root
                found.append((stat.S_IFMT(status.st_mode), None if is_directory else status.st_nlink))
                found.append(None if is_directory or is_link else status.st_size)
        return found

    def chdir(self, path):
        os.chdir(path)
        try:
            return self.shown(os.getcwd())
        finally:
            os.chdir(self.root)

    def copy(self, source, destination, follow):
        shutil.copy(source, destination, follow_symlinks=follow)

    def copytree(self, source, destination):
        shutil.copytree(source, destination, symlinks=True)

    def move(self, source, destination):
        shutil.move(source, destination)

    def utime(self, path, follow):
        os.utime(path, (1, 2), follow_symlinks=follow)
        return os.stat(path, follow_symlinks=follow).st_mtime

    def walk(self):
        """Everything that is there, with the names of each file that has several."""
        found, names = [], {}
        for folder, _, files in sorted(os.walk(self.base)):
            for name in sorted([*files, *os.listdir(folder)]):
                path = os.path.join(folder, name)
                status = os.lstat(path)
                names.setdefault(status.st_ino, []).append(self.shown(path))
                content = self.shown(os.readlink(path)) if stat.S_ISLNK(status.st_mode) else None
                found.append((self.shown(path), stat.S_IFMT(status.st_mode), content))
        return found, sorted(names.values())


def compare(calls):
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as directory:
        try:
            real = Caller(os.path.realpath(directory)).outcomes(calls)
        finally:
            os.chdir(here)
    assert on_a_node(lambda: Caller("/base").outcomes(calls)) == real


@settings(max_examples=60)
@given(st.lists(CALLS, max_size=14))
@example([("mkdir", "d"), ("symlink", "a", "d/a"), ("copytree", "d", "b")])
@example([("symlink", "missing", "d"), ("symlink", "a", "d/."), ("open", "d/", os.O_WRONLY | os.O_CREAT)])
@example([("symlink", "l", "l"), ("write", "l/", "w"), ("status", "l"), ("write", "a", "w"), ("write", "a/", "w")])
def test_links_on_a_node_are_those_of_a_real_directory(calls):
    compare(calls)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.lists(CALLS, max_size=25))
def test_links_in_long_programs_are_those_of_a_real_directory(calls):
    compare(calls)


def test_calls_that_would_leave_their_directory_are_refused_on_both_sides(tmp_path):
    calls = [
        *[("symlink", "..", "l"), ("symlink", "l/..", "m"), ("symlink", "..", "m/a"), ("mkdir", "d")],
        *[("write", "m/a/kept", "a"), ("rename", "m/a/kept", "a"), ("unlink", "m/a/kept"), ("move", "d", "m/a")],
        *[("copy", "m/a/kept", "a", True), ("symlink", "m/a/kept", "b"), ("copytree", "m/a", "b"), ("rmtree", "m/a/d")],
        *[("symlink", "../../kept", "b"), ("rename", "b", "m/b"), ("write", "m/b", "w"), ("copy", "l", "m/b", False)],
        ("copytree", "l", "e"),  # into itself
    ]
    (tmp_path / "base").mkdir()
    (tmp_path / "kept").write_text("kept")
    here = os.getcwd()
    try:
        real = Caller(str(tmp_path.resolve() / "base")).outcomes(calls)
    finally:
        os.chdir(here)
    assert real[0] == [None] * 4 + ["leaves"] * 8 + [None] * 2 + ["leaves"] * 3
    assert (tmp_path / "kept").read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["base", "kept"]
    assert on_a_node(lambda: Caller("/base").outcomes(calls)) == real


def test_a_switch_of_a_link_by_rename_leaves_the_old_or_the_new_one():
    async def main():
        disk = Disk(tree={"/v1": b"old", "/v2": b"new", "/current": SymbolicLink("v1")})
        log = disk.start_log()
        await disk.symlink("v2", "/next")
        await disk.rename("/next", "/current")
        renamed = len(log)
        await disk.fsync_directory("/")
        states = crash_states(log)
        during = {state.tree["/current"] for state in states.at(renamed)}
        after = [state.tree for state in states.at(len(log))]
        disk.power_loss()
        return during, after, await disk.path("/current").read_bytes(), disk.durable_tree()

    during, after, content, left = detrun.record(main).result
    assert during == {SymbolicLink("v1"), SymbolicLink("v2")}
    assert after == [left]
    assert left == {"/current": SymbolicLink("v2"), "/v1": b"old", "/v2": b"new"}
    assert content == b"new"


def test_removing_a_link_before_its_new_one_is_made_can_leave_none():
    async def main():
        disk = Disk(tree={"/current": SymbolicLink("v1")})
        log = disk.start_log()
        await disk.unlink("/current")
        await disk.symlink("v2", "/current")
        return {state.tree.get("/current") for state in crash_states(log)}

    assert detrun.record(main).result == {None, SymbolicLink("v1"), SymbolicLink("v2")}


def test_what_is_synced_of_a_file_is_so_under_both_of_its_names_and_a_new_name_may_be_lost():
    async def main(survivors):
        disk = Disk()
        async with await disk.open_file("/first", "wb") as file:
            await disk.fsync_directory("/")
            await disk.link("/first", "/second")
            await file.write(b"synced")
            await file.fsync()
        linked = (await disk.stat("/second")).st_nlink
        disk.power_loss(survivors(disk))
        names = await disk.listdir()
        return linked, [(await disk.path(name).read_bytes(), (await disk.stat(name)).st_nlink) for name in names]

    lost, kept = (lambda disk: []), (lambda disk: list(disk.file_system.state.pending))
    assert detrun.record(main, lost).result == (2, [(b"synced", 1)])
    assert detrun.record(main, kept).result == (2, [(b"synced", 2)] * 2)


def test_links_of_a_node_lead_to_the_real_files_that_it_can_read_and_to_no_others(tmp_path):
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "config").write_text("real")
    (tmp_path / "secret").write_text("secret")

    def body():
        os.symlink(tmp_path / "named", "/real")
        os.symlink(f"{tmp_path}/named/../secret", "/out")
        with pytest.raises(detrun.HiddenStateError, match="can only read"):
            Path("/real/config").write_text("changed")
        with pytest.raises(detrun.HiddenStateError, match="can only read"):
            os.symlink("x", "/real/link")
        with pytest.raises(OSError, match="cross-device") as across:
            os.link("/real/config", "/copy")
        with pytest.raises(FileNotFoundError):
            open("/out").close()
        with pytest.raises(FileNotFoundError):
            open("/real/../secret").close()
        names = os.listdir("/real"), [one.name for one in os.scandir("/real")]
        return Path("/real/config").read_text(), names, across.value.errno, os.path.islink("/real")

    found = on_a_node(body, host_files=[tmp_path / "named"])
    assert found == ("real", (["config"], ["config"]), errno.EXDEV, True)


def test_forty_links_in_one_path_are_followed_and_no_more():
    def body():
        Path("/0").write_text("end")
        for index in range(41):
            os.symlink(str(index), f"/{index + 1}")
        with pytest.raises(OSError, match="Too many levels") as many:
            open("/41").close()
        return Path("/40").read_text(), many.value.errno

    assert on_a_node(body) == ("end", errno.ELOOP)


def test_a_recording_from_before_there_were_links_still_gets_the_error_that_they_gave():
    async def program():
        errors = []
        for make in (os.symlink, os.link):
            try:
                make("/a", "/b")
            except OSError as error:
                errors.append(error.errno)
        await trio.sleep(1)
        with open("/errors", "w") as file:
            print(*errors, file=file)

    async def main():
        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep(2)
            return world.node("a").disk.tree()["/errors"]

    old = NewRun(seed=1).execute(main, (), Options(thread_rules=9)).recording
    assert detrun.replay(main, recording=old).result == f"{errno.EPERM} {errno.EPERM}\n".encode()
    assert detrun.record(main).result == f"{errno.ENOENT}\n".encode()


def test_awaited_paths_know_links_as_blocking_ones_do():
    async def body():
        path = trio.Path("/d")
        await path.mkdir()
        await (path / "f").write_text("content")
        await (path / "l").symlink_to("f")
        await trio.Path("/m").symlink_to("d")
        await trio.Path("/h").hardlink_to("/d/f")
        found = [await (path / "l").read_text(), str(await (path / "l").readlink()), await path.is_symlink()]
        found += [await (path / "l").is_symlink(), str(await trio.Path("/m/l").resolve())]
        found += [(await trio.Path("/h").stat()).st_nlink, await trio.Path("/h").samefile("/d/l")]
        found.append(stat.S_ISLNK((await (path / "l").lstat()).st_mode))
        await (path / "e").mkdir()
        await (path / "e" / "up").symlink_to("..")
        await (path / "e" / "round").symlink_to("round")
        found.append([str(one) for one in await path.glob("**/f")])
        found += [await (path / "e" / "round").exists(), await (path / "nothing").is_symlink()]
        return found

    async def main():
        found = []

        async def program():
            found.extend(await body())

        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep(1)
        return found

    assert detrun.record(main).result == [
        *["content", "f", False, True, "/d/f", 2, True, True],
        *[["/d/f"], False, False],
    ]
