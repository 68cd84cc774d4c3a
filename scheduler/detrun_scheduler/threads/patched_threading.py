"""`threading`, `_thread` and `time.sleep` inside a run: which names are replaced, and in which order.

CPython's own classes are used wherever they are Python code on top of locks: `Condition`, `Event`, `Semaphore`,
`Barrier`, `Timer`, the queues and the executor. Over simulated locks, idents and clocks they work unchanged, and so do
subclasses of them. What is replaced lies below: starting and joining a thread, who is calling, which threads there are,
the counters that number threads and executors, and the clock.

The rule: a replacement decides by who calls. In an OS thread that has nothing to do with the run it is the original.
All names are put back when the run ends, however it ends.
"""

from __future__ import annotations

import _queue
import _thread
import importlib._bootstrap
import os
import queue
import random
import select
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from greenlet import getcurrent

from detrun_scheduler.clock import primal_of
from detrun_scheduler.environment import file_names, machine_names, process_names, virtual_time
from detrun_scheduler.environment.bound_names import BoundNames
from detrun_scheduler.environment.hidden_state import REFUSED_NAMES
from detrun_scheduler.environment.process_registries import ProcessRegistries
from detrun_scheduler.environment.replaced_names import ReplacedMethods, ReplacedNames, ReplacedTogether
from detrun_scheduler.threads import (
    escaped_locks,
    interpreter_exit,
    item_queues,
    library_locks,
    localhost,
    pools,
    process_locks,
    reentrant_locks,
    service_names,
    simple_queue,
    sqlite_waits,
    thread_locals,
    trio_workers,
    waits_for_files,
)
from detrun_scheduler.threads.calling import sleep, threads_in_place, wait_in_task
from detrun_scheduler.threads.census import OF_ONE_RUN, THREADING, monotonic
from detrun_scheduler.threads.locks import Lock
from detrun_scheduler.threads.low_level import LOW_LEVEL
from detrun_scheduler.threads.reentrant_locks import RLock
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.threads.thread_class import METHODS, is_simulated
from detrun_scheduler.threads.threads import Threads


def _is_set(self: threading.Event) -> bool:
    caller = getcurrent()
    if type(caller) is SimulatedThread:
        caller.schedule_point()
        lock = self._cond._lock  # type: ignore[attr-defined]  # private
        if isinstance(lock, Lock):
            lock.note_read(caller.threads.run)  # setting the event writes to this lock
    return self._flag  # type: ignore[attr-defined, no-any-return]  # private


def _sleep(seconds: Any, /) -> None:
    caller = getcurrent()
    threads = threads_in_place()
    if threads is None or not primal_of(seconds) >= 0 or (type(caller) is not SimulatedThread and not threads.living):
        _TIME.originals["sleep"](seconds)  # also for the errors of the real one, and where no other thread can run
    elif type(caller) is SimulatedThread:
        sleep(caller, seconds)
    else:
        run = threads.run
        wait_in_task(run, lambda: False, None, run.virtual_clock.now + seconds)


_TIME = ReplacedNames(time, {"sleep": _sleep}, may_stay=True)
_QUEUE = ReplacedNames(queue, {"time": monotonic}, may_stay=True)
# The import system's own locks stay real: which modules a run is the first to import is not part of the run.
_IMPORT = ReplacedNames(importlib._bootstrap, {"_thread": SimpleNamespace(**vars(_thread))}, may_stay=True)
_EVENT = ReplacedMethods(threading.Event, {"is_set": _is_set})
_REGISTRIES = ProcessRegistries(is_simulated)
_ALL = ReplacedTogether(
    *(OF_ONE_RUN, THREADING, LOW_LEVEL, _TIME, _QUEUE, _IMPORT, METHODS, _EVENT),
    *trio_workers.GROUPS,
    pools.NAMES,
    escaped_locks.GROUP,
    sqlite_waits.GROUP,
    process_locks.NAMES,
    waits_for_files.NAMES,
    file_names.GROUP,
    process_names.GROUP,
    machine_names.GROUP,
    _REGISTRIES,
    service_names.NAMES,
    localhost.CLASS,
    localhost.NAMES,
)

# The real classes, which `install_dual_classes` is about to replace, under the names by which modules took them.
_DUAL: tuple[tuple[Any, Any], ...] = (
    (_thread.allocate_lock, Lock),
    (_thread.LockType, Lock),
    (_thread.RLock, RLock),
    (threading.RLock, RLock),
    (_thread._local, thread_locals.local),
    (_queue.SimpleQueue, simple_queue.SimpleQueue),
)
_BOUND = BoundNames(
    (
        (time, virtual_time.REPLACED),
        (os, ["urandom", "getrandom"]),
        (random, ["seed"]),
        (uuid, ["getnode"]),
        (select, waits_for_files.NAMES.originals),
        (socket, ["socket", *localhost.NAMES.originals]),
        (socket, service_names.NAMES.originals),
        *file_names.SOURCES,
        *process_names.SOURCES,
        *((module, names) for module, names in REFUSED_NAMES.items()),
        (_thread, LOW_LEVEL.originals),
        (threading, ["current_thread", "main_thread", "enumerate", "active_count"]),
    ),
    _DUAL,
)


def install(threads: Threads, main: Callable[..., Any] | None = None) -> None:
    """Replace everything, for the run of ``main`` that is now active and whose threads these are."""
    _ALL.install()
    localhost.begin_run()
    threads.at_first_start = pools.begin_run
    _BOUND.install(main)
    threads.hooks = threading.excepthook, sys.unraisablehook
    threads.are_in_place = True


def restore(threads: Threads) -> None:
    """Put everything back."""
    threads.are_in_place = False
    localhost.end_of_run()  # an open network has names on top of the others
    _BOUND.restore()
    _REGISTRIES.end_of_run()
    escaped_locks.end_of_run()
    _ALL.restore()


def install_dual_classes() -> None:
    """Let locks, locals, simple queues and pools be made of classes that work inside and outside runs; for good."""
    reentrant_locks.install()
    library_locks.install()
    thread_locals.install()
    simple_queue.install()
    item_queues.install()
    pools.install_for_good()
    interpreter_exit.install()
