"""``trio.open_file`` and the like for code on a node: they lead to the node's disk.

While a world is open, ``trio.open_file`` called by a node's code opens a file on that node's disk; called by the driver
or outside, it is trio's own. `open_file` and `path` here always mean the disk of the node whose code calls.

Escapes: ``from trio import open_file`` before the world opened, ``open`` and ``os``, and ``trio.Path``, a class that
programs inherit from and test for: these mean the real file system. Use `path`, or ``node.disk.path``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from detrun.world.disk_paths import DiskPath
from detrun.world.node import Node, _process, this_node
from detrun_scheduler.replaced_names import ReplacedNames

if TYPE_CHECKING:
    from detrun.world.world import World


async def open_file(*args: Any, **keywords: Any) -> Any:
    """Open a file on the disk of the calling node; arguments as for ``trio.open_file``."""
    return await this_node().disk.open_file(*args, **keywords)


def path(*parts: str | DiskPath) -> DiskPath:
    """A path on the disk of the calling node, with methods like those of ``trio.Path``."""
    found: DiskPath = this_node().disk.path(*parts)
    return found


async def _open_file(*args: Any, **keywords: Any) -> Any:
    node = _node_here()
    if node is None:
        return await _TRIO.originals["open_file"](*args, **keywords)
    return await node.disk.open_file(*args, **keywords)


def _node_here() -> Node | None:
    """The node whose code calls, unless it is the driver, which may want to read what is real."""
    process = _process.get(None)
    if process is None or _world is None or process.node is _world.driver:
        return None
    return process.node


_TRIO = ReplacedNames(trio, {"open_file": _open_file})
_world: World | None = None


def install(world: World) -> None:
    """Replace the names until `restore`."""
    global _world
    _world = world
    _TRIO.install()


def restore(world: World) -> None:
    """Put the names back, if ``world`` has replaced them."""
    global _world
    if _world is world:
        _world = None
        _TRIO.restore()
