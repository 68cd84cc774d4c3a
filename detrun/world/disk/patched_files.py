"""``trio.open_file`` and ``trio.Path`` for code on a node: they lead to the node's disk.

While a world is open, ``trio.open_file`` called by a node's code opens a file on that node's disk, and the methods of a
``trio.Path`` that touch a file system ask that disk; called by the driver or outside, they are trio's own. The root of
the disk is the working directory, and ``trio.Path.home()`` too. `open_file` and `path` here always mean the disk of the
node whose code calls.

``from trio import open_file`` before the world opened leads to the disk, too, by ``open`` in a thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import PurePosixPath
from typing import Any

import trio

from detrun.world.disk.paths import DiskPath
from detrun.world.nodes.node import Node, this_node
from detrun.world.nodes.process import Process
from detrun.world.services import Services, process_here
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.errors import HiddenStateError


async def open_file(*args: Any, **keywords: Any) -> Any:
    """Open a file on the disk of the calling node; arguments as for ``trio.open_file``."""
    return await this_node().disk.open_file(*args, **keywords)


def path(*parts: str | DiskPath) -> DiskPath:
    """A path on the disk of the calling node, with the methods of ``trio.Path``."""
    found: DiskPath = this_node().disk.path(*parts)
    return found


async def _open_file(*args: Any, **keywords: Any) -> Any:
    node = _node_here()
    if node is None:
        return await _TRIO.originals["open_file"](*args, **keywords)
    return await node.disk.open_file(*args, **keywords)


def _node_here() -> Node | None:
    """The node whose code calls, unless it is the driver, which may want to read what is real."""
    process = process_here.get(None)
    if _open is None or not isinstance(process, Process) or process.has_real_files:
        return None
    return this_node()


def _asking_the_disk(name: str, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The method ``name`` of ``trio.Path`` for code that may be on a node."""

    @wraps(original)
    async def method(self: trio.Path, *args: Any, **keywords: Any) -> Any:
        node = _node_here()
        if node is None:
            return await original(self, *args, **keywords)
        there = DiskPath(node.disk, str(self))
        if not hasattr(there, name):
            raise HiddenStateError(
                f"trio.Path.{name} on node {node.name!r}: a simulated disk has files, directories and links, but no "
                "permissions, owners, special files or home directories"
            )
        found = await getattr(there, name)(*args, **keywords)
        if name in ("rename", "replace"):
            return type(self)(*args, *keywords.values())  # the target, as it was given
        is_absolute = self.is_absolute() or name in ("absolute", "resolve")
        if isinstance(found, DiskPath):
            return _as_path(type(self), found, is_absolute)
        if isinstance(found, PurePosixPath):  # what a link holds
            return type(self)(found)
        if isinstance(found, list):
            return [_as_path(type(self), one, is_absolute) for one in found]
        return found

    return method


def _as_path(kind: type[trio.Path], found: DiskPath, is_absolute: bool) -> trio.Path:
    """``found`` as the caller writes paths: relative ones begin at the root."""
    return kind(str(found) if is_absolute else str(found)[1:])


def _place_on_disk(name: str, original: Any) -> Any:
    """``trio.Path.cwd`` or ``home`` for code that may be on a node."""

    @wraps(original.__func__)
    async def method(kind: type[trio.Path]) -> Any:
        return await original.__get__(None, kind)() if _node_here() is None else kind("/")

    return classmethod(method)


_TRIO = ReplacedNames(trio, {"open_file": _open_file})
_METHODS = {
    name: member
    for name, member in vars(trio.Path).items()
    if inspect.iscoroutinefunction(getattr(member, "__func__", member)) and not hasattr(PurePosixPath, name)
}
_REPLACED_METHODS = {
    name: (_place_on_disk if isinstance(member, classmethod) else _asking_the_disk)(name, member)
    for name, member in _METHODS.items()
}
_open: Services | None = None  # those of the open world


def install(services: Services) -> None:
    """Replace the names until `restore`."""
    global _open
    _open = services
    _TRIO.install()
    for name, member in _REPLACED_METHODS.items():
        setattr(trio.Path, name, member)


def restore(services: Services) -> None:
    """Put the names back, if they were replaced for ``services``."""
    global _open
    if _open is services:
        _open = None
        _TRIO.restore()
        for name, member in _METHODS.items():
            setattr(trio.Path, name, member)
