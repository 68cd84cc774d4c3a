"""What a power loss leaves of random programs on a node, which write by ``os`` and ``open``: what is documented.

The model is the one of `test_crash_states`, with the descriptors that POSIX has on top: positions, O_APPEND, O_TRUNC,
O_DSYNC, copies of a descriptor, files that were replaced or unlinked while they are open, descriptors of directories.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.world.disk.crash_states import crash_states
from detrun.world.disk.disk import Disk
from tests.examples import examples
from tests.world.disk.test_crash_states import SMALL, RegisterDisk

VALUES_MAX = 18  # of all registers: the model takes a product over them
Call = tuple[Any, ...]
States = set[tuple[tuple[str, bytes | None], ...]]


@dataclass
class Opened:
    """What copies of a descriptor share."""

    number: int
    flags: int
    position: int = 0


@dataclass
class Descriptors(RegisterDisk):
    """The calls of a program, in the words of POSIX; those that fail raise LookupError."""

    opened: dict[int, Opened] = field(default_factory=dict)  # by the place of its descriptor in the program

    def file(self, path: Any) -> int:
        return path if isinstance(path, int) else super().file(path)

    def open(self, slot: int, path: str, flags: int) -> None:
        found = 0 if path == "/" else self.find(path)[2]
        is_directory = found is not None and self.kinds[found] == "directory"
        if found is not None and flags & os.O_CREAT and flags & os.O_EXCL:
            raise LookupError
        if is_directory and flags & (os.O_ACCMODE | os.O_CREAT):
            raise LookupError
        if found is None:
            if not flags & os.O_CREAT:
                raise LookupError
            found = self.new(path, "file")
        elif flags & os.O_TRUNC:
            self.truncate(found, 0)
        self.opened[slot] = Opened(found, flags)

    def _writable(self, slot: int) -> Opened:
        opened = self.opened[slot]
        if not opened.flags & os.O_ACCMODE:
            raise LookupError
        return opened

    def put(self, slot: int, data: bytes) -> None:
        opened = self._writable(slot)
        begin = self.size(opened.number) if opened.flags & os.O_APPEND else opened.position
        self.write(opened.number, begin, data)
        opened.position = begin + len(data)
        self._written(opened)

    def put_at(self, slot: int, data: bytes, offset: int) -> None:
        opened = self._writable(slot)
        # Linux, man 2 pwrite, BUGS: with O_APPEND the data is appended, whatever the offset.
        self.write(opened.number, self.size(opened.number) if opened.flags & os.O_APPEND else offset, data)
        self._written(opened)

    def _written(self, opened: Opened) -> None:
        if opened.flags & os.O_DSYNC:
            self.sync(opened.number)

    def put_synced(self, slot: int, data: bytes) -> None:
        opened = self._writable(slot)
        self.write(opened.number, self.size(opened.number), data)
        self.sync(opened.number)

    def cut(self, slot: int, size: int) -> None:
        opened = self._writable(slot)
        self.truncate(opened.number, size)
        self._written(opened)

    def seek(self, slot: int, offset: int) -> None:
        self.opened[slot].position = offset

    def copy(self, slot: int, other: int) -> None:
        self.opened[other] = self.opened[slot]

    def synced(self, slot: int) -> None:
        self.sync(self.opened[slot].number)

    def synced_all(self) -> None:
        for number in self.kinds:
            self.sync(number)

    def whole(self, path: str, data: bytes) -> None:
        self.open(-1, path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.put(-1, data)

    def folder(self, path: str) -> None:
        self.sync(0 if path == "/" else self.find(path)[2] or 0)

    def unlink(self, path: str) -> None:
        self.remove(path, "file")

    def now(self) -> dict[str, bytes | None]:
        return dict(self._tree({key: register.now for key, register in self.registers.items()}))

    def values(self) -> int:
        return len(list(itertools.chain(*(register.values for register in self.registers.values()))))


class Program:
    """The same calls by ``os``."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}

    def open(self, slot: int, path: str, flags: int) -> None:
        self.numbers[slot] = os.open(path, flags)

    def put(self, slot: int, data: bytes) -> None:
        os.write(self.numbers[slot], data)

    def put_at(self, slot: int, data: bytes, offset: int) -> None:
        os.pwrite(self.numbers[slot], data, offset)

    def put_synced(self, slot: int, data: bytes) -> None:
        os.pwritev(self.numbers[slot], [data], 0, os.RWF_APPEND | os.RWF_DSYNC)

    def cut(self, slot: int, size: int) -> None:
        os.ftruncate(self.numbers[slot], size)

    def seek(self, slot: int, offset: int) -> None:
        os.lseek(self.numbers[slot], offset, os.SEEK_SET)

    def copy(self, slot: int, other: int) -> None:
        self.numbers[other] = os.dup(self.numbers[slot])

    def synced(self, slot: int) -> None:
        (os.fsync if slot else os.fdatasync)(self.numbers[slot])

    def synced_all(self) -> None:
        os.sync()

    def whole(self, path: str, data: bytes) -> None:
        with open(path, "wb") as file:
            file.write(data)

    def folder(self, path: str) -> None:
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(number)
        os.close(number)

    def rename(self, source: str, destination: str) -> None:
        os.replace(source, destination)

    def unlink(self, path: str) -> None:
        os.unlink(path)


