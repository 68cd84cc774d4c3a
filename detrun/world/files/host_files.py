"""`HostFiles`: the real files that code of a node can read, and none that it can write.

These are what ``World(host_files=[...])`` names, the standard library and installed packages, sources of Python, and
what lies inside the packages that are imported, so that imports, tracebacks, time zones and the data of packages work.
``/dev/null`` is real, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from posix import getcwd  # the real one
from typing import Any

from detrun_scheduler.errors import UsageError

_INSTALLED = (f"{os.sep}site-packages", f"{os.sep}dist-packages")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")


class HostFiles:
    """Which real paths nodes of a world can read.

    Args:
        paths: files and directories, with all that is below.

    Attributes:
        started_in: the real working directory.

    Raises:
        UsageError: there is no such file.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]] = ()) -> None:
        if isinstance(paths, str | bytes | os.PathLike):
            raise UsageError(f"host_files={paths!r} is not valid; give a list of paths, host_files=[{paths!r}]")
        here = getcwd()
        self.named = tuple(os.path.normpath(os.path.join(here, os.fspath(one))) for one in paths)
        for one in self.named:
            if not os.path.exists(one):
                raise UsageError(f"host_files: there is no {one!r} on this machine")
        installed = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__)}
        self._prefixes = tuple(f"{one.rstrip(os.sep)}{os.sep}" for one in (*self.named, *installed))
        self._whole = (*self.named, *installed, *_DEVICES)
        self.started_in = here
        self._entries: tuple[str, ...] = ()  # of `sys.path`, which `_above` was made of
        self._above: frozenset[str] = frozenset()

    def covers(self, path: str) -> bool:
        """Whether ``path``, absolute and without ``..``, can be read."""
        return (
            path.startswith(self._prefixes)
            or path in self._whole
            or any(mark in path for mark in _INSTALLED)
            or self._is_of_a_module(path)
        )

    def leads(self, path: str) -> bool:
        """Whether ``path``, absolute and without ``..``, cannot be read, and is above something that can."""
        entries = tuple(sys.path)
        if entries != self._entries:
            above: set[str] = set()
            for one in (*self._whole, *(entry or self.started_in for entry in entries)):
                while (one := os.path.dirname(one)) and one not in above:
                    above.add(one)
            self._entries, self._above = entries, frozenset(above)
        return path in self._above and not self.covers(path)  # a module may have come into it since

    def is_device(self, path: str) -> bool:
        """Whether it swallows what is written, or gives the same always."""
        return path in _DEVICES

    def _is_of_a_module(self, path: str) -> bool:
        for entry in sys.path:
            folder = f"{(entry or self.started_in).rstrip(os.sep)}{os.sep}"
            if path == folder[:-1]:
                return True
            if path.startswith(folder):
                if path.endswith((".py", ".pyc", ".so")):
                    return True
                module: Any = sys.modules.get(path[len(folder) :].partition(os.sep)[0])
                if hasattr(module, "__path__"):
                    return True
        return False
