"""`NodeFiles`: what ``open`` and ``os`` mean in the code of one process of a node.

A path leads to the node's disk, whose root is the working directory at first. Where nothing is on the disk and the path
is one that code of nodes may read (`HostFiles`), the real function answers; to change what is there is refused by name.
The methods have the names and the arguments of ``os``; `FileCalls` has those that take descriptors.
"""

from __future__ import annotations

import errno
import math
import os
import stat as kinds
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from detrun.world.disk.file_system import failure
from detrun.world.files.descriptors import OpenDirectory, OpenFile
from detrun.world.files.entries import Entries, Entry
from detrun.world.files.file_calls import FileCalls, stat_result
from detrun.world.files.given_paths import name_as_given
from detrun.world.files.host_files import HostFiles
from detrun.world.files.layers import check_arguments, flags_of, layered, raw_file
from detrun_scheduler import current
from detrun_scheduler.environment import file_names
from detrun_scheduler.environment.file_names import original as real
from detrun_scheduler.environment.hidden_state import DEVICE, RANDOM_DEVICES, allowed, refuse

_SINCE = 7  # the rules (`THREAD_RULES`) since when folders above real files are looked up without a step
_LIMITS = {"PC_LINK_MAX": 1, "PC_NAME_MAX": 255, "PC_NO_TRUNC": 1, "PC_PATH_MAX": 4096, "PC_PIPE_BUF": 4096}
_NO_LINKS = "a simulated disk has no links, owners, special files or extended attributes"
_READ_ONLY = (
    "it is a real file, which code of a node can only read; write below a directory of the node's disk, or outside the "
    "World"
)
DISK_IS_EMPTY = (
    "this is the disk of node {!r}, which begins empty: make the directory first, or let nodes read real files by "
    "World(host_files=[...])"
)


