"""What a task of asyncio's has a task of trio's do for it: call an async function, keep a nursery open.

The task of trio's is a system task in a copy of the caller's context, and a task of the run like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any

import outcome
import trio


async def await_trio(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What ``await function(*arguments, **options)`` does in a task of trio's.

    Cancelling the caller cancels that, and is heeded once it has ended, unless it ended otherwise.
    """
    loop: Any = asyncio.get_running_loop()
    ended = loop.create_future()
    scope = trio.CancelScope()

    async def call() -> None:
        result: Any = None
        with scope:
            result = await outcome.acapture(partial(function, **options), *arguments)
        if not ended.done():
            ended.set_result(result)

    name = getattr(function, "__qualname__", type(function).__qualname__)
    trio.lowlevel.spawn_system_task(call, name=name, context=copy_context())
    cancelled = await _through_cancellations(ended, scope.cancel)
    result = ended.result()
    if cancelled is not None and (result is None or isinstance(_error_of(result), trio.Cancelled)):
        raise cancelled
    return result.unwrap()


async def _through_cancellations(ended: Any, tell: Callable[[], object]) -> asyncio.CancelledError | None:
    """Wait until ``ended`` is; return the first cancellation that came meanwhile, after having told of it."""
    cancelled = None
    while not ended.done():
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
            tell()
    return cancelled


def _error_of(result: Any) -> BaseException | None:
    return result.error if isinstance(result, outcome.Error) else None


class NurseryOfTrio:
    """``trio.open_nursery()`` for a task of asyncio's: a task of trio's keeps it open while the block runs.

    As in ``asyncio.TaskGroup``, an exception in one of the nursery's tasks cancels the task that runs the block.
    """

    def __init__(self) -> None:
        self._loop: Any = asyncio.get_running_loop()
        self._owner: Any = asyncio.current_task()
        self._opened = self._loop.create_future()
        self._ended = self._loop.create_future()
        self._failure: BaseException | None = None
        self._has_left = self._has_cancelled = False
        self._leaves = trio.Event()

    async def __aenter__(self) -> trio.Nursery:
        trio.lowlevel.spawn_system_task(self._keep_open, name="nursery", context=copy_context())
        nursery: trio.Nursery = await self._opened
        return nursery

    async def _keep_open(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                self._opened.set_result(nursery)
                await self._leaves.wait()
        except BaseException as error:
            self._failure = error
        finally:
            if not self._has_left:
                self._has_cancelled = True
                self._owner.cancel()
            self._ended.set_result(None)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._has_left = True
        nursery = self._opened.result()
        if error is not None:
            nursery.cancel_scope.cancel()
        self._leaves.set()
        cancelled = await _through_cancellations(self._ended, nursery.cancel_scope.cancel)
        if self._has_cancelled and self._owner.uncancel() == 0 and isinstance(error, asyncio.CancelledError):
            error = None  # it was for the failure alone
        failure, self._failure = self._failure, None
        errors = [one for one in (error, failure) if one is not None]
        try:
            if failure is not None:
                raise failure if error is None else BaseExceptionGroup("in a block and in its nursery", errors)
            if cancelled is not None and error is None:
                raise cancelled
            return error is None and kind is not None
        finally:
            del failure, error, errors, cancelled
