"""Which files the code that calls means: those of its node's process, while a world is open.

`install` leads ``open`` and ``os`` there (`detrun_scheduler.environment.file_names`), and what stands on them but keeps
state of its own: ``tempfile``, whose directory and names are those of the node and of the run, and what opens paths in
C or C++ (`tls_files`, `torch_files`, `refused_in_c`). Code of the driver means real files.
"""

from __future__ import annotations

import io
import mmap
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from detrun.world.files import refused_in_c, tls_files, torch_files
from detrun.world.files.host_files import HostFiles
from detrun.world.nodes.node import Node, this_node
from detrun.world.nodes.process import Process
from detrun.world.services import Services, process_here
from detrun_scheduler.environment import file_names
from detrun_scheduler.environment.names_at_import import ReplacedAtImport
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.errors import UsageError
from detrun_scheduler.threads import sqlite_waits

if TYPE_CHECKING:
    from detrun.world.disk.disk import Disk
    from detrun.world.files.node_files import NodeFiles

_TEMPORARY = "/tmp"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"  # as `tempfile` has them
_NAME_LENGTH = 8

_open: Services | None = None  # those of the open world
_host = HostFiles()


def files_here() -> NodeFiles | None:
    """The files of the process whose code runs; None for the driver's, and outside a world."""
    process = process_here.get(None)
    if process is None or _open is None or not isinstance(process, Process) or process.has_real_files:
        return None
    if process.files is None:
        disk = sys.modules.get("detrun.world.disk.disk")
        if disk is not None and getattr(disk.__spec__, "_initializing", False):
            return None  # its own import, begun by the first use of a disk, reads real files under pytest
        process.files = _files_of(this_node())
    found: NodeFiles = process.files
    return found


def _files_of(node: Node) -> NodeFiles:
    from detrun.world.disk.disk import Disk
    from detrun.world.files.node_files import NodeFiles

    if not isinstance(node.disk, Disk):
        raise UsageError(
            f"node {node.name!r} has a disk of another kind, {node.disk!r}; open and os need a detrun.world.Disk"
        )
    return NodeFiles(node.disk, node.name, _host)


def _temporary_directory() -> str:
    files = files_here()
    if files is None:
        found: str = _TEMPFILE.originals["_gettempdir"]()
        return found
    with suppress(FileExistsError):
        files.disk.file_system.mkdir(_TEMPORARY)
    return _TEMPORARY


def _candidate_names() -> Iterator[str]:
    files = files_here()
    if files is None:
        found: Iterator[str] = _TEMPFILE.originals["_get_candidate_names"]()
        return found
    return _names_of(files.disk)


def _names_of(disk: Disk) -> Iterator[str]:
    while True:
        bits, name = disk.draw("temporary names"), ""
        for _ in range(_NAME_LENGTH):
            bits, letter = divmod(bits, len(_LETTERS))
            name += _LETTERS[letter]
        yield name


class _AnonymousArena:
    """Memory for `multiprocessing.Value` and `Array` in the code of a node, which lies in no file."""

    def __init__(self, size: int) -> None:
        self.size, self.fd = size, -1
        self.buffer = mmap.mmap(-1, size)


def _arena(size: int, fd: int = -1) -> Any:
    if files_here() is None:
        return _ARENAS.originals["Arena"](size, fd)
    return _AnonymousArena(size)


def _sqlite_location(database: Any, is_uri: bool) -> str | None:
    files = files_here()
    return None if files is None else _sqlite().location(files, database, is_uri)


def _call_sqlite(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    files = files_here()
    return call(*arguments) if files is None else _sqlite().call(files, call, arguments)


@cache
def _sqlite() -> Any:
    global _open
    services, _open = _open, None  # the import opens real files
    try:
        from detrun.world.files import sqlite_binding, sqlite_calls
    finally:
        _open = services
    sqlite_binding.files_of_call = _sqlite_files
    return sqlite_calls


def _sqlite_files() -> Any:
    files = files_here()
    return None if files is None else files.sqlite


_NUMPY = "numpy.lib._datasource"
_TEMPFILE = ReplacedNames(tempfile, {"_gettempdir": _temporary_directory, "_get_candidate_names": _candidate_names})
_ARENAS = ReplacedAtImport("multiprocessing.heap", {"Arena": _arena})


def install(services: Services, host: HostFiles) -> None:
    """Lead code of nodes to their disks until `restore`."""
    global _open, _host
    # Not as a node first needs them: where a tool has its own way to import, that would open files as the node.
    import_module("detrun.world.disk.disk")
    import_module("detrun.world.files.node_files")
    _open, _host = services, host
    _TEMPFILE.install()
    torch_files.install()
    refused_in_c.install()
    _ARENAS.install()
    tls_files.METHODS.install()
    sqlite_waits.lead_to(_call_sqlite, _sqlite_location)
    # numpy's readers of text keep `open` in a dictionary; the run's is the real one outside nodes.
    openers = getattr(getattr(sys.modules.get(_NUMPY), "_file_openers", None), "_file_openers", None)
    if isinstance(openers, dict) and None in openers:
        openers[None] = io.open
    file_names.lead_to(files_here)


def restore(services: Services) -> None:
    """Put everything back, if it was replaced for ``services``."""
    global _open
    if _open is services:
        _open = None
        file_names.lead_to(None)
        sqlite_waits.lead_to(None)
        tls_files.METHODS.restore()
        _ARENAS.restore()
        refused_in_c.restore()
        torch_files.restore()
        _TEMPFILE.restore()
