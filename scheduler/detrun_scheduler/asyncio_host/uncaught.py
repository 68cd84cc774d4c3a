"""Whose exception it is that an event loop of asyncio's tells its exception handler of, in the words of reports.

asyncio passes a dictionary (documentation of `loop.call_exception_handler`). It holds a task, a future or the handle of
a callback. Streams and servers give a protocol, a transport or a message alone.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from detrun_scheduler.asyncio_host.private import task_of_step
from detrun_scheduler.asyncio_host.tasks import label_of, path_of
from detrun_scheduler.run import ThreadFailure


def failure_of(context: dict[str, Any], error: BaseException) -> ThreadFailure:
    """The uncaught exception of ``context``."""
    callback = getattr(context.get("handle"), "_callback", None)
    task = context.get("task") or context.get("future") or task_of_step(callback)
    if hasattr(task, "get_coro"):
        return ThreadFailure(path_of(task) or label_of(task.get_coro()), error, False, "asyncio task")
    if task is not None:
        return ThreadFailure("", error, False, "a future of asyncio's")
    if "asyncgen" in context:
        return ThreadFailure(name_of(context["asyncgen"]), error, False, "asynchronous generator")
    if callback is not None:
        return ThreadFailure(name_of(callback), error, False, "asyncio's callback")
    protocol = context.get("protocol")
    if protocol is not None:
        return ThreadFailure(type(protocol).__qualname__, error, False, "a call of protocol")
    return ThreadFailure(f"({context.get('message', '')})", error, False, "a call of asyncio's")


def name_of(callback: Any) -> str:
    """What a callback is called in its code: the function, not the object whose method it is."""
    while isinstance(callback, partial):
        callback = callback.func
    name: str = getattr(callback, "__qualname__", None) or type(callback).__qualname__
    return name
