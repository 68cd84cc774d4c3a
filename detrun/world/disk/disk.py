"""`Disk`: the disk of a node, as programs use it: async, with latency, a capacity, faults, crashes and power loss.

A call has its effect when it begins and returns when its time is over; an fsync makes durable, at its end, what was
pending when it began. The device serves one call after another, so that calls queue. What survives a power loss is
drawn from the sets that the disk's `PersistenceModel` allows; after a plain crash of the process the
page cache is still there, and only what programs had not flushed is lost.

Seconds may be `Value`s: how long a write takes is then differentiable in them.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio
from greenlet import getcurrent

from detrun.ad.outer_sites import site
from detrun.ad.value import Value
from detrun.primitives.sleep import sleep_true
from detrun.world.disk import touched
from detrun.world.disk.faults import DiskFaults
from detrun.world.disk.file_locks import FileLocks
from detrun.world.disk.file_system import FileSystem, Status
from detrun.world.disk.files import DiskFile, RawFile, flipped, layered
from detrun.world.disk.heard import hear_change, hear_power_loss, hear_sync
from detrun.world.disk.image import Change, Tree, WriteSector
from detrun.world.disk.imports import is_importing
from detrun.world.disk.lookup import NOTHING_THERE, failure
from detrun.world.disk.model import POSIX, DiskLog, PersistenceModel
from detrun.world.disk.paths import DiskPath
from detrun.world.fault_counts import FaultCounts
from detrun.world.network.latency import Latency, distribution_of, sampled
from detrun_scheduler import current
from detrun_scheduler.asyncio_host.either import for_asyncio_too
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import draw_bits, index_below, stream_key
from detrun_scheduler.running_loop import running_loop
from detrun_scheduler.threads.calling import threads_of_call, wait_in_task
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind
from detrun_scheduler.threads.threads import Threads

_DISK = WaitKind("disk")


@dataclass(slots=True)
class DiskLatency:
    """How long a disk takes: numbers, `Value`s or distributions. By default no time passes: calls only checkpoint."""

    read_seconds: Latency = 0.0
    """For each read that the program's buffer does not serve."""
    write_seconds: Latency = 0.0
    """For each write to the page cache."""
    fsync_seconds: Latency = 0.0
    metadata_seconds: Latency = 0.0
    """For open, rename, unlink, mkdir, rmdir, link, symlink, truncate, and for listing and asking for status."""
    bytes_per_second: Any = None
    """Of reads, and of data that an fsync has to write; None for no limit."""


