"""`run_program`: what `asyncio.run` does for the main function of a run, without what such a run has no use for.

asyncio's ``Runner`` makes a loop, puts in a handler for Ctrl-C, runs the main task, and then looks for tasks,
asynchronous generators and an executor to be closed, in four rounds of the loop. A simulated loop has a way of its own
for Ctrl-C (`SimulatedEventLoop.interrupt`), and knows whether something is left. Where something is, asyncio's own
runner closes it, so that the program sees the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import CoroutineType
from typing import Any

from detrun_scheduler.asyncio_host.names import policy_of_run
from detrun_scheduler.asyncio_host.private import get_running, has_tasks


def run_program(main: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Do what ``asyncio.run(main(*arguments))`` does; the caller is a simulated thread."""
    coroutine = main(*arguments)
    policy = policy_of_run()
    if policy is None or get_running() is not None or type(coroutine) is not CoroutineType:
        return asyncio.run(coroutine)
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    try:
        return loop.run_main(coroutine)
    finally:
        try:
            if loop.has_rest or has_tasks(loop):
                with asyncio.Runner(loop_factory=lambda: loop) as runner:
                    runner.get_loop()
        finally:
            policy.set_event_loop(None)
            loop.close()
