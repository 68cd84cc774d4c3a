"""Tasks on one simulated disk: partial-order reduction finds each outcome that the whole of all interleavings has."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

import detrun
from detrun.world.disk.disk import Disk
from detrun.world.disk.image import SymbolicLink
from tests.examples import examples

PATHS = st.sampled_from(["/a", "/b", "/d", "/d/a", "/l", "/l/a"])
CALLS = st.one_of(
    st.tuples(st.sampled_from(["write", "read", "append", "cut", "stat", "unlink", "list", "mkdir", "rmdir"]), PATHS),
    st.tuples(st.sampled_from(["exists", "readlink", "resolve", "fsync"]), PATHS),
    st.tuples(st.sampled_from(["rename", "link", "symlink"]), PATHS, PATHS),
)
TASKS = st.lists(st.lists(CALLS, min_size=1, max_size=2), min_size=2, max_size=2)


async def call(disk: Disk, name: str, *paths: str) -> Any:
    """One call, in few steps, and what a program can tell of it."""
    path = disk.path(paths[0])
    try:
        if name in ("write", "append"):
            async with await path.open("wb" if name == "write" else "ab") as file:
                return await file.write(name.encode())
        if name == "cut":
            async with await path.open("rb+") as file:
                return await file.truncate(1)
        if name == "stat":
            found = await path.stat()
            return found.st_ino, found.st_size, found.st_nlink
        if name in ("rename", "link", "symlink"):
            return str(await getattr(disk, name)(*paths))
        if name == "list":
            return await disk.listdir(paths[0])
        if name == "read":
            return await path.read_bytes()
        return str(await getattr(path, name)())
    except OSError as error:
        return error.errno


def outcomes(tasks: Any, strategy: str, *, power_fails: bool = False) -> tuple[set[Any], int]:
    """What can come out of a program of several tasks, and how many schedules were run to find out."""
    found: set[Any] = set()

    async def main() -> None:
        disk = Disk(tree={"/a": b"a", "/d/a": b"in d", "/l": SymbolicLink("d")})
        told: list[list[Any]] = [[] for _ in tasks]

        async def task(index: int) -> None:
            for name, *paths in tasks[index]:
                told[index].append(await call(disk, name, *paths))

        async def power() -> None:
            await trio.lowlevel.checkpoint()
            disk.file_system.state.power_loss(list(disk.file_system.state.pending)[:1])
            disk.file_system.reload()  # of the disk alone: those that use it go on

        async with trio.open_nursery() as nursery:
            for index in range(len(tasks)):
                nursery.start_soon(task, index)
            if power_fails:
                nursery.start_soon(power)
        found.add(repr((told, disk.tree(), disk.durable_tree())))

    result = detrun.explore(main, strategy=strategy, schedules=100_000, directory=None)
    assert result.verdict == "holds", result.reason
    return found, result.schedules


@examples(20)
@given(TASKS)
@example([[("exists", "/b"), ("write", "/b")], [("exists", "/b"), ("append", "/b")]])
@example([[("list", "/d"), ("readlink", "/l")], [("symlink", "a", "/d/b"), ("rmdir", "/d")]])
@example([[("rename", "/d", "/b"), ("stat", "/b/a")], [("stat", "/l/a"), ("link", "/d/a", "/b")]])
@example([[("append", "/a"), ("cut", "/a")], [("link", "/a", "/b"), ("stat", "/a")]])
def test_every_outcome_of_two_tasks_on_one_disk_is_found(tasks: Any) -> None:
    assert outcomes(tasks, "dpor")[0] == outcomes(tasks, "dfs")[0]


@pytest.mark.slow
@examples(400)
@given(TASKS)
def test_every_outcome_of_many_pairs_of_tasks_on_one_disk_is_found(tasks: Any) -> None:
    assert outcomes(tasks, "dpor")[0] == outcomes(tasks, "dfs")[0]


def test_a_power_loss_is_in_an_order_with_all_that_is_done_to_the_disk() -> None:
    tasks = [[("mkdir", "/x")], [("exists", "/x")]]
    found, reduced = outcomes(tasks, "dpor", power_fails=True)
    every, schedules = outcomes(tasks, "dfs", power_fails=True)
    assert found == every
    assert len(every) > 2
    assert reduced <= schedules


def test_tasks_that_touch_different_files_need_one_schedule() -> None:
    found, schedules = outcomes([[("read", "/a"), ("append", "/a")], [("read", "/d/a"), ("cut", "/d/a")]], "dpor")
    assert (len(found), schedules) == (1, 1)
    assert outcomes([[("append", "/a")], [("read", "/a")]], "dpor")[1] > 1
