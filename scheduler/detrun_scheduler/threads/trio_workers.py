"""Worker threads inside a run: `trio.to_thread` and `trio.from_thread`.

trio's own code runs, with its cancellation, limiter, contexts and messages back to the task. It gets simulated threads
for its workers, a simulated local for what they know of their task, and a simulated queue for the answers. Each call
has a thread of its own; trio reuses idle ones, on which no program can rely.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import outcome
import sniffio
import trio
from greenlet import getcurrent

from detrun_scheduler.environment import process_names
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.threads.calling import threads_of_call
from detrun_scheduler.threads.simple_queue import SimpleQueue
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.threads.thread_locals import local
from detrun_scheduler.trio_host.private import THREAD_COUNTER, TRIO_SUBPROCESS, TRIO_THREADS


def _start_thread_soon(
    function: Callable[[], Any], deliver: Callable[[outcome.Outcome[Any]], object], name: str | None = None
) -> None:
    """`trio.lowlevel.start_thread_soon`."""
    threads = threads_of_call()
    if threads is None:
        TRIO.originals["start_thread_soon"](function, deliver, name)
        return

    own_name = f"Trio thread {threads.idents}"

    def body() -> None:
        result = outcome.capture(function)
        thread.name = own_name  # as trio does when a worker becomes idle
        if not thread._simulated.dying:
            deliver(result)

    thread: Any = threading.Thread(target=body, name=own_name, daemon=True)
    if name is not None:
        thread.name = name
    # trio names a worker "function from task"; the path of the task has the task in it already.
    thread._is_worker = True
    thread._path_name = thread.name.partition(" from ")[0]
    thread.start()


class _Run(TRIO_THREADS.Run):  # type: ignore[misc]  # Any
    """trio's message with a queue that a simulated thread can wait on."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        object.__setattr__(self, "queue", SimpleQueue())  # the class is frozen


class _RunSync(TRIO_THREADS.RunSync):  # type: ignore[misc]  # Any
    """As `_Run`."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        object.__setattr__(self, "queue", SimpleQueue())  # the class is frozen


class _ParentTaskData(local):
    """What a worker knows of the task it works for."""


class _CurrentLibrary:
    """`sniffio.thread_local` in a run: no simulated thread is in an async context."""

    @property
    def name(self) -> str | None:
        """The async library of the caller."""
        return None if type(getcurrent()) is SimulatedThread else sniffio.thread_local.name

    @name.setter
    def name(self, value: str | None) -> None:
        sniffio.thread_local.name = value


_SNIFFIO = ReplacedNames(sys.modules["sniffio._impl"], {"thread_local": _CurrentLibrary()}, may_stay=True)
TRIO = ReplacedNames(
    TRIO_THREADS,
    {
        "start_thread_soon": _start_thread_soon,
        "PARENT_TASK_DATA": _ParentTaskData(),
        "Run": _Run,
        "RunSync": _RunSync,
    },
    fresh={THREAD_COUNTER: count},
)
_LOW_LEVEL = ReplacedNames(trio.lowlevel, {"start_thread_soon": _start_thread_soon}, may_stay=True)


async def _wait_child_exiting(process: Any) -> None:
    """Return when a child has ended. trio would ask in a system task, which belongs to no process of a world."""
    wait = process_names.simulated("wait_for_end")
    await (_PROCESSES.originals["wait_child_exiting"](process) if wait is None else wait(process.pid))


def _pidfd_open(pid: int, flags: int = 0) -> int:
    """None for processes of the run: trio then asks `_wait_child_exiting`."""
    if process_names.simulated("pidfd_open") is not None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    number: int = _PROCESSES.originals["pidfd_open"](pid, flags)
    return number


# trio's modules are none in which names from before a run are replaced.
_PROCESSES = ReplacedNames(
    TRIO_SUBPROCESS,
    {"pidfd_open": _pidfd_open, "wait_child_exiting": _wait_child_exiting},
    may_stay=True,
)
GROUPS = (TRIO, _LOW_LEVEL, _SNIFFIO, _PROCESSES)
