"""Threads of nodes: one belongs to the process whose code started it, and each process has a limit of its own.

A thread knows its node, is paused with it, and dies with it, in the middle of whatever it does. ``trio.to_thread`` in a
node's code takes its places from a limiter of that process, as it would in life: a process that is killed with all its
threads at work takes no places away from others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from detrun.world.nodes.process import Process, _process
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.trio_host.private import TRIO_THREADS

if TYPE_CHECKING:
    from detrun.world.world import World

THREADS_MAX = 40  # trio's default limit


def process_of(task: Any) -> Process | None:
    """The process that a task, or a thread's, belongs to; None if it is of no world."""
    owner = getattr(task.coro, "owner", None)
    found: Process | None = owner if owner is not None else task.context.get(_process)
    return found


def is_thread_of_node(task: Any) -> bool:
    """Whether ``task`` is a thread, and of another process than the driver's."""
    owner = getattr(task.coro, "owner", None)
    return owner is not None and owner.node is not owner.node.world.driver


def _default_limiter() -> trio.CapacityLimiter:
    process = _process.get(None)
    if process is None or _world is None or process.node is _world.driver:
        found: trio.CapacityLimiter = _THREADS.originals["current_default_thread_limiter"]()
        return found
    if process.thread_limiter is None:
        process.thread_limiter = trio.CapacityLimiter(THREADS_MAX)
    return process.thread_limiter


_THREADS = ReplacedNames(TRIO_THREADS, {"current_default_thread_limiter": _default_limiter})
_PUBLIC = ReplacedNames(trio.to_thread, {"current_default_thread_limiter": _default_limiter})
_world: World | None = None


def install(world: World) -> None:
    """Have threads belong to processes until `restore`."""
    global _world
    _world = world
    _THREADS.install()
    _PUBLIC.install()
    assert world.run.threads is not None
    world.run.threads.inherit(_process)


def restore(world: World) -> None:
    """Put everything back, if ``world`` has replaced it."""
    global _world
    if _world is world:
        _world = None
        _PUBLIC.restore()
        _THREADS.restore()
        if world.run.threads is not None:
            world.run.threads.inherit(None)
