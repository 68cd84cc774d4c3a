"""The calls of a POSIX file system on a simulated disk: paths, open files, reading, writing, renaming; no time passes.

Every call either has its whole effect on the cache or raises `OSError` with the number that POSIX gives for the case.
Paths are absolute or relative to the root, which is also every program's working directory; ``.`` and ``..`` are
understood, and symbolic links followed. A file that is unlinked or replaced lives on for those that have it open. There
are no owners or special files; permission bits are kept and hold nothing back. They and the times of the last changes,
by the clock of the code that changed something, are no part of what a power loss decides about: they stay.

Source: POSIX.1-2017, System Interfaces: open, read, write, ftruncate, rename, unlink, mkdir, rmdir, fsync, link,
symlink.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import dataclass

from detrun.world.disk import touched
from detrun.world.disk.image import ROOT, Resize, SetEntries, SymbolicLink, Target, Tree, WriteSector, cut_sectors
from detrun.world.disk.lookup import PATH_BYTES_MAX, PathLookup, Place, failure, last_dots
from detrun.world.disk.model import POSIX, DiskState, PersistenceModel


@dataclass(frozen=True, slots=True)
class Status:
    """What ``stat`` tells. Sizes are in bytes, times in seconds or nanoseconds since 1970."""

    st_ino: int
    st_mode: int
    st_size: int
    st_nlink: int
    st_mtime_ns: int = 0
    st_atime_ns: int = 0

    @property
    def st_mtime(self) -> float:
        """When the content changed."""
        return self.st_mtime_ns / 1e9

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.st_mode)


class FileSystem(PathLookup):
    """Names and open files on top of a `DiskState`.

    Args:
        model: see `disk_model`.
        tree: what is on the disk at first, durably.
        capacity_bytes: how much the sectors of all files may take; None for no limit.
    """

    def __init__(self, model: PersistenceModel = POSIX, tree: Tree | None = None, capacity_bytes: int | None = None):
        super().__init__(DiskState(model, tree))
        self.capacity_bytes = capacity_bytes
        self.next_inode = 1 + max(self.state.cached.reachable())
        self.handles: dict[int, int] = {}  # inode -> open handles
        self.modified: dict[int, int] = {}  # inode -> nanoseconds since 1970 of its last change; absent: as it was made
        self.used: dict[int, int] = {}  # the same of its last use, where a program has set it
        self._unlinked: set[int] = set()  # files without a name that are open
        self.permissions: dict[int, int] = {}  # inode -> bits, where they are not the usual ones
        self.made_at = time.time_ns()
        self.used_sectors = self._count_sectors()
        self._names: dict[int, int] = {}  # inode -> how many names it has, where that is more than one
        self.has_symbolic_links = any(isinstance(one, SymbolicLink) for one in (tree or {}).values())  # or had some

    # Directories.

    def mkdir(self, path: str) -> None:
        """Make an empty directory.

        Raises:
            OSError: EEXIST, ENOENT, ENOTDIR.
        """
        place = self.entry(path)
        if place.target is not None:
            raise failure(errno.EEXIST, path)
        target = Target(self._new_inode(), True)
        self.state.cached.directory(target.inode)
        self.state.make(SetEntries(((place.directory, place.name, target),)))
        self._changed(target.inode, place.directory)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory.

        Raises:
            OSError: ENOENT, ENOTDIR, ENOTEMPTY; EBUSY for the root.
        """
        place = self.entry(path)
        if place.target is None:
            raise failure(errno.ENOENT, path)
        if not place.target.is_directory:
            raise failure(errno.ENOTDIR, path)
        inode = place.target.inode
        if last_dots(path) == ".":
            raise failure(errno.EINVAL, path)
        if inode == ROOT:
            raise failure(errno.EBUSY, path)
        if self._has_entries(inode) or last_dots(path):
            raise failure(errno.ENOTEMPTY, path)
        self.state.make(SetEntries(((place.directory, place.name, None),)))
        self._changed(place.directory)
        del self.state.cached.directories[inode]

    def listdir(self, path: str = "/") -> list[str]:
        """The names in a directory, sorted.

        Raises:
            OSError: ENOENT, ENOTDIR.
        """
        inode = self.directory_at(path)
        touched.list_entries(self.state.name, inode)
        return sorted(self.state.cached.directory(inode))

    def _has_entries(self, directory: int) -> bool:
        touched.list_entries(self.state.name, directory)
        return bool(self.state.cached.directory(directory))

    def unlink(self, path: str) -> None:
        """Remove a file.

        Raises:
            OSError: ENOENT, ENOTDIR; EISDIR for a directory.
        """
        place = self.entry(path)
        target = place.target
        if target is None:
            raise failure(errno.ENOENT, path)
        if target.is_directory:
            raise failure(errno.EISDIR, path)
        if path.endswith("/"):
            raise failure(errno.ENOTDIR, path)
        self.state.make(SetEntries(((place.directory, place.name, None),)))
        self._changed(place.directory)
        self._lose_name(target.inode)

    def link(self, source: str, destination: str, *, follow: bool = False) -> None:
        """Give a file, or a symbolic link unless ``follow``, one more name.

        Raises:
            OSError: ENOENT, ENOTDIR, ELOOP; EEXIST; EPERM for a directory.
        """
        target, goal = self.existing(source, follow=follow), self._new_entry(destination)
        if target.is_directory:
            raise failure(errno.EPERM, source, destination)
        self.state.make(SetEntries(((goal.directory, goal.name, target),)))
        touched.change_file(self.state.name, target.inode)
        self._names[target.inode] = self._names.get(target.inode, 1) + 1
        self._changed(goal.directory)

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link that holds ``target``.

        Raises:
            OSError: ENOENT, also for an empty ``target``; ENOTDIR, ELOOP, EEXIST, ENAMETOOLONG.
        """
        if not target:
            raise failure(errno.ENOENT, target, path)
        if len(os.fsencode(target)) > PATH_BYTES_MAX:
            raise failure(errno.ENAMETOOLONG, target, path)
        place = self._new_entry(path)
        inode = self._new_inode()
        self.has_symbolic_links = True
        self.state.make(SetEntries(((place.directory, place.name, Target(inode, False, target)),)))
        self._changed(inode, place.directory)

    def readlink(self, path: str) -> str:
        """The path that a symbolic link holds.

        Raises:
            OSError: ENOENT, ENOTDIR, ELOOP; EINVAL if it is a file or a directory.
        """
        link = self.existing(path, follow=False).link
        if link is None:
            raise failure(errno.EINVAL, path)
        return link

    def _new_entry(self, path: str) -> Place:
        """Where a file or a link can be made."""
        place = self.entry(path)
        if place.target is not None:
            raise failure(errno.EEXIST, path)
        if path.endswith("/"):
            raise failure(errno.ENOENT, path)
        return place

    def rename(self, source: str, destination: str) -> None:
        """Move a file or directory, atomically replacing a file, or an empty directory, at the destination.

        Raises:
            OSError: ENOENT, ENOTDIR, EISDIR, ENOTEMPTY; EINVAL if a directory would move below itself; EBUSY for the
                root and for what ends in ``.`` or ``..``.
        """
        origin, goal = self.entry(source), self.entry(destination)
        if last_dots(source) or last_dots(destination):
            raise failure(errno.EBUSY, source, destination)
        if origin.target is None:
            raise failure(errno.ENOENT, source, destination)
        moved, replaced = origin.target, goal.target
        if ROOT in (moved.inode, replaced.inode if replaced is not None else None):
            raise failure(errno.EBUSY, source, destination)
        if moved.is_directory:
            if goal.directory in self._below(moved.inode):
                raise failure(errno.EINVAL, source, destination)
        elif source.endswith("/") or destination.endswith("/"):
            raise failure(errno.ENOTDIR, source, destination)
        if replaced is not None:
            if replaced.inode == moved.inode:
                return
            if moved.is_directory and not replaced.is_directory:
                raise failure(errno.ENOTDIR, source, destination)
            if replaced.is_directory and not moved.is_directory:
                raise failure(errno.EISDIR, source, destination)
            if replaced.is_directory and self._has_entries(replaced.inode):
                raise failure(errno.ENOTEMPTY, source, destination)
        after = self.state.pending_of(moved.inode) if self.state.model.rename_after_data else ()
        entries = ((origin.directory, origin.name, None), (goal.directory, goal.name, moved))
        self.state.make(SetEntries(entries, moves_directory=moved.is_directory), after)
        self._changed(origin.directory, goal.directory)
        if replaced is not None:
            if replaced.is_directory:
                del self.state.cached.directories[replaced.inode]
            else:
                self._lose_name(replaced.inode)

    def status(self, path: str, *, follow: bool = True) -> Status:
        """``stat``; ``lstat`` unless ``follow``.

        Raises:
            OSError: ENOENT, ENOTDIR.
        """
        return self.status_of(self.existing(path, follow=follow))

    def status_of(self, target: Target) -> Status:
        """``fstat``."""
        inode, is_directory, link = target
        touched.read_file(self.state.name, inode)
        if link is not None:
            kind, usual, size = stat.S_IFLNK, 0o777, len(os.fsencode(link))
        elif is_directory:
            kind, usual, size = stat.S_IFDIR, 0o755, 0
        else:
            kind, usual, size = stat.S_IFREG, 0o644, self.size(inode)
        return Status(
            inode,
            kind | self.permissions.get(inode, usual),
            size,
            2 if is_directory else 0 if inode in self._unlinked else self._names.get(inode, 1),
            (modified := self.modified.get(inode, self.made_at)),
            self.used.get(inode, modified),
        )

    def set_permissions(self, inode: int, bits: int) -> None:
        """Keep permission bits."""
        touched.change_file(self.state.name, inode)
        self.permissions[inode] = bits

    def set_times(self, inode: int, used: int, modified: int) -> None:
        """Keep the times of use and of change, in nanoseconds since 1970."""
        touched.change_file(self.state.name, inode)
        self.used[inode], self.modified[inode] = used, modified

    def free_sectors(self, total: int) -> int:
        """How many of ``total`` sectors are not taken."""
        touched.ask_room(self.state.name)
        return max(total - self.used_sectors, 0)

    def _changed(self, *inodes: int) -> None:
        self.modified.update(dict.fromkeys(inodes, time.time_ns()))

    # Open files.

    def open(
        self,
        path: str,
        *,
        create: bool = False,
        exclusive: bool = False,
        truncate: bool = False,
        follow: bool = True,
    ) -> int:
        """Open a file; the result is its inode, of which one more handle is open until `close`.

        Raises:
            OSError: ENOENT, ENOTDIR, EISDIR; EEXIST if ``exclusive``; ELOOP for a symbolic link unless ``follow``.
        """
        if create and path.endswith("/"):
            self.entry(path)  # the way there comes first
            raise failure(errno.EISDIR, path)
        place = self.place(path, follow=follow and not (create and exclusive))
        if place.target is None:
            if not create:
                raise failure(errno.ENOENT, path)
            if place.needs_directory:
                raise failure(errno.EISDIR, path)
            inode = self._new_inode()
            self.state.cached.content(inode)
            self.state.make(SetEntries(((place.directory, place.name, Target(inode, False)),)))
            self._changed(inode, place.directory)
        else:
            if exclusive:
                raise failure(errno.EEXIST, path)
            if place.target.is_directory:
                raise failure(errno.EISDIR, path)
            if place.target.link is not None:
                raise failure(errno.ELOOP, path)
            inode = place.target.inode
            if truncate and self.size(inode):
                self.truncate(inode, 0)
        self.handles[inode] = self.handles.get(inode, 0) + 1
        return inode

    def close(self, inode: int) -> None:
        """Close one handle. Nothing becomes durable by it."""
        self.handles[inode] -= 1
        if not self.handles[inode]:
            del self.handles[inode]
            self._free_if_unused(inode, linked=inode in self.state.cached.reachable())

    def size(self, inode: int) -> int:
        """The size of a file in bytes."""
        touched.read_file(self.state.name, inode)
        return self.state.cached.content(inode).size

    def read(self, inode: int, offset: int, count: int) -> bytes:
        """At most ``count`` bytes from ``offset``; fewer only at the end of the file."""
        touched.read_file(self.state.name, inode)
        return self.state.cached.read(inode, offset, offset + count)

    def write(self, inode: int, offset: int, data: bytes) -> int:
        """Write, and return how many bytes found room: fewer than given if the disk fills up.

        Raises:
            OSError: ENOSPC if there is no room for any.
        """
        touched.use_room(self.state.name, is_limited=self.capacity_bytes is not None)
        data = data[: self._room(inode, offset, len(data))]
        if not data:
            return 0
        state, width = self.state, self.state.model.sector_bytes
        stop = offset + len(data)
        written = []
        for sector in range(offset // width, (stop - 1) // width + 1):
            start = sector * width
            old = state.cached.sector(inode, sector)
            head, tail = max(offset - start, 0), min(stop - start, width)
            piece = data[start + head - offset : start + tail - offset]
            self.used_sectors += sector not in state.cached.content(inode).sectors
            written.append(state.make(WriteSector(inode, sector, old[:head] + piece + old[tail:])))
        if stop > self.size(inode):
            state.make(Resize(inode, stop), written if state.model.size_after_data else ())
        self.modified[inode] = time.time_ns()
        return len(data)

    def truncate(self, inode: int, size: int) -> None:
        """Cut a file, or extend it with zeros."""
        if size == self.size(inode):
            return
        touched.use_room(self.state.name, is_limited=self.capacity_bytes is not None)
        cut = cut_sectors(self.state.cached, inode, size)
        self.state.make(Resize(inode, size, cut))
        self.modified[inode] = time.time_ns()
        self.used_sectors -= sum(kept is None for _, kept in cut)

    def forget_handles(self) -> None:
        """No file is open any more: the processes are gone."""
        unused, self.handles = self.handles, {}
        reachable = self.state.cached.reachable()
        for inode in unused:
            self._free_if_unused(inode, linked=inode in reachable)

    def reload(self) -> None:
        """The cache was read anew from the disk."""
        self.handles = {}
        self._unlinked.clear()
        self._count_names()
        self.used_sectors = self._count_sectors()

    def forget_unopened(self) -> None:
        """The cache was read anew from the disk under running programs: deleted files are there again, unseen."""
        reachable = self.state.cached.reachable()
        contents = self.state.cached.contents
        for inode in [inode for inode in contents if inode not in reachable and inode not in self.handles]:
            del contents[inode]
        self._count_names()
        self.used_sectors = self._count_sectors()

    # Inside.

    def _new_inode(self) -> int:
        touched.number_inode(self.state.name)
        self.next_inode += 1
        return self.next_inode - 1

    def _below(self, directory: int) -> set[int]:
        found, stack = {directory}, [directory]
        while stack:
            for target in self.state.cached.directory(stack.pop()).values():
                if target.is_directory:
                    found.add(target.inode)
                    stack.append(target.inode)
        return found

    def _count_names(self) -> None:
        """Count the names of each file anew; a power loss may leave a file with other names than it had."""
        counts: dict[int, int] = {}
        for inode in self._below(ROOT):
            for target in self.state.cached.directory(inode).values():
                counts[target.inode] = counts.get(target.inode, 0) + 1
        self._names = {inode: count for inode, count in counts.items() if count > 1}

    def _lose_name(self, inode: int) -> None:
        """A name of a file has gone; its content goes with the last one that is not open."""
        touched.change_file(self.state.name, inode)
        left = self._names.pop(inode, 1) - 1
        if left > 1:
            self._names[inode] = left
        self._free_if_unused(inode, linked=left > 0)

    def _free_if_unused(self, inode: int, *, linked: bool) -> None:
        if not linked and inode in self.handles:
            self._unlinked.add(inode)
        elif not linked:
            self._unlinked.discard(inode)
            content = self.state.cached.contents.pop(inode, None)
            self.modified.pop(inode, None)
            self.permissions.pop(inode, None)
            self.used.pop(inode, None)
            if content is not None:
                touched.use_room(self.state.name, is_limited=self.capacity_bytes is not None)
                self.used_sectors -= len(content.sectors)

    def _room(self, inode: int, offset: int, count: int) -> int:
        """How many of the bytes to be written there is room for."""
        if self.capacity_bytes is None or not count:
            return count
        width = self.state.model.sector_bytes
        free = self.capacity_bytes // width - self.used_sectors
        have = self.state.cached.content(inode).sectors
        for sector in range(offset // width, (offset + count - 1) // width + 1):
            if sector not in have:
                free -= 1
                if free < 0:
                    room = max(sector * width - offset, 0)
                    if not room:
                        raise failure(errno.ENOSPC, f"inode {inode}")
                    return room
        return count

    def _count_sectors(self) -> int:
        return sum(len(content.sectors) for content in self.state.cached.contents.values())

    def _check(self) -> None:
        """Every structural invariant; called by stress tests, never in production."""
        self.state._check()
        assert self.used_sectors == self._count_sectors()
        kept = self._names
        self._count_names()
        assert kept == self._names
        reachable = self.state.cached.reachable()
        for inode in self.state.cached.contents:
            assert inode in reachable or inode in self.handles, inode
