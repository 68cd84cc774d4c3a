"""Programs of nodes that trio does not run: ordinary functions, and async functions of asyncio.

Each gets a simulated thread of the node's process, the one in which ``asyncio.run`` stands; a task of trio's waits for
its end. To stop the program is what Ctrl-C is to ``asyncio.run``: the main task of its event loop is cancelled and
cleans up. A program that has no event loop running is ended where it stands, as by a signal that it does not handle.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from types import CoroutineType
from typing import Any

import outcome
import trio
from trio.lowlevel import Abort

from detrun.execution.backends import runs_in_asyncio
from detrun.execution.program import function_of, is_synchronous
from detrun.world.services import process_here
from detrun_scheduler import current
from detrun_scheduler.asyncio_host.imported import as_asyncio_program
from detrun_scheduler.errors import UsageError
from detrun_scheduler.footprints.places import short_name
from detrun_scheduler.threads.thread_class import make_main


def for_trio(function: Callable[..., Any]) -> Callable[..., Awaitable[object]]:
    """What a nursery of trio's can start for ``function``: itself where trio runs it, else one that waits for it.

    An anonymous function is called at once, as trio calls it, and has to return something to be awaited.
    """
    if is_synchronous(function):
        return partial(_called, function) if _is_anonymous(function) else partial(_in_thread, function)
    return partial(_in_thread, as_asyncio_program(function)) if runs_in_asyncio(function, "auto") else function


def _called(function: Callable[..., Any], *arguments: Any) -> Awaitable[object]:
    """What an anonymous function returns.

    Raises:
        UsageError: nothing that can be awaited, so that it has done all it does already.
    """
    found = function(*arguments)
    if not isinstance(found, Awaitable):
        code = function_of(function).__code__
        raise UsageError(
            f"start: the lambda of {short_name(code.co_filename)}:{code.co_firstlineno} returned {found!r:.60}, and "
            "ran in no task of the node; give a function with a name, or a lambda that returns a coroutine"
        )
    return found


def _is_anonymous(function: Callable[..., Any]) -> bool:
    return getattr(function_of(function), "__name__", "") == "<lambda>"


async def _in_thread(function: Callable[..., Any], *arguments: Any) -> None:
    run = current.require("a program of a node")
    process, waiting = process_here.get(), trio.lowlevel.current_task()

    def body() -> None:
        run.host.reschedule(waiting, outcome.Value(outcome.capture(function, *arguments)))

    assert run.threads is not None
    thread = run.threads.start(body, (), waiting.name.rpartition(".")[2])
    if process.main_thread is None:
        process.main_thread = thread
        make_main(thread)

    def stop(_: object) -> Abort:
        loop = thread.event_loop
        if not process.is_running:
            return Abort.SUCCEEDED  # killed, and the thread with it
        if loop is None:
            run.host.abandon([thread.task])
            return Abort.SUCCEEDED
        loop.interrupt()
        return Abort.FAILED

    ended: Any = await trio.lowlevel.wait_task_rescheduled(stop)
    await trio.lowlevel.checkpoint_if_cancelled()
    result = ended.unwrap()
    if type(result) is CoroutineType:
        await result  # an ordinary function that has made a coroutine of trio's
