"""`NodePaths`: where paths lead in the code of one process of a node, to the node's disk or to a real file.

A path leads to the disk, whose root is the working directory at first. Where nothing is on the disk and the path, after
the symbolic links of the disk on its way, is one that code of nodes may read (`HostFiles`), the real function answers;
to change what is there is refused by name. New files may stand beside real ones: the folder is made on the disk then,
and lists both.
"""

from __future__ import annotations

import errno
import os
import stat as kinds
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from detrun.world.disk.lookup import failure
from detrun.world.files.descriptors import OpenDirectory
from detrun.world.files.file_calls import FileCalls
from detrun.world.files.host_files import HostFiles
from detrun_scheduler import current
from detrun_scheduler.environment.file_names import original as real
from detrun_scheduler.environment.hidden_state import allowed, refuse

_MAKES_WAY_SINCE = 10  # of `THREAD_RULES`; before, nothing could be made there: ENOENT
READ_ONLY = (
    "it is a real file, which code of a node can only read; write below a directory of the node's disk, or outside the "
    "World"
)


class NodePaths(FileCalls):
    """The paths of one process.

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
        system = self.disk.file_system
        plain = os.path.normpath(system.lead(path, follow=False) if system.has_symbolic_links else path)
        if not path or not self.host.covers(plain):
            return False
        try:
            return system.place(path, follow=False).target is None
        except OSError:
            return True

    def led(self, path: Any, dir_fd: int | None = None, *, follow: bool = True) -> str:
        """As `absolute`; where links of the disk lead to a real file that can be read, the path of that file."""
        where = self.absolute(path, dir_fd)
        if where and self.disk.file_system.has_symbolic_links and not self.on_disk(where, follow=follow):
            behind: str = self.disk.file_system.lead(where, follow=follow)
            if self.is_real(behind):
                return behind
        return where

    def on_disk(self, path: Any, *, follow: bool = True) -> bool:
        """Whether something is there on the disk."""
        try:
            return self.disk.file_system.place(self.absolute(path), follow=follow).target is not None
        except OSError:
            return False

    def make_way(self, where: str) -> None:
        """Have the folder on the disk in which ``where`` is to be made, if it is a real one that can be read.

        In life it is there, for as long as the disk: so it is durable at once, with the folders above it.
        """
        system = self.disk.file_system
        folder = os.path.dirname(os.path.normpath(system.lead(where, follow=False)))
        if self.on_disk(folder) or self.is_real(where) or not (self.host.covers(folder) and os.path.isdir(folder)):
            return
        if current.require("a file beside real ones").thread_rules < _MAKES_WAY_SINCE:
            return
        missing = [folder]
        while not self.on_disk(above := os.path.dirname(missing[-1])):
            missing.append(above)
        first = system.state.next_number
        for one in reversed(missing):
            system.mkdir(one)
        system.state.sync(range(first, system.state.next_number))

    def beside(self, where: str) -> str | None:
        """The real folder whose files can be read beside those of the folder ``where`` on the disk, if there is one."""
        plain = os.path.normpath(self.disk.file_system.lead(where))
        if not (self.host.covers(plain) and self.on_disk(plain)):
            return None
        with allowed(), suppress(OSError):
            return plain if kinds.S_ISDIR(real("stat")(plain).st_mode) else None
        return None  # the disk alone has it

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

    def _ask(
        self, name: str, function: Callable[[str], Any], path: Any, dir_fd: int | None, *, follow: bool = True
    ) -> Any:
        """Ask the disk, or the real function of that name."""
        where = self.led(path, dir_fd, follow=follow)
        if self.is_real(where):
            with allowed():
                return real(name)(where)
        return self._metadata(function, where, path=where)

    def _change(self, name: str, function: Callable[..., Any], *paths: str) -> Any:
        for path in paths:
            if self.is_real(path):
                refuse(f"os.{name} of {path!r} on node {self.node!r}", READ_ONLY)
        return self._metadata(function, *paths, path=paths[0])