PATHS = st.sampled_from(["/a", "/b", "/d/a"])
SLOTS = st.sampled_from([0, 1])
DATA = st.binary(min_size=1, max_size=6)
FLAGS = st.sampled_from(
    [
        os.O_RDWR,
        os.O_RDONLY,
        os.O_WRONLY | os.O_APPEND,
        os.O_WRONLY | os.O_APPEND | os.O_CREAT,
        os.O_RDWR | os.O_CREAT | os.O_TRUNC,
        os.O_WRONLY | os.O_CREAT | os.O_EXCL,
        os.O_WRONLY | os.O_CREAT | os.O_DSYNC,
        os.O_RDWR | os.O_SYNC | os.O_APPEND,
    ]
)
ON_DESCRIPTORS = st.one_of(
    st.tuples(st.just("put"), SLOTS, DATA),
    st.tuples(st.just("put_at"), SLOTS, DATA, st.integers(0, 5)),
    st.tuples(st.just("cut"), SLOTS, st.integers(0, 8)),
    st.tuples(st.just("seek"), SLOTS, st.integers(0, 5)),
    st.tuples(st.just("synced"), SLOTS),
    st.tuples(st.just("put_synced"), SLOTS, DATA),
)
ON_NAMES = st.one_of(
    st.tuples(st.just("open"), SLOTS, PATHS, FLAGS),
    st.tuples(st.just("rename"), PATHS, PATHS).filter(lambda call: call[1] != call[2]),
    st.tuples(st.just("unlink"), PATHS),
    st.tuples(st.just("whole"), PATHS, DATA),
    st.tuples(st.just("folder"), st.sampled_from(["/", "/d"])),
)
RARE = st.one_of(st.tuples(st.just("copy"), st.just(0), st.just(1)), st.just(("synced_all",)))
CALLS = st.lists(st.one_of(ON_DESCRIPTORS, ON_DESCRIPTORS, ON_NAMES, ON_NAMES, RARE), max_size=9)
BEGINNING: list[Call] = [
    ("whole", "/a", b"12345"),
    ("open", 0, "/a", os.O_RDWR | os.O_APPEND),
    ("open", 1, "/a", os.O_RDWR),
]


def does(target: Any, call: Call) -> bool:
    """True if the call succeeded."""
    try:
        getattr(target, call[0])(*call[1:])
    except (OSError, LookupError):
        return False
    return True


def replayed(calls: list[Call], *, is_synced: bool) -> tuple[Descriptors, list[bool], list[Call]]:
    """The model after the calls, which of them succeeded, and which there were: not too many."""
    model, done, kept = Descriptors(), [], []
    model.new("/d", "directory")
    for call in [*BEGINNING, *([("synced_all",)] if is_synced else []), *calls]:
        if call[0] in ("put", "put_at", "put_synced", "cut", "seek", "synced", "copy") and call[1] not in model.opened:
            continue
        done.append(does(model, call))
        kept.append(call)
        if model.values() > VALUES_MAX:
            break
    return model, done, kept


async def on_a_disk(calls: list[Call], seed_of_loss: int | None = None) -> tuple[list[bool], Any, Any]:
    """What succeeded; the disk after it, or after a power loss; what else a power loss could have left."""
    done: list[bool] = []

    async def body() -> None:
        program = Program()
        done.extend(does(program, call) for call in calls)

    async with detrun.World(disk=lambda node: Disk(node.name, model=SMALL)) as world:
        node = world.node("a")
        await node.disk.mkdir("/d")
        log = node.disk.start_log()
        node.start(body)
        await node.ended()
        possible = crash_states(log).at(len(log))
        if seed_of_loss is None:
            node.crash()
        else:
            node.power_loss()
        return done, node.disk.tree(), {tuple(state.tree.items()) for state in possible}


@examples(60)
@given(calls=CALLS, is_synced=st.booleans())
def test_a_program_leaves_exactly_what_the_model_allows(calls: list[Call], is_synced: bool) -> None:
    model, done, kept = replayed(calls, is_synced=is_synced)
    found, tree, possible = detrun.record(on_a_disk, kept).result
    assert found == done, kept
    assert tree == model.now(), "a crash of the process loses nothing that a call has written"
    assert possible == model.allowed()


@examples(40)
@given(calls=CALLS, seed=st.integers(0, 2**32))
def test_a_power_loss_leaves_one_of_these_states(calls: list[Call], seed: int) -> None:
    model, _, kept = replayed(calls, is_synced=True)
    _, tree, _ = detrun.record(on_a_disk, kept, seed, seed=seed).result
    assert tuple(tree.items()) in model.allowed()


@pytest.mark.parametrize(("flag", "is_durable"), [(os.O_SYNC, True), (os.O_DSYNC, True), (0, False)])
def test_what_is_written_through_buffers_to_a_synced_file_is_durable(flag: int, is_durable: bool) -> None:
    async def body() -> None:
        with open("/a", "wb", opener=lambda path, flags: os.open(path, flags | flag)) as file:
            file.write(b"x" * 10)

    async def main() -> Any:
        async with detrun.World(disk=lambda node: Disk(node.name, model=SMALL)) as world:
            node = world.node("a")
            node.start(body)
            await node.ended()
            await node.disk.fsync_directory("/")
            return [state.tree for state in crash_states(node.disk.start_log())]

    states = detrun.record(main).result
    assert {"/a": b"x" * 10} in states
    assert (len(states) == 1) == is_durable
