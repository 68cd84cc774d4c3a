"""The private names of trio that detrun uses, in one place: modules, classes, traps, and attributes as functions.

The files of this room take trio's private classes from here and read attributes of trio's objects where they need
them. Other rooms call the functions below. `check.NAMES` lists all of it, and the import of this room has checked it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import trio
from trio import _channel, _subprocess, _threads
from trio._core import _asyncgens, _entry_queue, _instrumentation, _ki, _parking_lot, _run, _traps
from trio._util import name_asyncgen as name_asyncgen

# Modules in which names are replaced.
RUN_MODULE: Any = _run
CHANNEL_MODULE: Any = _channel
TRIO_THREADS: Any = _threads  # `trio_workers` gives it simulated threads to work with
TRIO_SUBPROCESS: Any = _subprocess  # child processes, of which a run's are awaited otherwise
THREAD_COUNTER = "_thread_counter"  # numbers trio's worker threads, in `TRIO_THREADS`

# What a thread's runner and current task are kept in.
CONTEXT = _run.GLOBAL_RUN_CONTEXT

# What a task yields to its runner.
CHECKPOINT_TRAP = _traps.CancelShieldedCheckpoint
WAIT_TRAP = _traps.WaitTaskRescheduled
DETACH_TRAP = _traps.PermanentlyDetachCoroutineObject

Runner = _run.Runner
CancelStatus = _run.CancelStatus
NurseryManager = _run.NurseryManager
AsyncGenerators = _asyncgens.AsyncGenerators
EntryQueue = _entry_queue.EntryQueue
Instruments = _instrumentation.Instruments
MemoryChannelState = _channel.MemoryChannelState
LOTS_BROKEN_BY = _parking_lot.GLOBAL_PARKING_LOT_BREAKER  # task -> the parking lots that its end breaks
is_ki_protected = _ki.ki_protection_enabled
NO_SEND: Any = _run._NO_SEND  # stands for an outcome that `reschedule` is not given

# Methods that are wrapped by their names.
CHILD_FINISHED = "_child_finished"  # of a nursery: a child has ended
JOIN = "_nested_child_finished"  # of a nursery: its block has ended, and it waits for its children
CLOSE_SCOPE = "_close"  # of a cancel scope: called by ``__exit__`` and by the end of a nursery


def cancel(scope: trio.CancelScope, source: Any, reason: str | None) -> None:
    """Cancel ``scope`` giving the cause that trio gives, on the versions of trio that give one."""
    if hasattr(_run, "CancelReason"):
        scope._cancel(_run.CancelReason(source=source, reason=reason))
    else:
        scope.cancel()


# Tasks.


def is_blocked(task: trio.lowlevel.Task) -> bool:
    """Whether ``task`` waits to be rescheduled, or runs now; False while it is runnable."""
    return task._next_send_fn is None


def go_on_by(task: trio.lowlevel.Task, function: Callable[[Any], object], argument: object) -> None:
    """Let the next step of a runnable task be ``function(argument)``."""
    task._next_send_fn, task._next_send = function, argument  # type: ignore[assignment]


def goes_on_by(task: trio.lowlevel.Task) -> tuple[Any, Any]:
    """The function that makes the next step of a runnable task, and its argument."""
    return task._next_send_fn, task._next_send


def steps_of(task: trio.lowlevel.Task) -> int:
    """How many schedule points ``task`` has come to."""
    return task._schedule_points


# Cancellation.


def cancel_status_of(place: trio.lowlevel.Task | trio.Nursery | trio.CancelScope) -> Any:
    """The status by which a task, the children of a nursery or the inside of a scope are cancelled, or None."""
    return place._cancel_status


def statuses_inside(status: Any) -> Iterable[Any]:
    """The statuses that are cancelled with ``status``."""
    return status._children  # type: ignore[no-any-return]


# Channels.


def channel_state(channel: trio.MemorySendChannel[Any] | trio.MemoryReceiveChannel[Any]) -> Any:
    """What both ends of a memory channel share."""
    return channel._state