class Disk:
    """A simulated disk.

    Args:
        name: in reports, and the key of its random draws: two disks of one run have different names.
        model: what survives a power loss.
        tree: what is on it at first: path -> content, None for a directory.
        capacity_bytes: how much the sectors of all files may take; None for no limit.
        latency: how long calls take.
        faults: what goes wrong.
        seed: of the draws if no run is active; in a run they come from the run.
    """

    def __init__(
        self,
        name: str = "disk",
        *,
        model: PersistenceModel = POSIX,
        tree: Tree | None = None,
        capacity_bytes: int | None = None,
        latency: DiskLatency | None = None,
        faults: DiskFaults | None = None,
        seed: int = 0,
    ) -> None:
        if capacity_bytes is not None and not capacity_bytes >= 0:
            raise UsageError(f"disk {name!r}: capacity_bytes={capacity_bytes!r}; give bytes, or None for no limit")
        self.name = name
        self.file_system = FileSystem(model, tree, capacity_bytes)
        self.file_system.state.name = name
        self.file_system.state.tell_made = partial(hear_change, name)
        self.latency = latency if latency is not None else DiskLatency()
        self.faults = faults if faults is not None else DiskFaults()
        self.generation = 0  # crashes so far: files opened in an earlier one are orphans
        self.locks = FileLocks()
        self._seed = seed
        self._draws: dict[str, int] = {}  # purpose -> draws so far, while no run is active
        self._owed: list[tuple[str, int]] = []  # (kind of work, bytes) that the call in progress has to wait for
        self._busy_until: Any = 0.0

    # Files.

    async def open_file(
        self,
        file: str | DiskPath,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> DiskFile:
        """Open a file, as ``trio.open_file`` does.

        Raises:
            OSError: as ``open`` raises it.
        """
        path = _path(file)

        def opened() -> DiskFile:
            raw = RawFile(self, path, mode)
            try:
                self.owe("metadata", 0)
                return DiskFile(self, raw, layered(raw, mode, buffering, encoding, errors, newline))
            except BaseException:
                raw.close()
                raise

        return await self.call(opened, path=path)  # type: ignore[no-any-return]

    def path(self, *parts: str | DiskPath) -> DiskPath:
        """A path with methods like those of ``trio.Path``."""
        return DiskPath(self, *map(_path, parts))

    async def mkdir(self, path: str | DiskPath) -> None:
        """Make a directory."""
        await self._metadata(self.file_system.mkdir, path)

    async def rmdir(self, path: str | DiskPath) -> None:
        """Remove an empty directory."""
        await self._metadata(self.file_system.rmdir, path)

    async def unlink(self, path: str | DiskPath) -> None:
        """Remove a file; programs that have it open keep it."""
        await self._metadata(self.file_system.unlink, path)

    async def rename(self, source: str | DiskPath, destination: str | DiskPath) -> None:
        """Move a file or directory, atomically replacing what is there; durable after an fsync of a directory."""
        await self._metadata(self.file_system.rename, source, destination)

    async def symlink(self, target: str | DiskPath, path: str | DiskPath) -> None:
        """Make a symbolic link at ``path`` that holds ``target``; durable after an fsync of its directory."""
        await self._metadata(partial(self.file_system.symlink, _path(target)), path)

    async def link(self, source: str | DiskPath, destination: str | DiskPath) -> None:
        """Give a file one more name; durable after an fsync of the directory of that name."""
        await self._metadata(self.file_system.link, source, destination)

    async def readlink(self, path: str | DiskPath) -> str:
        """The path that a symbolic link holds."""
        return str(await self._metadata(self.file_system.readlink, path))

    async def resolve(self, path: str | DiskPath, strict: bool = False) -> str:
        """The absolute path behind all links and ``..``; what is not there stays as it is, unless ``strict``."""
        return str(await self._metadata(self.file_system.physical if strict else self._resolved, path))

    def _resolved(self, path: str) -> str:
        return os.path.normpath(self.file_system.lead(path))

    async def listdir(self, path: str | DiskPath = "/") -> list[str]:
        """The names in a directory, sorted, so that no order can be relied on that a real one would not keep."""
        return list(await self._metadata(self.file_system.listdir, path))

    async def stat(self, path: str | DiskPath, *, follow_symlinks: bool = True) -> Status:
        """Size and kind of what is at a path."""
        found = await self._metadata(partial(self.file_system.status, follow=follow_symlinks), path)
        assert isinstance(found, Status)
        return found

    async def exists(self, path: str | DiskPath, *, follow_symlinks: bool = True) -> bool:
        """Whether there is something at a path."""
        try:
            await self.stat(path, follow_symlinks=follow_symlinks)
        except OSError as error:
            if error.errno in NOTHING_THERE:
                return False
            raise
        return True

    def is_symlink(self, path: str | DiskPath) -> bool:
        """Whether there is a symbolic link; in no time, as a listing tells it."""
        try:
            return self.file_system.existing(_path(path), follow=False).link is not None
        except OSError:
            return False

    async def fsync_directory(self, path: str | DiskPath = "/") -> None:
        """Wait until the entries of a directory are on the disk: what creating, renaming and unlinking changed."""
        name = _path(path)
        await self.sync_inode(self.file_system.directory_at(name), name)

    async def _metadata(self, function: Callable[..., Any], *paths: str | DiskPath) -> Any:
        names = [_path(path) for path in paths]
        self.owe("metadata", 0)
        return await self.call(function, *names, path=names[0])

    # Time, draws and faults, for files.

    async def call(self, function: Callable[..., Any], *args: Any, path: str) -> Any:
        """Call a synchronous function and take the time that its work owes; always a checkpoint.

        If the machine crashes meanwhile the call never returns: its caller is gone, and waits here to be cancelled.
        """
        if running_loop() is None:
            await trio.lowlevel.checkpoint_if_cancelled()
        generation = self.generation
        try:
            return function(*args)
        finally:
            owed, self._owed = self._owed, []
            await self._take(owed, path)
            if generation != self.generation:
                await _sleep_forever()

    def owe(self, kind: str, count: int) -> None:
        """The call in progress did work of a kind (``"read"``, ``"write"``, ``"fsync"``, ``"metadata"``) on bytes."""
        self._owed.append((kind, count))

    @for_asyncio_too
    async def _take(self, owed: list[tuple[str, int]], path: str) -> None:
        seconds = self._seconds(owed, path)
        if not primal_of(seconds) > 0.0:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        run = current.run
        now: Any = run.virtual_clock.now if run is not None else trio.current_time()
        until = self._busy(now, seconds)
        with trio.CancelScope(shield=True):
            await (sleep_true if run is not None else trio.sleep)(until - now)

    def call_blocking(self, function: Callable[..., Any], *args: Any, path: str) -> Any:
        """As `call`, for code that blocks: a thread of a run waits in virtual time, others run in between.

        A task that blocks stands still with its event loop, and threads run. Outside a run no time is taken, nor by
        what a module calls while it is imported (`imports`).
        """
        try:
            return function(*args)
        finally:
            if self._owed:
                owed, self._owed = self._owed, []
                threads = threads_of_call()
                if threads is not None and not (threads.run.thread_rules >= 9 and is_importing(sys._getframe(1))):
                    self._block(threads, owed, path)

    def _block(self, threads: Threads, owed: list[tuple[str, int]], path: str) -> None:
        caller: Any = getcurrent()
        run, seconds = threads.run, self._seconds(owed, path)
        takes_time = primal_of(seconds) > 0.0
        until = self._busy(run.virtual_clock.now, seconds) if takes_time else None
        if type(caller) is not SimulatedThread:
            if takes_time:
                wait_in_task(run, lambda: False, None, until)
        elif takes_time:
            caller.wait(_DISK, None, until)
        else:
            caller.schedule_point()

    def _seconds(self, owed: list[tuple[str, int]], path: str) -> Any:
        """How long the device works for a call."""
        latency = self.latency
        seconds: Any = 0.0
        for kind, count in owed:
            each = getattr(latency, f"{kind}_seconds")
            if each.__class__ is not float or each:  # spares the usual case, a disk that takes no time
                seconds = seconds + sampled(distribution_of(each), f"disk {self.name} {kind}")
            if latency.bytes_per_second is not None and count and kind != "write":
                if not primal_of(latency.bytes_per_second) > 0:
                    raise UsageError(
                        f"disk {self.name!r}: bytes_per_second={latency.bytes_per_second!r} is not valid; give a "
                        "positive number, or None for no limit"
                    )
                seconds = seconds + count / latency.bytes_per_second
            if self.strikes("slow", path):
                seconds = seconds + self.faults.slow_seconds
        return seconds

    def _busy(self, now: Any, seconds: Any) -> Any:
        """When work of so many seconds, which comes now, is done: the device serves one call after another."""
        touched.take_time(self.name)
        begin = now if primal_of(self._busy_until) <= primal_of(now) else self._busy_until
        if isinstance(now, Value) or isinstance(self._busy_until, Value):
            site("disk queue", self.name, self._busy_until, now)
        self._busy_until = begin + seconds
        return self._busy_until

    def draw(self, purpose: str) -> int:
        """64 random bits that depend on the disk, the purpose, and how many were drawn for it."""
        if current.run is not None:
            return current.run.draw(("disk", self.name, purpose))
        index = self._draws.get(purpose, 0)
        self._draws[purpose] = index + 1
        return draw_bits(stream_key(self._seed, f"disk {self.name} {purpose}"), index)

    def strikes(self, kind: str, path: str) -> bool:
        """Whether a fault strikes at this chance."""
        return self.faults.strikes(kind, path if path.startswith("/") else f"/{path}", self.draw)

    async def sync_inode(self, inode: int, path: str) -> None:
        """What an fsync of an open file or of a directory does.

        Raises:
            OSError: EIO, by a fault.
        """
        numbers = self._begin_sync(inode)
        await self.call(lambda: None, path=path)
        self._end_sync(numbers, path)

    def sync_inode_blocking(self, inode: int, path: str) -> None:
        """As `sync_inode`, for code that blocks."""
        numbers = self._begin_sync(inode)
        self.call_blocking(lambda: None, path=path)
        self._end_sync(numbers, path)

    def _begin_sync(self, inode: int) -> list[int]:
        numbers = self.file_system.state.pending_of(inode)
        self.owe_sync(numbers)
        return numbers

    def _end_sync(self, numbers: list[int], path: str) -> None:
        if self.syncs_truly(numbers, path):
            self.make_durable(numbers, path)

    def owe_sync(self, numbers: Iterable[int]) -> None:
        """The call in progress is an fsync of these changes, and has to wait for what they write."""
        state = self.file_system.state
        self.owe("fsync", len(state.data_among(numbers)) * state.model.sector_bytes)

    def syncs_truly(self, numbers: Iterable[int], path: str) -> bool:
        """Whether an fsync makes these changes durable; False if a fault lets it do nothing.

        Raises:
            OSError: EIO, by a fault, which loses what was written.
        """
        if self.strikes("fsync_loss", path):
            return False
        if self.strikes("fsync_failure", path):
            state = self.file_system.state
            state.drop(state.data_among(numbers))
            raise failure(errno.EIO, path)
        return True

    def make_durable(self, numbers: Iterable[int], path: str) -> None:
        """Let these changes land on the disk, as faults leave them."""
        hear_sync(self.name)
        self.file_system.state.sync(numbers, partial(self._landed, path))

    def _landed(self, path: str, change: Change) -> Change:
        """What a change becomes when it is written to the disk."""
        if isinstance(change, WriteSector):
            if self.strikes("bit_flip_at_rest", path):
                return WriteSector(change.inode, change.sector, flipped(change.content, self.draw("which bit")))
            if self.strikes("misdirected_write", path):
                durable = self.file_system.state.durable
                places = [
                    (inode, sector)
                    for inode, content in sorted(durable.contents.items())
                    for sector in sorted(content.sectors)
                    if (inode, sector) != (change.inode, change.sector)
                ]
                places = places or [(change.inode, change.sector + 1)]
                inode, sector = places[index_below(self.draw("which sector"), len(places))]
                return WriteSector(inode, sector, change.content)
        return change

    def _torn(self, change: Change) -> Change:
        """What a change becomes that was being written when the power went."""
        if not isinstance(change, WriteSector) or not self.strikes("torn_sector", "/"):
            return change
        old = self.file_system.state.durable.sector(change.inode, change.sector)
        cut = index_below(self.draw("torn where"), len(old) + 1)
        return WriteSector(change.inode, change.sector, change.content[:cut] + old[cut:])

    # What happens to the machine.

    def report_faults_to(self, counts: FaultCounts) -> None:
        """Have faults that strike counted there too."""
        self.faults.report_to(counts)

    def crash(self) -> None:
        """The processes are gone, with what they had not flushed. The page cache is still there."""
        self.generation += 1
        self.locks.clear()
        self._owed = []
        self.file_system.forget_handles()

    def power_loss(self, survivors: Collection[int] | None = None) -> None:
        """The power is gone: of what was not synced, a drawn part survives, or just the given changes."""
        state = self.file_system.state
        self.generation += 1
        self.locks.clear()
        self._owed, self._busy_until = [], 0.0
        chosen = self._survivors() if survivors is None else survivors
        hear_power_loss(self.name, list(state.pending), chosen)
        state.power_loss(chosen, self._torn)
        self.file_system.reload()

    def _survivors(self) -> list[int]:
        """Drawn, but for those changes of which the run knows better."""
        state = self.file_system.state
        drawn = self._drawn()
        decided = {} if current.run is None else current.run.disk_changes
        if not decided:
            return drawn
        told = {number: decided[self.name, number] for number in state.pending if (self.name, number) in decided}
        return state.corrected(
            drawn, [number for number, is_kept in told.items() if is_kept], {one for one in told if not told[one]}
        )

    def _drawn(self) -> list[int]:
        return self.file_system.state.random_survivors(self.draw("survivors"))

    def drop_caches(self) -> None:
        """Forget what is cached and not pending, so that it is read from the disk again with all its damage."""
        self.file_system.state.drop_caches()
        self.file_system.forget_unopened()

    def flip_bit(self, path: str, bit: int) -> None:
        """Flip one bit of a file on the disk; the cache shows it after `drop_caches` or a power loss."""
        state = self.file_system.state
        inode = self.file_system.existing(path).inode
        sector, rest = divmod(bit // 8, state.model.sector_bytes)
        content = bytearray(state.durable.sector(inode, sector))
        content[rest] ^= 1 << (bit % 8)
        WriteSector(inode, sector, bytes(content)).apply(state.durable)

    def start_log(self) -> DiskLog:
        """Keep a log of operations from here on until the next power loss, for `crash_states`."""
        return self.file_system.state.start_log()

    def tree(self) -> Tree:
        """All files as programs see them now."""
        return self.file_system.state.cached.tree()

    def durable_tree(self) -> Tree:
        """All files as they would be if the power went now and nothing survived that was not synced."""
        image = self.file_system.state.durable.copy()
        image.settle()
        return image.tree()

    def __repr__(self) -> str:
        state = self.file_system.state
        return f"<Disk {self.name!r}: {len(state.cached.contents)} files, {len(state.pending)} changes pending>"


def _path(path: str | bytes | os.PathLike[str]) -> str:
    """A path as text.

    Raises:
        TypeError: it is something else; the descriptor of an open file is refused, too.
    """
    if isinstance(path, bool | int):
        raise TypeError(f"a path on a simulated disk is a text, bytes or a path, and not the file descriptor {path!r}")
    return os.fsdecode(path)


@for_asyncio_too
async def _sleep_forever() -> None:
    await trio.sleep_forever()
