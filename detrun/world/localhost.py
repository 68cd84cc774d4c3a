"""A network of one machine, for programs that use sockets and open no world.

It is that of a world in which nothing runs but its driver: what a socket sends arrives at once, and every name but
``localhost`` and every address but 127.0.0.0/8 and the machine's own is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from detrun.world.processes import patched_processes
from detrun.world.sockets import patched_sockets
from detrun.world.world import World


def open_localhost(run: Any, ipv6: bool = False) -> Callable[[], None]:
    """Let the names of ``socket`` lead there until what is returned is called; its sockets live as long as the run."""
    world = World(ipv6=ipv6)
    patched_sockets.install(world.owner_of_sockets)
    patched_processes.install(world.owner_of_sockets)
    run.threads.at_end.append(world.discard)
    return partial(_restore, world.owner_of_sockets)


def _restore(owner_here: Callable[[], Any]) -> None:
    patched_processes.restore(owner_here)
    patched_sockets.restore(owner_here)
