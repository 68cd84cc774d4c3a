"""`PersistenceModel`: the changes to a disk that survive a power loss; and `DiskState`, one disk under such a model.

A disk has two images: the *cached* one, which programs see, and the *durable* one. A change goes to the cache at once
and is *pending* until a sync makes it durable. At a power loss, any set of pending changes may have reached the disk,
if it is closed under what each change *needs*; everything else is lost. Under every model a change needs the pending
changes before it of the same atoms (a sector, a size, an entry), so each of these goes through its versions in order.
A rename is one change, hence atomic; a directory rename also needs the directory renames before it.

POSIX demands no more: not that a file's size waits for its data (a longer file may hold zeros), not that two sectors of
one write are written together (it may be torn), not that an fsync of a file makes the entry durable that leads to it.
`PersistenceModel` adds orders that particular file systems keep. A symbolic link is made by one change; a hard link
is a second entry of a file, and what is synced of the file is so under both names. What is not modelled: stale blocks
of deleted files showing up in others.

Sources: Pillai et al., "All file systems are not created equal", OSDI 2014 (ALICE: micro-operations, orders per file
system); Mohan et al., "Finding crash-consistency bugs with bounded black-box crash testing", OSDI 2018 (CrashMonkey).
Departure from ALICE: its persistence models are rules for pairs of micro-operations; here they are one relation,
so that the surviving sets are exactly its closed ones and can be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from detrun.world.disk import touched
from detrun.world.disk.image import Atom, Change, Image, SetEntries, Tree, WriteSector, image_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import draw_bits, index_below, stream_key, to_unit


@dataclass(frozen=True, slots=True)
class PersistenceModel:
    """What a file system promises beyond POSIX. Every promise that is kept makes bugs harder to see."""

    sector_bytes: int = 512
    """Written whole or not at all. 4096 for a drive or a file system that writes pages atomically."""
    data_in_order: bool = False
    """Data of one file reaches the disk in the order of the writes: what is lost is a suffix."""
    metadata_in_order: bool = False
    """Sizes and entries of the whole file system reach the disk in order, as through one journal."""
    size_after_data: bool = False
    """A file's new size waits for the data that it covers: no zeros in the tail of an appended file."""
    rename_after_data: bool = False
    """A rename waits for the data and the size of the file that it moves (ext4's ``auto_da_alloc``)."""
    fsync_includes_entries: bool = False
    """The fsync of a file makes the entry that leads to it durable, too."""
    pending_changes_max: int = 20_000
    """With more than that the older half is written back, as a page cache does after some time."""

    def __post_init__(self) -> None:
        if self.sector_bytes < 1 or self.pending_changes_max < 2:
            raise UsageError(
                f"PersistenceModel: sector_bytes={self.sector_bytes!r} must be at least 1 and "
                f"pending_changes_max={self.pending_changes_max!r} at least 2"
            )


POSIX = PersistenceModel()
"""What the standard promises and no more."""
EXT4_ORDERED = PersistenceModel(
    metadata_in_order=True, size_after_data=True, rename_after_data=True, fsync_includes_entries=True
)
"""ext4 as it is usually mounted, with ``data=ordered``."""
IN_ORDER = PersistenceModel(
    data_in_order=True,
    metadata_in_order=True,
    size_after_data=True,
    rename_after_data=True,
    fsync_includes_entries=True,
)
"""Data of each file in order, and metadata in order after it; the kindest that is still a cache."""


class Pending(NamedTuple):
    """A change that is not durable yet."""

    change: Change
    needs: tuple[int, ...]  # numbers of earlier changes; those that are not pending any more count as met


@dataclass(frozen=True, slots=True)
class Made:
    """Log: a change went to the cache."""

    number: int
    change: Change
    needs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Synced:
    """Log: these changes became durable, as they are or, where the disk damaged them, as something else."""

    numbers: tuple[int, ...]
    damaged: tuple[tuple[int, Change], ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """Log: these changes will never become durable, although the cache shows them: a failed fsync."""

    numbers: tuple[int, ...]


LogEntry: TypeAlias = Made | Synced | Dropped


@dataclass(slots=True)
class DiskLog:
    """Everything that happened to a disk since `DiskState.start_log`. A *point* is a number of entries.

    ``len(log)`` at the moment when something was promised is the first point at which the promise must hold.
    """

    base: Image
    entries: list[LogEntry] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.entries)


Damage: TypeAlias = Callable[[Change], Change]


