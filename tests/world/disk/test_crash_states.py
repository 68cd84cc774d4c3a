"""Crash states: compared with a second model of another structure, and the classics of ALICE with their known outcomes.

The second model works without changes and without sets closed under needs. It gives every *register* (a sector, a
size, a directory entry) the list of values that it has had, and the value from which on a sync made it durable. A
state is allowed if it takes from each register one of the values since then, such that a call that set several
registers at once (a rename, a cut) is seen in all of them or in none. A sector that was cut off is a hole, None.
"""

from __future__ import annotations

import errno
import itertools
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun.errors import UsageError
from detrun.world.disk.crash_states import crash_states
from detrun.world.disk.file_system import FileSystem
from detrun.world.disk.image import Tree
from detrun.world.disk.model import EXT4_ORDERED, IN_ORDER, POSIX, PersistenceModel
from tests.examples import examples

WIDTH = 4  # bytes of a sector, so that short writes tear
SMALL = PersistenceModel(sector_bytes=WIDTH)


# The second model.


@dataclass
class Register:
    """Everything that one place on the disk has been: (call that set it, value); the first is durable."""

    values: list[tuple[int, object]]
    durable_from: int = 0

    @property
    def now(self) -> object:
        return self.values[-1][1]

    def set(self, call: int, value: object) -> None:
        self.values.append((call, value))

    def sync(self) -> None:
        self.durable_from = len(self.values) - 1


