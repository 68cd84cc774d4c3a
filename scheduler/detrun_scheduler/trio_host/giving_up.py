"""The end of a failed run: its program is cancelled, and the tasks that do not end are closed by force."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator
from typing import Any

from detrun_scheduler.trio_host.host import Host
from detrun_scheduler.trio_host.private import CONTEXT, cancel

# How often a coroutine is closed that awaits in its ``finally`` blocks, each of which takes one attempt.
CLOSING_ATTEMPTS = 1000


def cancel_everything(host: Host) -> None:
    """Cancel the whole program, once the loop has failed."""
    host.leave_task()
    for nursery in (host.entry_nursery, host.system_nursery):
        if nursery is not None:
            cancel(nursery.cancel_scope, "shutdown", "detrun gave the run up")


def close_remaining(host: Host) -> None:
    """Close the coroutines of tasks that did not end when cancelled, youngest first, then their generators."""
    host.closing = True
    for number in sorted(host.by_number, reverse=True):
        task = CONTEXT.task = host.by_number[number]
        for nursery in task._child_nurseries:
            nursery._children.clear()
        for _ in range(CLOSING_ATTEMPTS):
            # A coroutine that awaits while it is being closed makes close() raise, and is open still.
            with contextlib.suppress(BaseException):
                task.context.run(task.coro.close)
            if task.coro.cr_frame is None:
                break
    collected = [argument for _, arguments in host.entry_queue.queue for argument in arguments]
    for generator in filter(inspect.isasyncgen, [*host.asyncgens.alive, *collected]):
        CONTEXT.task = host.init_task  # type: ignore[assignment]
        _close_generator(generator)
    host.leave_task()
    host.by_number.clear()
    host.numbers.clear()
    host.tasks.clear()


def _close_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """Run what is left of ``generator`` without an event loop: whatever it awaits raises ``GeneratorExit``."""
    closing = generator.aclose()
    with contextlib.suppress(BaseException):  # StopAsyncIteration and the like: it has ended
        closing.send(None)
        for _ in range(CLOSING_ATTEMPTS):
            closing.throw(GeneratorExit())