class NodeFiles(FileCalls):
    """The files of one process.

    Args:
        disk: of the node.
        node: its name.
        host: the real files that it can read.
    """

    def __init__(self, disk: Any, node: str, host: HostFiles) -> None:
        super().__init__(disk)
        self.node = node
        self.host = host
        self.working_directory = "/"
        self.mask = 0o022  # of `os.umask`
        self.sqlite: Any = None  # the files of its databases, from the first connection on

    # Paths.

    def absolute(self, path: Any, dir_fd: int | None = None) -> str:
        """``path`` as text, from the root of the disk; a final slash stays."""
        text = os.fsdecode(path)
        if "\0" in text:
            raise ValueError("embedded null byte")
        if text.startswith("/") or not text:
            return text
        base = self.working_directory
        if dir_fd is not None:
            base = self._folder(dir_fd, text)
        return f"{base.rstrip('/')}/{text}"

    def _folder(self, number: int, path: str) -> str:
        """Where the directory of a descriptor is, from which ``path`` leads on; a real one where nodes can read it."""
        if not self.descriptors.has_given(number):
            with suppress(OSError), allowed():
                where = str(real("readlink")(f"/proc/self/fd/{number}"))
                if self.host.covers(where):
                    return where
        opened = self.descriptors.opened(number)
        if not isinstance(opened, OpenDirectory):
            raise failure(errno.ENOTDIR, path)
        return opened.name

    def is_real(self, path: str) -> bool:
        """Whether an absolute path is one of the real files that can be read."""
        plain = os.path.normpath(path)
        if not path or not self.host.covers(plain):
            return False
        try:
            return self.disk.file_system.place(path).target is None
        except OSError:
            return True

    def on_disk(self, path: Any) -> bool:
        """Whether something is there on the disk."""
        try:
            return self.disk.file_system.place(self.absolute(path)).target is not None
        except OSError:
            return False

    def may_be_real(self, event: str, path: Any, mode: Any = None, flags: int = 0, *rest: Any) -> bool:
        """Whether the real call that an audit event announces may go on: it reads what nodes can read.

        The import system writes its caches, past the names that are replaced.
        """
        where = os.path.normpath(self.absolute(path))
        if "__pycache__" in where:
            return True
        if not self.host.covers(where):
            return False
        return event in ("os.listdir", "os.scandir") or (event == "open" and not flags & os.O_ACCMODE)

    def _ask(self, name: str, function: Callable[[str], Any], path: Any, dir_fd: int | None, **named: Any) -> Any:
        """Ask the disk, or the real function of that name."""
        where = self.absolute(path, dir_fd)
        if self.is_real(where):
            with allowed():
                return real(name)(where, **named)
        return self._metadata(function, where, path=where)

    def _change(self, name: str, function: Callable[..., Any], *paths: str) -> Any:
        for path in paths:
            if self.is_real(path):
                refuse(f"os.{name} of {path!r} on node {self.node!r}", _READ_ONLY)
        return self._metadata(function, *paths, path=paths[0])

    def end(self) -> None:
        """The process is over."""
        super().end()
        self.sqlite = None  # it knows these files: a cycle of garbage

    # Opening.

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """As `os.open`."""
        where = self.absolute(path, dir_fd)
        if where in RANDOM_DEVICES:
            refuse(f"opening {where!r}", DEVICE)
        if self.is_real(where):
            if flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC) and not self.host.is_device(where):
                refuse(f"opening {where!r} for writing on node {self.node!r}", _READ_ONLY)
            with allowed():
                return int(real("open")(where, flags, mode))
        if flags & getattr(os, "O_TMPFILE", 0) == getattr(os, "O_TMPFILE", -1):
            raise failure(errno.EOPNOTSUPP, where)
        opened = self._metadata(self._opened, where, flags, mode, path=where)
        return self.descriptors.add(opened)

    def _opened(self, where: str, flags: int, mode: int) -> OpenFile | OpenDirectory:
        system = self.disk.file_system
        if flags & os.O_DIRECTORY and not flags & os.O_CREAT:
            system.directory_at(where)
        if not flags & os.O_ACCMODE and not flags & os.O_CREAT:
            target = system.place(where).target
            if target is not None and target.is_directory:
                return OpenDirectory(self.disk, where)
        is_new = flags & os.O_CREAT and system.place(where).target is None
        opened = OpenFile(self.disk, where, flags)
        permissions = mode & 0o7777 & ~self.mask
        if is_new and permissions != 0o644:
            system.permissions[opened.inode] = permissions
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
                where = self.absolute(path)
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

    # Asking.

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        """As `os.stat`."""
        if isinstance(path, int):
            return self.fstat(path) if path in self.descriptors else real("stat")(path)
        return self._status("stat", path, dir_fd)

    def lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        """As `os.lstat`: there are no links."""
        return self._status("lstat", path, dir_fd)

    def _status(self, name: str, path: Any, dir_fd: int | None) -> os.stat_result:
        where = self.absolute(path, dir_fd)
        if self.host.leads(where) and not self.on_disk(where) and current.require(f"os.{name}").thread_rules >= _SINCE:
            # `os.path.realpath` of each loaded module asks for these, and how many are loaded is no part of the run.
            raise failure(errno.ENOENT, where)
        found = self._ask(name, self.disk.file_system.status, path, dir_fd)
        return found if isinstance(found, os.stat_result) else stat_result(found)

    def access(
        self,
        path: Any,
        mode: int,
        *,
        dir_fd: int | None = None,
        effective_ids: bool = False,
        follow_symlinks: bool = True,
    ) -> bool:
        """As `os.access`: what is on the disk may be read and written."""
        try:
            where = self.absolute(path, dir_fd)
            if mode & os.W_OK and self.is_real(where):
                return False
            found = self.stat(path, dir_fd=dir_fd)
        except OSError:
            return False
        return not mode & os.X_OK or kinds.S_ISDIR(found.st_mode) or bool(found.st_mode & 0o111)

    def listdir(self, path: Any = None) -> list[Any]:
        """As `os.listdir`; sorted."""
        path = "." if path is None else path
        if isinstance(path, int):
            path = self.descriptors.opened(path).name
        names = sorted(self._ask("listdir", self.disk.file_system.listdir, path, None))
        return [os.fsencode(name) for name in names] if isinstance(os.fspath(path), bytes) else list(names)

    def scandir(self, path: Any = None) -> Any:
        """As `os.scandir`; sorted."""
        path = "." if path is None else path
        at: Any = self.descriptors.opened(path).name if isinstance(path, int) else os.fspath(path)
        where = self.absolute(at)
        if self.is_real(where):
            with allowed():
                return real("scandir")(where)
        entries = []
        for name in self._metadata(self.disk.file_system.listdir, where, path=where):
            target = self.disk.file_system.existing(f"{where.rstrip('/')}/{name}")
            shown = os.fsencode(name) if isinstance(at, bytes) else name
            place = shown if isinstance(path, int) else os.path.join(at, shown)
            status = self.stat if not isinstance(path, int) else partial(self.stat, dir_fd=path)
            entries.append(Entry(shown, place, target.is_directory, status))
        return Entries(entries)

    def readlink(self, path: Any, *, dir_fd: int | None = None) -> Any:
        """As `os.readlink`: nothing on the disk is a link."""

        def refused(where: str) -> None:
            self.disk.file_system.existing(where)
            raise failure(errno.EINVAL, where)

        return self._ask("readlink", refused, path, dir_fd)

    def statvfs(self, path: Any) -> os.statvfs_result:
        """As `os.statvfs`."""
        if isinstance(path, int):
            return self.fstatvfs(path)
        self.stat(path)
        return self.statvfs_result()

    def listxattr(self, path: Any = None, *, follow_symlinks: bool = True) -> list[str]:
        """As `os.listxattr`: there are none."""
        if not isinstance(path, int):
            self.stat("." if path is None else path)
        return []

    def getcwd(self) -> str:
        """As `os.getcwd`: ENOENT where it has been removed."""
        if not self.is_real(self.working_directory):
            self.disk.file_system.directory_at(self.working_directory)
        return self.working_directory

    def getcwdb(self) -> bytes:
        """As `os.getcwdb`."""
        return os.fsencode(self.getcwd())

    def chdir(self, path: Any) -> None:
        """As `os.chdir`."""
        where = self.descriptors.opened(path).name if isinstance(path, int) else self.absolute(path)
        if not self.is_real(where):
            self._metadata(self.disk.file_system.directory_at, where, path=where)
        elif not kinds.S_ISDIR(self.stat(where).st_mode):
            raise failure(errno.ENOTDIR, where)
        self.working_directory = os.path.normpath(where)

    fchdir = chdir

    def pathconf(self, path: Any, name: Any) -> int:
        """As `os.pathconf`."""
        if not isinstance(path, int):
            self.stat(path)
        if isinstance(name, str) and name not in os.pathconf_names:
            raise ValueError("unrecognized configuration name")
        number = os.pathconf_names[name] if isinstance(name, str) else name
        return next((limit for one, limit in _LIMITS.items() if os.pathconf_names.get(one) == number), -1)

    fpathconf = pathconf

    def umask(self, mask: int, /) -> int:
        """As `os.umask`."""
        before, self.mask = self.mask, mask & 0o777
        return before

    # Changing.

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        """As `os.mkdir`."""
        where = self.absolute(path, dir_fd)
        if self.is_real(where) and os.path.isdir(where):
            raise failure(errno.EEXIST, where)  # so that ``exist_ok`` is no error
        self._change("mkdir", self.disk.file_system.mkdir, where)
        permissions = mode & 0o7777 & ~self.mask
        if permissions != 0o755:
            self.disk.file_system.permissions[self.disk.file_system.existing(where).inode] = permissions

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        """As `os.rmdir`."""
        self._change("rmdir", self.disk.file_system.rmdir, self.absolute(path, dir_fd))

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        """As `os.unlink`."""
        self._change("unlink", self.disk.file_system.unlink, self.absolute(path, dir_fd))

    remove = unlink

    def rename(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        """As `os.rename`."""
        source, destination = self.absolute(src, src_dir_fd), self.absolute(dst, dst_dir_fd)
        self._change("rename", self.disk.file_system.rename, source, destination)

    replace = rename

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

    def chmod(self, path: Any, mode: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        """As `os.chmod`: the bits are kept, and hold nothing back."""
        if isinstance(path, int):
            self.fchmod(path, mode)
            return

        def change(where: str) -> None:
            self.disk.file_system.permissions[self.disk.file_system.existing(where).inode] = mode & 0o7777

        self._change("chmod", change, self.absolute(path, dir_fd))

    def utime(
        self,
        path: Any,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """As `os.utime`. The time of the last use is what was set here last, whatever reads the file."""
        if times is not None and ns is not None:
            raise ValueError("utime: you may specify either 'times' or 'ns' but not both")
        for name, pair in (("times", times), ("ns", ns)):
            if pair is not None and not (isinstance(pair, tuple) and len(pair) == 2):
                raise TypeError(
                    f"utime: {name!r} must be {'either ' * (name == 'times')}a tuple of two ints"
                    f"{' or None' * (name == 'times')}"
                )
        used, moment = ns or (map(_nanoseconds, times) if times is not None else [time.time_ns()] * 2)

        def change(where: str) -> None:
            inode = self.disk.file_system.existing(where).inode
            self.disk.file_system.used[inode], self.disk.file_system.modified[inode] = used, moment

        where = self.descriptors.opened(path).name if isinstance(path, int) else self.absolute(path, dir_fd)
        self._change("utime", change, where)

    def link(self, src: Any, dst: Any, **named: Any) -> None:
        """As `os.link` where a file system has no links: EPERM."""
        raise _without_links(errno.EPERM, os.fsdecode(src), os.fsdecode(dst))

    def symlink(self, src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None) -> None:
        """As `os.symlink` where a file system has no links: EPERM."""
        raise _without_links(errno.EPERM, os.fsdecode(src), os.fsdecode(dst))

    def chown(self, path: Any, uid: int, gid: int, **named: Any) -> None:
        """As `os.chown`: to the user that everything belongs to; EPERM for another."""
        if uid not in (-1, os.getuid()) or gid not in (-1, os.getgid()):
            raise _without_links(errno.EPERM, str(path))
        self.stat(path)

    lchown = chown

    def getxattr(self, path: Any, *arguments: Any, **named: Any) -> Any:
        """As `os.getxattr`, `setxattr` and `removexattr` where a file system has no such attributes: ENOTSUP."""
        raise _without_links(errno.ENOTSUP, str(path))

    setxattr = removexattr = getxattr

    def __getattr__(self, name: str) -> Any:
        if name in file_names.FILE_CALLS:
            return lambda *_, **__: refuse(f"os.{name} on node {self.node!r}", _NO_LINKS)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _nanoseconds(seconds: float) -> int:
    whole = math.floor(seconds)
    return whole * 10**9 + math.floor((seconds - whole) * 1e9)


def _without_links(number: int, path: str, path2: str | None = None) -> OSError:
    error = failure(number, path, path2)
    error.add_note(_NO_LINKS)
    return error