class DiskState:
    """Cached image, durable image and pending changes of one disk; no names, no handles, no faults."""

    def __init__(self, model: PersistenceModel = POSIX, tree: Tree | None = None) -> None:
        self.model = model
        self.name = "disk"  # of the disk
        self.durable = image_of(tree or {}, model.sector_bytes)
        self.cached = self.durable.copy()
        self.pending: dict[int, Pending] = {}  # by number, ascending
        self.next_number = 1
        self.log: DiskLog | None = None
        self.barrier: tuple[int, ...] = ()  # what every change that is made now needs besides
        self.tell_made: Callable[[int], object] | None = None  # of each change, by its number
        self._last_of_atom: dict[Atom, int] = {}
        self._last_metadata = self._last_directory_move = 0
        self._of_inode: dict[int, dict[int, None]] = {}  # inode -> numbers of its pending changes

    def start_log(self) -> DiskLog:
        """Write down from here on, beginning with what is pending."""
        self.log = DiskLog(self.durable.copy())
        self.log.entries.extend(Made(number, one.change, one.needs) for number, one in self.pending.items())
        return self.log

    def make(self, change: Change, after: Sequence[int] = ()) -> int:
        """Apply a change to the cache and let it be pending; the result is its number.

        Args:
            change: the change.
            after: numbers of the data changes that belong to it, for models that order size or rename after data.
        """
        number = self.next_number
        self.next_number += 1
        needs = self._needs(change, (*after, *self.barrier) if self.barrier else after)
        change.apply(self.cached)
        touched.change(self.name)
        if isinstance(change, SetEntries):
            for directory, name, _ in change.entries:
                touched.set_entry(self.name, directory, name)
            if change.moves_directory:
                touched.move_directory(self.name)
        else:
            touched.change_file(self.name, change.inode)
        self.pending[number] = Pending(change, needs)
        if self.tell_made is not None:
            self.tell_made(number)
        for atom in change.atoms():
            self._last_of_atom[atom] = number
        for inode in change.inodes():
            self._of_inode.setdefault(inode, {})[number] = None
        if self.log is not None:
            self.log.entries.append(Made(number, change, needs))
        if len(self.pending) > self.model.pending_changes_max:
            self.sync(list(self.pending)[: len(self.pending) // 2])
        return number

    def _needs(self, change: Change, after: Sequence[int]) -> tuple[int, ...]:
        model, number = self.model, self.next_number - 1
        needs = [self._last_of_atom[atom] for atom in change.atoms() if atom in self._last_of_atom]
        needs += after
        if isinstance(change, WriteSector):
            if model.data_in_order:
                needs += [one for one in self._of_inode.get(change.inode, ()) if self._is_data(one)][-1:]
        else:
            if model.metadata_in_order:
                needs.append(self._last_metadata)
            self._last_metadata = number
            if isinstance(change, SetEntries) and change.moves_directory:
                # Otherwise a later move could survive without an earlier one, and a directory become its own parent.
                needs.append(self._last_directory_move)
                self._last_directory_move = number
        return tuple(sorted({one for one in needs if one in self.pending}))

    def _is_data(self, number: int) -> bool:
        return isinstance(self.pending[number].change, WriteSector)

    def data_among(self, numbers: Iterable[int]) -> list[int]:
        """Those of ``numbers`` that are pending and change the content of a file."""
        return [number for number in numbers if number in self.pending and self._is_data(number)]

    def pending_of(self, inode: int) -> list[int]:
        """The numbers of the pending changes that an fsync of this file or directory has to wait for."""
        touched.read_file(self.name, inode)
        touched.list_entries(self.name, inode)
        numbers = list(self._of_inode.get(inode, ()))
        if self.model.fsync_includes_entries:
            touched.ask_changes(self.name)
            numbers += [
                number
                for number, one in self.pending.items()
                if isinstance(one.change, SetEntries)
                and any(target is not None and target.inode == inode for _, _, target in one.change.entries)
            ]
        return numbers

    def closure(self, numbers: Iterable[int]) -> list[int]:
        """The pending ones among ``numbers`` with all that they need, ascending."""
        found: set[int] = set()
        stack = [number for number in numbers if number in self.pending]
        while stack:
            number = stack.pop()
            if number not in found:
                found.add(number)
                stack.extend(one for one in self.pending[number].needs if one in self.pending)
        return sorted(found)

    def sync(self, numbers: Iterable[int], damage: Damage | None = None) -> None:
        """Make changes durable, and all that they need; ``damage`` says what really lands on the disk for each."""
        touched.change(self.name)
        synced = self.closure(numbers)
        damaged = []
        for number in synced:
            change = self._no_longer_pending(number)
            landed = damage(change) if damage is not None else change
            if landed is not change:
                damaged.append((number, landed))
            landed.apply(self.durable)
        if self.log is not None and synced:
            self.log.entries.append(Synced(tuple(synced), tuple(damaged)))
        self._forget_deleted()

    def drop(self, numbers: Iterable[int]) -> None:
        """Let changes be lost for good, although the cache goes on showing them."""
        touched.change(self.name)
        dropped = [number for number in numbers if number in self.pending]
        for number in dropped:
            self._no_longer_pending(number)
        if self.log is not None and dropped:
            self.log.entries.append(Dropped(tuple(dropped)))

    def _no_longer_pending(self, number: int) -> Change:
        change = self.pending.pop(number).change
        for inode in change.inodes():
            numbers = self._of_inode[inode]
            del numbers[number]
            if not numbers:
                del self._of_inode[inode]
        for atom in change.atoms():
            if self._last_of_atom.get(atom) == number:
                del self._last_of_atom[atom]
        return change

    def _forget_deleted(self) -> None:
        """Files that are gone from the cache, and that no surviving set of changes can bring back."""
        if len(self.durable.contents) <= 2 * len(self.cached.contents) + 16:
            return
        kept = self.durable.reachable() | self.cached.contents.keys()
        for one in self.pending.values():
            if isinstance(one.change, SetEntries):
                kept |= {target.inode for _, _, target in one.change.entries if target is not None}
            else:
                kept.add(one.change.inode)
        for inode in [inode for inode in self.durable.contents if inode not in kept]:
            del self.durable.contents[inode]

    def power_loss(self, survivors: Collection[int], damage: Damage | None = None) -> None:
        """Only what is durable and the ``survivors`` among the pending changes are left; the cache is read anew.

        Raises:
            UsageError: a survivor needs a change that does not survive.
        """
        touched.lose_power(self.name)
        chosen = sorted(survivors)
        if self.closure(chosen) != chosen:
            raise UsageError(f"power_loss: changes {chosen} need others that do not survive: {self.closure(chosen)}")
        for number in chosen:
            change = self.pending[number].change
            (damage(change) if damage is not None else change).apply(self.durable)
        self.durable.settle()
        self.pending.clear()
        self._of_inode.clear()
        self._last_of_atom.clear()
        self.cached = self.durable.copy()
        self.log = None

    def drop_caches(self) -> None:
        """Read everything that is not pending from the disk again: damage at rest becomes visible."""
        touched.lose_power(self.name)
        self.cached = self.durable.copy()
        for one in self.pending.values():
            one.change.apply(self.cached)

    def random_survivors(self, bits: int) -> list[int]:
        """One of the sets of changes that may survive a power loss, from 64 random bits.

        Each set is possible. A quarter of the time each: nothing, everything, a prefix of time, and changes one by one,
        because independent coins alone would hardly ever lose everything of a long list, or nothing.
        """
        numbers = list(self.pending)
        stream = stream_key(bits, "survivors")
        manner = index_below(draw_bits(stream, 0), 4)
        if manner == 0 or not numbers:
            return []
        if manner == 1:
            return numbers
        if manner == 2:
            return numbers[: index_below(draw_bits(stream, 1), len(numbers) + 1)]
        kept: set[int] = set()
        chance = to_unit(draw_bits(stream, 1))
        for index, number in enumerate(numbers):
            needs = self.pending[number].needs
            if to_unit(draw_bits(stream, 2 + index)) < chance and all(
                one in kept or one not in self.pending for one in needs
            ):
                kept.add(number)
        return sorted(kept)

    def corrected(self, survivors: Iterable[int], kept: Iterable[int], lost: Collection[int]) -> list[int]:
        """Survivors with the ``kept`` and all that these need, and without the ``lost`` and all that needs those."""
        left: list[int] = []
        for number in self.closure([*survivors, *kept]):
            if number not in lost and all(one in left or one not in self.pending for one in self.pending[number].needs):
                left.append(number)
        return left

    def _check(self) -> None:
        """Every structural invariant; called by stress tests, never in production."""
        assert list(self.pending) == sorted(self.pending)
        for number, one in self.pending.items():
            assert all(need < number for need in one.needs), (number, one)
        for inode, numbers in self._of_inode.items():
            assert numbers, inode
            assert all(inode in self.pending[number].change.inodes() for number in numbers)
        for atom, number in self._last_of_atom.items():
            assert atom in self.pending[number].change.atoms()