@dataclass
class RegisterDisk:
    """Files and directories are numbers; registers are keyed by (number, name), (number, "size"), (number, sector)."""

    registers: dict[tuple[int, object], Register] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=lambda: {0: "directory"})
    calls: int = 0
    together: dict[int, list[tuple[int, object]]] = field(default_factory=dict)  # call -> registers it set
    directory_moves: list[int] = field(default_factory=list)

    def get(self, key: tuple[int, object], empty: object) -> object:
        return self.registers[key].now if key in self.registers else empty

    def set(self, call: int, key: tuple[int, object], value: object, empty: object) -> None:
        self.registers.setdefault(key, Register([(0, empty)])).set(call, value)
        self.together.setdefault(call, []).append(key)

    def names(self, directory: int) -> dict[str, int]:
        return {
            str(key[1])[1:]: register.now
            for key, register in self.registers.items()
            if key[0] == directory and isinstance(key[1], str) and key[1][0] == "/" and register.now is not None
        }

    def find(self, path: str) -> tuple[int, str, int | None]:
        *above, name = path.strip("/").split("/")
        directory = 0
        for part in above:
            found = self.names(directory).get(part)
            if found is None or self.kinds[found] != "directory":
                raise LookupError
            directory = found
        return directory, name, self.names(directory).get(name)

    def new(self, path: str, kind: str) -> int:
        directory, name, found = self.find(path)
        if found is not None:
            raise LookupError
        number = len(self.kinds)
        self.kinds[number] = kind
        self.calls += 1
        self.set(self.calls, (directory, f"/{name}"), number, None)
        return number

    def file(self, path: str) -> int:
        _, _, found = self.find(path)
        if found is None or self.kinds[found] != "file":
            raise LookupError
        return found

    def size(self, number: int) -> int:
        return int(self.get((number, "size"), 0))

    def remove(self, path: str, kind: str) -> None:
        directory, name, found = self.find(path)
        if found is None or self.kinds[found] != kind or (kind == "directory" and self.names(found)):
            raise LookupError
        self.calls += 1
        self.set(self.calls, (directory, f"/{name}"), None, None)

    def write(self, path: str, offset: int, data: bytes) -> None:
        number = self.file(path)
        # Each sector is a call of its own, for they may survive one by one, and so is the size.
        for sector in range(offset // WIDTH, (offset + len(data) - 1) // WIDTH + 1):
            old = bytearray(self.get((number, sector), None) or bytes(WIDTH))
            for index in range(WIDTH):
                if 0 <= sector * WIDTH + index - offset < len(data):
                    old[index] = data[sector * WIDTH + index - offset]
            self.calls += 1
            self.set(self.calls, (number, sector), bytes(old), bytes(WIDTH))
        if offset + len(data) > self.size(number):
            self.calls += 1
            self.set(self.calls, (number, "size"), offset + len(data), 0)

    def truncate(self, path: str, size: int) -> None:
        number = self.file(path)
        if size == self.size(number):
            return
        self.calls += 1
        self.set(self.calls, (number, "size"), size, 0)
        for key in [key for key in self.registers if key[0] == number and isinstance(key[1], int)]:
            old = self.registers[key].now
            kept = max(min(size - key[1] * WIDTH, WIDTH), 0)
            if old is None:
                continue  # a hole: there is nothing to cut, so nothing that a later write would have to wait for
            if kept == 0:
                self.set(self.calls, key, None, bytes(WIDTH))
            elif any(old[kept:]):
                self.set(self.calls, key, old[:kept] + bytes(WIDTH - kept), bytes(WIDTH))

    def rename(self, source: str, destination: str) -> None:
        origin, old_name, moved = self.find(source)
        goal, new_name, replaced = self.find(destination)
        if moved is None or f"{destination}/".startswith(f"{source}/"):
            raise LookupError
        if replaced is not None and (self.kinds[replaced] != self.kinds[moved] or self.names(replaced)):
            raise LookupError
        self.calls += 1
        self.set(self.calls, (origin, f"/{old_name}"), None, None)
        self.set(self.calls, (goal, f"/{new_name}"), moved, None)
        if self.kinds[moved] == "directory":
            self.directory_moves.append(self.calls)

    def sync(self, number: int) -> None:
        for key, register in self.registers.items():
            if key[0] == number:
                register.sync()

    def allowed(self) -> set[tuple[tuple[str, bytes | None], ...]]:
        keys = list(self.registers)
        found = set()
        for chosen in itertools.product(
            *(range(self.registers[key].durable_from, len(self.registers[key].values)) for key in keys)
        ):
            version = dict(zip(keys, chosen, strict=True))
            if self._consistent(version):
                found.add(self._tree({key: self.registers[key].values[version[key]][1] for key in keys}))
        return found

    def _seen(self, call: int, key: tuple[int, object], version: dict[tuple[int, object], int]) -> bool:
        return any(setter == call for setter, _ in self.registers[key].values[: version[key] + 1])

    def _consistent(self, version: dict[tuple[int, object], int]) -> bool:
        moves_seen = []
        for call, keys in self.together.items():
            seen = {self._seen(call, key, version) for key in keys}
            if len(seen) > 1:
                return False
            if call in self.directory_moves:
                moves_seen.append(seen.pop())
        return moves_seen == sorted(moves_seen, reverse=True)

    def _tree(self, values: dict[tuple[int, object], object]) -> tuple[tuple[str, bytes | None], ...]:
        tree: dict[str, bytes | None] = {}

        def walk(directory: int, prefix: str) -> None:
            for (number, name), value in values.items():
                if number == directory and isinstance(name, str) and name[0] == "/" and value is not None:
                    if self.kinds[value] == "directory":
                        tree[prefix + name] = None
                        walk(value, prefix + name)
                    else:
                        size = values.get((value, "size"), 0)
                        whole = b"".join(
                            values.get((value, sector)) or bytes(WIDTH) for sector in range(-(-size // WIDTH))
                        )
                        tree[prefix + name] = whole[:size]

        walk(0, "")
        return tuple(sorted(tree.items()))


# Both models do the same calls.


REFUSALS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL)


def do_on_file_system(system: FileSystem, call: tuple) -> bool:
    """True if the call succeeded."""
    name, *args = call
    try:
        if name in ("mkdir", "rmdir", "unlink", "rename"):
            getattr(system, name)(*args)
        elif name == "create":
            system.close(system.open(args[0], create=True, exclusive=True))
        elif name == "fsync":
            system.state.sync(system.state.pending_of(system.existing(args[0]).inode if args[0] != "/" else 0))
        else:
            inode = system.open(args[0])
            getattr(system, name)(inode, *args[1:])
            system.close(inode)
    except OSError as error:
        return error.errno not in REFUSALS
    return True


def do_on_registers(disk: RegisterDisk, call: tuple) -> bool:
    name, *args = call
    try:
        if name == "mkdir":
            disk.new(args[0], "directory")
        elif name == "create":
            disk.new(args[0], "file")
        elif name == "rmdir":
            disk.remove(args[0], "directory")
        elif name == "unlink":
            disk.remove(args[0], "file")
        elif name == "fsync":
            number = 0 if args[0] == "/" else disk.find(args[0])[2]
            if number is None:
                return False
            disk.sync(number)
        else:
            getattr(disk, name)(*args)
    except LookupError:
        return False
    return True


PATHS = st.sampled_from(["/a", "/b", "/d", "/d/a", "/e"])
DATA = st.binary(min_size=1, max_size=6)
ANY = st.one_of(
    st.tuples(st.just("create"), PATHS),
    st.tuples(st.just("write"), PATHS, st.integers(0, 5), DATA),
    st.tuples(st.just("truncate"), PATHS, st.integers(0, 8)),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("rmdir"), PATHS),
    st.tuples(st.just("unlink"), PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("fsync"), st.one_of(PATHS, st.just("/"))),
)
# What matters is the order of several changes of one thing. Calls that nearly always succeed, on few names, or on one
# file, make such orders likely: without them three of eight mutations of the model went unnoticed in 500 examples.
FILES = st.sampled_from(["/a", "/b", "/d/a"])
ON_NAMES = st.one_of(
    st.tuples(st.just("rename"), FILES, FILES),
    st.tuples(st.just("rename"), FILES, FILES),
    st.tuples(st.sampled_from(["create", "unlink"]), FILES),
    st.tuples(st.just("fsync"), st.sampled_from(["/", "/d"])),
)
ON_DATA = st.one_of(
    st.tuples(st.just("write"), st.just("/a"), st.integers(0, 5), DATA),
    st.tuples(st.just("truncate"), st.just("/a"), st.integers(0, 8)),
    st.tuples(st.just("truncate"), st.just("/a"), st.integers(0, 8)),
    st.tuples(st.just("fsync"), st.just("/a")),
)
CALLS = st.one_of(st.lists(ANY, max_size=8), st.lists(ON_NAMES, max_size=8), st.lists(ON_DATA, max_size=8))
# Most calls on names that do not exist fail; a disk that starts with some makes more of them do something.
BEGINNINGS = [("mkdir", "/d"), ("create", "/a"), ("write", "/a", 0, b"12345"), ("fsync", "/a"), ("fsync", "/")]


@examples(100)
@given(calls=CALLS, begins_with=st.sampled_from([0, 2, len(BEGINNINGS)]))
def test_at_every_point_exactly_the_states_are_possible_that_the_second_model_allows(calls, begins_with):
    system, registers = FileSystem(SMALL), RegisterDisk()
    log = system.state.start_log()
    expected = [(0, registers.allowed())]
    for call in [*BEGINNINGS[:begins_with], *calls]:
        if call[0] == "rename" and call[1] == call[2]:
            continue
        assert do_on_file_system(system, call) == do_on_registers(registers, call), call
        system._check()
        if len(list(itertools.chain(*(register.values for register in registers.registers.values())))) > 18:
            break  # the second model takes a product over all registers
        expected.append((len(log), registers.allowed()))
    result = crash_states(log)
    assert result.complete
    for point, allowed in expected:
        assert {tuple(state.tree.items()) for state in result.at(point)} == allowed, point


@examples(50)
@given(calls=CALLS, bits=st.integers(0, 2**64 - 1))
def test_a_power_loss_leaves_one_of_the_enumerated_states_and_the_disk_goes_on_from_there(calls, bits):
    system = FileSystem(SMALL)
    log = system.state.start_log()
    for call in [*BEGINNINGS, *calls]:
        do_on_file_system(system, call)
    possible = [state.tree for state in crash_states(log).at(len(log))]
    system.state.power_loss(system.state.random_survivors(bits))
    system.reload()
    system._check()
    assert system.state.cached.tree() in possible
    assert [state.tree for state in crash_states(system.state.start_log())] == [system.state.cached.tree()]


@examples(40)
@given(calls=CALLS)
def test_every_promise_of_a_model_only_takes_states_away(calls):
    """POSIX allows all that ext4 allows, and ext4 all that a disk in order allows."""
    trees = []
    for model in (IN_ORDER, EXT4_ORDERED, POSIX):
        system = FileSystem(replace(model, sector_bytes=WIDTH))
        log = system.state.start_log()
        for call in [*BEGINNINGS, *calls]:
            do_on_file_system(system, call)
        trees.append({tuple(state.tree.items()) for state in crash_states(log).at(len(log))})
    assert trees[0] <= trees[1] <= trees[2]


def test_enough_power_losses_find_every_state_of_a_small_case():
    """Three sectors and a size in any combination. The rarest state comes with chance 1/4 * 1/20, so that 2,000 draws
    miss one of the twelve with chance below 1e-9.
    """

    def written() -> FileSystem:
        system = FileSystem(SMALL, {"/f": b"old-old-"})
        system.write(system.open("/f"), 0, b"new+new+more")
        return system

    log = written().state.start_log()
    possible = {tuple(state.tree.items()) for state in crash_states(log)}
    seen = set()
    for bits in range(2000):
        system = written()
        system.state.power_loss(system.state.random_survivors(bits))
        seen.add(tuple(system.state.cached.tree().items()))
    assert seen == possible
    assert len(possible) == 4 + 4 * 2  # the third sector is visible only with the new size


# The classics.


def outcomes(log) -> list[Tree]:
    """The trees possible at the end."""
    return sorted((state.tree for state in crash_states(log).at(len(log))), key=str)


def test_an_append_without_fsync_may_be_there_in_part_as_zeros_or_not_at_all():
    system = FileSystem(SMALL, {"/log": b"aaaa"})
    log = system.state.start_log()
    system.write(system.open("/log"), 4, b"bbbbcccc")
    assert outcomes(log) == [
        {"/log": b"aaaa"},
        {"/log": b"aaaa\0\0\0\0\0\0\0\0"},
        {"/log": b"aaaa\0\0\0\0cccc"},
        {"/log": b"aaaabbbb\0\0\0\0"},
        {"/log": b"aaaabbbbcccc"},
    ]


def test_the_size_waits_for_the_data_where_the_model_says_so():
    """ext4 with data=ordered: no zeros in the tail."""
    system = FileSystem(PersistenceModel(sector_bytes=WIDTH, size_after_data=True), {"/log": b"aaaa"})
    log = system.state.start_log()
    system.write(system.open("/log"), 4, b"bbbbcccc")
    assert outcomes(log) == [{"/log": b"aaaa"}, {"/log": b"aaaabbbbcccc"}]


def test_a_double_write_may_be_torn_between_its_sectors_and_never_within_one():
    system = FileSystem(SMALL, {"/page": b"oldAoldB"})
    log = system.state.start_log()
    system.write(system.open("/page"), 0, b"newAnewB")
    assert [tree["/page"] for tree in outcomes(log)] == [b"newAnewB", b"newAoldB", b"oldAnewB", b"oldAoldB"]


def test_with_pages_written_atomically_a_double_write_is_all_or_nothing():
    system = FileSystem(PersistenceModel(sector_bytes=8), {"/page": b"oldAoldB"})
    log = system.state.start_log()
    system.write(system.open("/page"), 0, b"newAnewB")
    assert [tree["/page"] for tree in outcomes(log)] == [b"newAnewB", b"oldAoldB"]


def test_data_in_order_loses_a_suffix_only():
    system = FileSystem(PersistenceModel(sector_bytes=WIDTH, data_in_order=True), {"/page": b"oldAoldB"})
    log = system.state.start_log()
    system.write(system.open("/page"), 0, b"newAnewB")
    assert [tree["/page"] for tree in outcomes(log)] == [b"newAnewB", b"newAoldB", b"oldAoldB"]


def replace_by_rename(system: FileSystem, *, sync_file: bool, sync_directory: bool) -> None:
    inode = system.open("/new", create=True)
    system.write(inode, 0, b"new!")
    if sync_file:
        system.state.sync(system.state.pending_of(inode))
    system.rename("/new", "/config")
    if sync_directory:
        system.state.sync(system.state.pending_of(0))


def contents_of_config(model: PersistenceModel, **syncs: bool) -> set[bytes | None]:
    system = FileSystem(model, {"/config": b"old!"})
    log = system.state.start_log()
    replace_by_rename(system, **syncs)
    return {tree.get("/config") for tree in outcomes(log)}


def test_a_rename_before_the_data_is_durable_may_leave_an_empty_file_or_zeros():
    """The bug of 2009 in dozens of desktop programs, when ext4 came with delayed allocation."""
    assert contents_of_config(POSIX, sync_file=False, sync_directory=False) == {
        b"old!",
        b"new!",
        b"",
        b"\0\0\0\0",
    }


def test_ext4_waits_for_the_data_of_a_file_that_is_renamed():
    assert contents_of_config(EXT4_ORDERED, sync_file=False, sync_directory=False) == {b"old!", b"new!"}


def test_write_fsync_rename_is_atomic_and_durable_only_after_the_fsync_of_the_directory():
    assert contents_of_config(POSIX, sync_file=True, sync_directory=False) == {b"old!", b"new!"}
    assert contents_of_config(POSIX, sync_file=True, sync_directory=True) == {b"new!"}


def test_syncing_the_directory_alone_makes_the_rename_durable_and_not_the_data():
    assert contents_of_config(POSIX, sync_file=False, sync_directory=True) == {b"new!", b"", b"\0\0\0\0"}


def test_a_rename_is_never_seen_half_even_between_two_directories():
    system = FileSystem(POSIX, {"/from/f": b"x", "/to": None})
    log = system.state.start_log()
    system.rename("/from/f", "/to/f")
    assert outcomes(log) == [
        {"/from": None, "/from/f": b"x", "/to": None},
        {"/from": None, "/to": None, "/to/f": b"x"},
    ]


def test_a_synced_file_in_a_directory_that_was_not_synced_is_lost():
    system = FileSystem(POSIX)
    log = system.state.start_log()
    inode = system.open("/log", create=True)
    system.write(inode, 0, b"data")
    system.state.sync(system.state.pending_of(inode))
    assert outcomes(log) == [{"/log": b"data"}, {}]


def test_on_ext4_the_fsync_of_a_file_makes_its_entry_durable_too():
    system = FileSystem(EXT4_ORDERED)
    log = system.state.start_log()
    inode = system.open("/log", create=True)
    system.write(inode, 0, b"data")
    system.state.sync(system.state.pending_of(inode))
    assert outcomes(log) == [{"/log": b"data"}]


def test_creating_two_files_may_leave_the_second_without_the_first():
    system = FileSystem(POSIX)
    log = system.state.start_log()
    for path in ("/a", "/b"):
        system.open(path, create=True)
    assert {"/b": b""} in outcomes(log)
    in_order = FileSystem(EXT4_ORDERED)
    log = in_order.state.start_log()
    for path in ("/a", "/b"):
        in_order.open(path, create=True)
    assert {"/b": b""} not in outcomes(log)


def test_the_fsync_of_either_directory_makes_a_rename_between_them_durable():
    for synced in ("/from", "/to"):
        system = FileSystem(POSIX, {"/from/f": b"x", "/to": None})
        log = system.state.start_log()
        system.rename("/from/f", "/to/f")
        system.state.sync(system.state.pending_of(system.directory_at(synced)))
        assert outcomes(log) == [{"/from": None, "/to": None, "/to/f": b"x"}]


def test_what_happens_to_the_new_name_does_not_survive_without_the_rename():
    system = FileSystem(POSIX, {"/a": b"x"})
    log = system.state.start_log()
    system.rename("/a", "/b")
    system.unlink("/b")
    assert outcomes(log) == [{"/a": b"x"}, {"/b": b"x"}, {}]


def test_directories_that_move_into_each_other_in_turn_never_end_in_a_circle():
    """p into q, p back, q into p: the first and the third alone would leave both below each other, and nowhere."""
    system = FileSystem(POSIX, {"/p/f": b"p", "/q/g": b"q"})
    log = system.state.start_log()
    for source, destination in (("/p", "/q/p"), ("/q/p", "/p"), ("/q", "/p/q")):
        system.rename(source, destination)
    assert all(sorted(filter(None, tree.values())) == [b"p", b"q"] for tree in outcomes(log))
    assert len(outcomes(log)) == 3


def test_old_bytes_never_come_back_after_a_cut():
    system = FileSystem(SMALL, {"/f": b"secret"})
    log = system.state.start_log()
    inode = system.open("/f")
    system.truncate(inode, 0)
    system.truncate(inode, 6)
    assert outcomes(log) == [{"/f": b""}, {"/f": b"\0\0\0\0\0\0"}, {"/f": b"secret"}]


# What the enumeration says about itself.


def test_states_come_with_the_points_at_which_they_are_possible():
    system = FileSystem(SMALL, {"/f": b"aaaa"})
    log = system.state.start_log()
    inode = system.open("/f")
    system.write(inode, 0, b"bbbb")
    before_sync = len(log)
    system.state.sync(system.state.pending_of(inode))
    system.write(inode, 0, b"aaaa")
    old, new = sorted(crash_states(log), key=lambda state: str(state.tree))
    assert old.tree == {"/f": b"aaaa"}
    assert old.intervals == [(0, before_sync), (before_sync + 2, before_sync + 2)]
    assert new.intervals == [(before_sync, before_sync + 2)]
    assert not old.possible_at(before_sync + 1)
    assert (new.first_point, new.last_point) == (before_sync, before_sync + 2)


def test_beyond_the_limit_it_is_a_sample_that_says_so_and_whose_states_are_real():
    system = FileSystem(SMALL)
    log = system.state.start_log()
    inode = system.open("/f", create=True)
    system.write(inode, 0, bytes(range(1, 1 + 10 * WIDTH)))
    everything = crash_states(log)
    sample = crash_states(log, limit=50, seed=1)
    assert everything.complete
    assert not sample.complete
    assert "sample" in str(sample)
    assert len(sample) < len(everything) == 1 + 1 + 2**10
    real = [state.tree for state in everything]
    assert all(state.tree in real for state in sample)
    assert {"/f": bytes(range(1, 1 + 10 * WIDTH))} in [state.tree for state in sample]
    assert {} in [state.tree for state in sample]
    assert [state.tree for state in crash_states(log, limit=50, seed=1)] == [state.tree for state in sample]


def test_a_limit_without_room_for_the_extremes_is_refused():
    with pytest.raises(UsageError, match="at least 2"):
        crash_states(FileSystem(POSIX).state.start_log(), limit=1)


def test_a_survivor_without_what_it_needs_is_refused():
    system = FileSystem(SMALL, {"/f": b"aaaa"})
    inode = system.open("/f")
    system.write(inode, 0, b"bbbb")
    system.write(inode, 0, b"cccc")
    first, second = system.state.pending
    with pytest.raises(UsageError, match="do not survive"):
        system.state.power_loss([second])
    system.state.power_loss([first])
    assert system.state.cached.tree() == {"/f": b"bbbb"}
