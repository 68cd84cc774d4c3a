"""`PathChanges`: how ``os`` changes what is at a path of a node's disk; methods have the names and arguments of ``os``.

A real file is changed by none of them.
"""

from __future__ import annotations

import errno
import math
import os
import time
from functools import partial
from typing import Any

from detrun.world.disk.lookup import failure
from detrun.world.files.node_paths import READ_ONLY
from detrun.world.files.path_questions import PathQuestions
from detrun_scheduler import current
from detrun_scheduler.environment.hidden_state import refuse

_LINKS_SINCE = 10  # of `THREAD_RULES`
NOT_ON_A_DISK = "a simulated disk has no owners, special files or extended attributes"


class PathChanges(PathQuestions):
    """What makes, moves, marks and removes entries."""

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        """As `os.mkdir`."""
        where = self.led(path, dir_fd, follow=False)
        if self.is_real(where) and os.path.isdir(where):
            raise failure(errno.EEXIST, where)  # so that ``exist_ok`` is no error
        self.make_way(where)
        self._change("mkdir", self.disk.file_system.mkdir, where)
        permissions = mode & 0o7777 & ~self.mask
        if permissions != 0o755:
            self.disk.file_system.set_permissions(self.disk.file_system.existing(where).inode, permissions)

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        """As `os.rmdir`."""
        where = self.led(path, dir_fd, follow=False)
        if self.beside(where) is not None:
            raise failure(errno.ENOTEMPTY, where)
        self._change("rmdir", self.disk.file_system.rmdir, where)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        """As `os.unlink`."""
        self._change("unlink", self.disk.file_system.unlink, self.led(path, dir_fd, follow=False))

    remove = unlink

    def rename(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        """As `os.rename`."""
        source = self.led(src, src_dir_fd, follow=False)
        destination = self.led(dst, dst_dir_fd, follow=False)
        if self.beside(source) is not None:
            refuse(f"os.rename of {source!r} on node {self.node!r}", READ_ONLY)
        self.make_way(destination)
        self._change("rename", self.disk.file_system.rename, source, destination)

    replace = rename

    def chmod(self, path: Any, mode: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        """As `os.chmod`: the bits are kept, and hold nothing back."""
        if isinstance(path, int):
            self.fchmod(path, mode)
            return
        if not follow_symlinks and dir_fd is not None:
            raise ValueError("chmod: cannot use dir_fd and follow_symlinks together")

        def change(where: str) -> None:
            target = self.disk.file_system.existing(where, follow=follow_symlinks)
            if target.link is not None:  # which Linux has no permissions for
                raise NotImplementedError("chmod: follow_symlinks unavailable on this platform")
            self.disk.file_system.set_permissions(target.inode, mode & 0o7777)

        self._change("chmod", change, self.led(path, dir_fd, follow=follow_symlinks))

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
            inode = self.disk.file_system.existing(where, follow=follow_symlinks).inode
            self.disk.file_system.set_times(inode, used, moment)

        if isinstance(path, int):
            where = self.descriptors.opened(path).name
        else:
            where = self.led(path, dir_fd, follow=follow_symlinks)
        self._change("utime", change, where)

    def link(
        self,
        src: Any,
        dst: Any,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """As `os.link`: a link is followed where a descriptor is given, as on Linux; EXDEV of a real file."""
        _check_rules("link", src, dst)
        follow = follow_symlinks and (src_dir_fd is not None or dst_dir_fd is not None)
        source = self.led(src, src_dir_fd, follow=follow)
        destination = self.led(dst, dst_dir_fd, follow=False)
        if self.is_real(source) and not self.is_real(destination):
            raise failure(errno.EXDEV, source, destination)
        self.make_way(destination)
        self._change("link", partial(self.disk.file_system.link, follow=follow), source, destination)

    def symlink(self, src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None) -> None:
        """As `os.symlink`."""
        _check_rules("symlink", src, dst)
        target = os.fsdecode(src)
        if "\0" in target:
            raise ValueError("embedded null byte")
        where = self.led(dst, dir_fd, follow=False)
        self.make_way(where)
        self._change("symlink", partial(self.disk.file_system.symlink, target), where)

    def chown(self, path: Any, uid: int, gid: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        """As `os.chown`: to the user that everything belongs to; EPERM for another."""
        if uid not in (-1, os.getuid()) or gid not in (-1, os.getgid()):
            raise _not_on_a_disk(errno.EPERM, str(path))
        self.stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    def lchown(self, path: Any, uid: int, gid: int) -> None:
        """As `os.lchown`."""
        self.chown(path, uid, gid, follow_symlinks=False)

    def getxattr(self, path: Any, *arguments: Any, **named: Any) -> Any:
        """As `os.getxattr`, `setxattr` and `removexattr` where a file system has no such attributes: ENOTSUP."""
        raise _not_on_a_disk(errno.ENOTSUP, str(path))

    setxattr = removexattr = getxattr


def _nanoseconds(seconds: float) -> int:
    whole = math.floor(seconds)
    return whole * 10**9 + math.floor((seconds - whole) * 1e9)


def _check_rules(name: str, source: Any, destination: Any) -> None:
    """In a recording from before there were links the program was told that a file system can have none: EPERM."""
    if current.require(f"os.{name}").thread_rules < _LINKS_SINCE:
        raise _not_on_a_disk(errno.EPERM, os.fsdecode(source), os.fsdecode(destination))


def _not_on_a_disk(number: int, path: str, path2: str | None = None) -> OSError:
    error = failure(number, path, path2)
    error.add_note(NOT_ON_A_DISK)
    return error
