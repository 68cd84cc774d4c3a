"""A network of one machine, for programs of asyncio's that use sockets and open no world.

It is that of a world in which nothing runs but its driver: what a socket sends arrives at once, and every name but
``localhost`` and every address but 127.0.0.0/8 and the machine's own is unknown.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from detrun.world.sockets import patched_sockets
from detrun.world.world import World


def open_localhost(run: Any) -> None:
    """Let the names of ``socket`` lead there until the run ends."""
    world = World()
    patched_sockets.install(world.owner_of_sockets)
    run.threads.at_end.append(partial(_close, world))


def _close(world: World) -> None:
    patched_sockets.restore(world.owner_of_sockets)
    world.discard()
