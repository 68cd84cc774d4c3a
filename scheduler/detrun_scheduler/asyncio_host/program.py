"""What `asyncio.run` does for the main function of a run, without what such a run has no use for.

asyncio's ``Runner`` makes a loop, puts in a handler for Ctrl-C, runs the main task, and then looks for tasks,
asynchronous generators and an executor to be closed, in four rounds of the loop. A simulated loop has a way of its own
for Ctrl-C (`SimulatedEventLoop.interrupt`), and knows whether something is left. Where something is, asyncio's own
runner closes it, so that the program sees the same.

`AsyncioMain` (`main_thread.py`) goes this way in two steps; `run_program` goes it in a simulated thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import CoroutineType
from typing import Any

import outcome
from greenlet import getcurrent

from detrun_scheduler.asyncio_host.event_loop import SimulatedEventLoop
from detrun_scheduler.asyncio_host.loop_life import RUN_FOREVER
from detrun_scheduler.asyncio_host.names import policy_of_run
from detrun_scheduler.asyncio_host.private import get_running


def is_plain() -> bool:
    """Whether nothing has to be asked of the program or of asyncio before a loop is made."""
    return policy_of_run() is not None and get_running() is None


def begin(coroutine: CoroutineType[Any, Any, Any], thread: Any) -> SimulatedEventLoop:
    """Make the loop of a program and its main task, and let the run step them while ``thread`` waits."""
    loop = SimulatedEventLoop()
    policy_of_run().set_loop_of(thread, loop)  # type: ignore[union-attr]  # `is_plain`
    loop.begin_main(coroutine, thread)
    return loop


def outcome_of_main(loop: SimulatedEventLoop, waited: Any) -> outcome.Outcome[Any]:
    """How the main task has ended; ``waited`` says how the thread that has waited for it goes on."""
    trace = None
    try:
        return outcome.Value(loop.end_main(waited))
    except BaseException as error:
        trace = error.__traceback__
        return outcome.Error(error.with_traceback(None if trace is None else trace.tb_next))
    finally:
        waited = trace = None  # they lead to this frame: a cycle of garbage


def close(loop: SimulatedEventLoop, thread: Any) -> None:
    """Close the loop of a program that has ended in ``thread`` and left nothing."""
    policy = policy_of_run()
    if policy is not None:
        policy.set_loop_of(thread, None)
    loop.close()


def end(loop: SimulatedEventLoop, ended: list[outcome.Outcome[Any]], is_dying: bool = False) -> Any:
    """Close what the main task has left, and the loop, in a simulated thread; end as the main task has.

    Args:
        ended: how that is; taken out, since the traceback of an error leads to all that knows it from here on.
        is_dying: the thread is being killed, and waits for nothing any more.
    """
    thread: Any = getcurrent()
    thread.dying = thread.dying or is_dying
    try:
        return ended.pop().unwrap()
    finally:
        try:
            if loop.has_rest:
                with asyncio.Runner(loop_factory=lambda: loop) as runner:
                    runner.get_loop()
        finally:
            close(loop, thread)


def run_program(main: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Do what ``asyncio.run(main(*arguments))`` does; the caller is a simulated thread."""
    coroutine = main(*arguments)
    if not is_plain() or type(coroutine) is not CoroutineType:
        return asyncio.run(coroutine)
    thread: Any = getcurrent()
    loop = begin(coroutine, thread)
    return end(loop, [outcome_of_main(loop, outcome.capture(_wait, thread, loop))])


def _wait(thread: Any, loop: SimulatedEventLoop) -> None:
    while loop.is_stepping:
        thread.wait(RUN_FOREVER, loop)
