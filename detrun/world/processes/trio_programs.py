"""``trio.run`` in an ordinary function of a node's process: a script that is started, or a program that calls it.

A task of the run's trio, which belongs to the same process, runs the async function, and the thread that calls waits
for it. An exception of a signal's handler in that thread, `KeyboardInterrupt` for one, cancels the task, as in life.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

import outcome
import trio
from greenlet import getcurrent

from detrun.world.services import process_here
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind

_RUN = WaitKind("trio.run")


def _run(async_fn: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
    thread, process = getcurrent(), process_here.get(None)
    if type(thread) is not SimulatedThread or process is None or process.has_real_files:
        return NAMES.originals["run"](async_fn, *args, **options)
    ended: list[outcome.Outcome[Any]] = []
    scope = trio.CancelScope()

    async def call() -> None:
        result: Any = None
        with scope:
            result = await outcome.acapture(async_fn, *args)
        ended.append(outcome.Value(None) if result is None else result)
        thread.wake()

    name = getattr(async_fn, "__qualname__", type(async_fn).__qualname__).rpartition(".")[2]
    trio.lowlevel.spawn_system_task(call, name=name, context=copy_context())
    try:
        while not ended:
            thread.wait(_RUN)
    except BaseException:
        scope.cancel()
        while not ended:
            thread.wait(_RUN)
        raise
    return ended[0].unwrap()


NAMES = ReplacedNames(trio, {"run": _run})
