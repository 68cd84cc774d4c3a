"""Async functions of detrun that tasks of trio and of asyncio may await alike.

Each is written for trio. Where a task of asyncio awaits it, a task of trio runs it on that task's behalf, in a copy of
its context, so that it belongs to the same process of a world (`trio_calls.py`). This module does not import asyncio.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import trio

from detrun_scheduler.running_loop import running_loop

F = TypeVar("F", bound=Callable[..., Any])


def for_asyncio_too(function: F) -> F:
    """Let tasks of asyncio's await ``function``, an async function of trio's.

    It runs for as long as it is waited for: cancelling the task cancels it, and the task goes on when it has ended.
    """

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        loop = running_loop()
        return function(*arguments, **options) if loop is None else loop.await_trio(function, *arguments, **options)

    return cast(F, call)


def open_nursery() -> Any:
    """A nursery of trio's as a context manager, for a task of trio's or of asyncio's."""
    loop = running_loop()
    return trio.open_nursery() if loop is None else loop.nursery_of_trio()
