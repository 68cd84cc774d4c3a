"""Threads of nodes: one belongs to the process whose code started it, and each process has a limit of its own.

A thread knows its node, is paused with it, and dies with it, in the middle of whatever it does. ``trio.to_thread`` in a
node's code takes its places from a limiter of that process, as it would in life: a process that is killed with all its
threads at work takes no places away from others.
"""

from __future__ import annotations

from typing import Any, cast

import trio

from detrun.world.nodes.process import Process
from detrun.world.services import Services, process_here
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.trio_host.private import TRIO_THREADS

THREADS_MAX = 40  # trio's default limit


def is_thread_of_node(task: Any) -> bool:
    """Whether ``task`` is a thread, and of another process than the driver's."""
    owner = getattr(task.coro, "owner", None)
    return owner is not None and not owner.is_driver


def _default_limiter() -> trio.CapacityLimiter:
    process = cast("Process | None", process_here.get(None))
    if process is None or _open is None or process.is_driver:
        found: trio.CapacityLimiter = _THREADS.originals["current_default_thread_limiter"]()
        return found
    if process.thread_limiter is None:
        process.thread_limiter = trio.CapacityLimiter(THREADS_MAX)
    return process.thread_limiter


_THREADS = ReplacedNames(TRIO_THREADS, {"current_default_thread_limiter": _default_limiter})
_PUBLIC = ReplacedNames(trio.to_thread, {"current_default_thread_limiter": _default_limiter})
_open: Services | None = None  # those of the open world


def install(services: Services) -> None:
    """Have threads belong to processes until `restore`."""
    global _open
    _open = services
    _THREADS.install()
    _PUBLIC.install()
    assert services.run.threads is not None
    services.run.threads.inherit(process_here)


def restore(services: Services) -> None:
    """Put everything back, if it was replaced for ``services``."""
    global _open
    if _open is services:
        _open = None
        _PUBLIC.restore()
        _THREADS.restore()
        if services.run.threads is not None:
            services.run.threads.inherit(None)
