"""`NodeFiles`: what ``open`` and ``os`` mean in the code of one process of a node.

This is opening. `FileCalls` has the calls that take descriptors, `PathQuestions` and `PathChanges` those that take
paths, and `NodePaths` says where a path leads.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from detrun.world.disk.lookup import failure
from detrun.world.files.descriptors import OpenDirectory, OpenFile
from detrun.world.files.given_paths import name_as_given
from detrun.world.files.host_files import HostFiles
from detrun.world.files.layers import check_arguments, flags_of, layered, raw_file
from detrun.world.files.node_paths import READ_ONLY
from detrun.world.files.path_changes import NOT_ON_A_DISK, PathChanges
from detrun_scheduler.environment import file_names
from detrun_scheduler.environment.file_names import original as real
from detrun_scheduler.environment.hidden_state import DEVICE, RANDOM_DEVICES, allowed, refuse

DISK_IS_EMPTY = (
    "this is the disk of node {!r}, which begins empty: make the directory first, or let nodes read real files by "
    "World(host_files=[...])"
)


class NodeFiles(PathChanges):
    """The files of one process; the arguments are those of `NodePaths`."""

    def __init__(self, disk: Any, node: str, host: HostFiles) -> None:
        super().__init__(disk, node, host)
        self.sqlite: Any = None  # the files of its databases, from the first connection on

    def end(self) -> None:
        """The process is over."""
        super().end()
        self.sqlite = None  # it knows these files: a cycle of garbage

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """As `os.open`."""
        where = self.led(path, dir_fd, follow=follows(flags))
        if where in RANDOM_DEVICES:
            refuse(f"opening {where!r}", DEVICE)
        if self.is_real(where):
            if flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC) and not self.host.is_device(where):
                refuse(f"opening {where!r} for writing on node {self.node!r}", READ_ONLY)
            with allowed():
                return int(real("open")(where, flags, mode))
        if flags & getattr(os, "O_TMPFILE", 0) == getattr(os, "O_TMPFILE", -1):
            raise failure(errno.EOPNOTSUPP, where)
        if flags & os.O_CREAT:
            self.make_way(where)
        opened = self._metadata(self._opened, where, flags, mode, path=where)
        return self.descriptors.add(opened)

    def _opened(self, where: str, flags: int, mode: int) -> OpenFile | OpenDirectory:
        system = self.disk.file_system
        follow = follows(flags)
        if flags & os.O_DIRECTORY and not flags & os.O_CREAT and not system.existing(where, follow=follow).is_directory:
            raise failure(errno.ENOTDIR, where)
        if not flags & os.O_ACCMODE and not flags & os.O_CREAT:
            target = system.place(where, follow=follow).target
            if target is not None and target.is_directory:
                return OpenDirectory(self.disk, where)
        first_new = system.next_inode
        opened = OpenFile(self.disk, where, flags)
        permissions = mode & 0o7777 & ~self.mask
        if opened.inode >= first_new and permissions != 0o644:
            system.set_permissions(opened.inode, permissions)
        return opened

    def builtin_open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[[Any, int], int] | None = None,
    ) -> Any:
        """As the function ``open``."""
        flags = flags_of(mode)
        check_arguments(mode, buffering, encoding, errors, newline)
        open_real = partial(file_names.original_open(), mode=mode, buffering=buffering, encoding=encoding)
        if isinstance(file, int):
            number = file
        else:
            if not closefd:
                raise ValueError("Cannot use closefd=False with file name")
            path = os.fspath(file)
            if opener is None:
                where = self.led(path, follow=follows(flags))
                if not flags & os.O_ACCMODE and self.is_real(where):
                    with allowed():
                        return open_real(where, errors=errors, newline=newline)
                number = self._open_by_name(path, flags)
            else:
                number = opener(path, flags)
                if not isinstance(number, int):
                    raise TypeError("expected integer from opener")
                if number < 0:
                    raise ValueError(f"opener returned {number}")
        if not self.descriptors.has_given(number):  # a real one: a pipe, the standard output, a device
            return open_real(number, errors=errors, newline=newline, closefd=closefd)
        try:
            opened = self.descriptors.file(number)  # which refuses a directory
        except IsADirectoryError:
            if not isinstance(file, int):
                self.descriptors.close(number)
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), file if isinstance(file, int) else path) from None
        raw = raw_file(self.descriptors, number, file, mode, closefd, is_outermost=not buffering)
        try:
            return layered(raw, self.disk, opened.name, mode, buffering, encoding, errors, newline)
        except BaseException:
            raw.close()
            raise

    def _open_by_name(self, path: Any, flags: int) -> int:
        try:
            return self.open(path, flags, 0o666)
        except OSError as error:
            name_as_given(error, "open", (path,), {})
            if isinstance(error, FileNotFoundError):
                error.add_note(DISK_IS_EMPTY.format(self.node))
            raise

    def truncate(self, path: Any, length: int) -> None:
        """As `os.truncate`."""
        if isinstance(path, int):
            self.ftruncate(path, length)
            return
        number = self.open(path, os.O_WRONLY)
        try:
            self.ftruncate(number, length)
        finally:
            self.close(number)

    def __getattr__(self, name: str) -> Any:
        if name in file_names.FILE_CALLS:
            return lambda *_, **__: refuse(f"os.{name} on node {self.node!r}", NOT_ON_A_DISK)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def follows(flags: int) -> bool:
    """Whether ``os.open`` with these flags follows a symbolic link that is the last part of the path."""
    return not flags & os.O_NOFOLLOW and flags & (os.O_CREAT | os.O_EXCL) != os.O_CREAT | os.O_EXCL
