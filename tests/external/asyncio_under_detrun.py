"""Runs CPython's own tests of asyncio on the simulated event loop, each in a detrun run of its own.

Called by `test_asyncio_suite` in a fresh process. Prints one JSON list [name, outcome, text] for each test. What a test
brings of its own, ``test_asyncio.utils.TestLoop``, stands on the simulated loop, too: it is asyncio's base loop with a
clock that a generator moves, in whose place the run's virtual time is.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import unittest
import weakref
from functools import partial
from operator import call
from typing import Any

from asyncio_exclusions import EXCLUSIONS, SAME, SAME_WATCHER
from suite_outcomes import exclusion, outcome_of

from detrun.execution.execute import execute  # noqa: F401 (locks of the tests' modules must be detrun's)
from detrun.world.localhost import open_localhost
from detrun_scheduler import current
from detrun_scheduler.asyncio_host.event_loop import SimulatedEventLoop
from detrun_scheduler.environment.environment import ControlledEnvironment
from detrun_scheduler.frozen_heap import frozen_heap
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.run import RunHooks
from detrun_scheduler.strategies import make
from detrun_scheduler.threads import localhost

MODULES = (
    *("locks", "queues", "taskgroups", "timeouts", "runners", "waitfor", "pep492", "threads", "context", "futures2"),
    *("futures", "tasks", "streams", "server", "sock_lowlevel", "buffered_proto", "events", "protocols"),
    *("transports", "selector_events", "sslproto", "ssl", "eager_task_factory", "staggered", "subprocess"),
)
localhost.opener = partial(open_localhost, ipv6=True)  # the tests look for both kinds of addresses
MAX_STEPS = 60_000
STEP_TIMEOUT = 20.0


def controlled(function: Any, order: str, seed: int) -> Any:
    """The result of an ordinary function in a run in which ``localhost`` is open."""
    strategy = "fifo" if order == "fifo" else "random"
    loop = RunLoop(
        make(strategy),
        seed=seed,
        max_steps=MAX_STEPS,
        hooks=RunHooks(asyncio_order=order, step_timeout=STEP_TIMEOUT),
    )

    def body() -> Any:
        localhost.open_for(current.run)
        return function()

    with ControlledEnvironment(seed, loop.virtual_clock):
        return loop.run(body, as_thread=True).unwrap()


def stand_on_the_simulated_loop() -> None:
    """Put the tests' own loops on the simulated one, keeping what one of them says of readers and writers."""
    asyncio.BaseEventLoop = SimulatedEventLoop  # type: ignore[misc] (of which some make one, with a mock of a selector)
    utils: Any = importlib.import_module("test.test_asyncio.utils")
    methods = {
        name: value
        for name, value in vars(utils.TestLoop).items()
        if name in ("assert_reader", "assert_no_reader", "assert_writer", "reset_counters", "_ensure_fd_no_transport")
        or name in ("_add_reader", "_remove_reader", "_add_writer", "_remove_writer", "remove_reader")
        or name in ("add_reader", "add_writer", "remove_writer")
    }

    def begin(self: Any, gen: Any = None) -> None:
        SimulatedEventLoop.__init__(self)
        self.begun = SimulatedEventLoop.time(self)
        self.readers, self.writers = {}, {}
        self.reset_counters()
        self._transports = weakref.WeakValueDictionary()

    def advance_time(self: Any, advance: float) -> None:
        if advance:
            self.run.virtual_clock.advance(advance)

    # The clock of such a loop begins at 0, and Python 3.13 makes two of them in one test.
    def time(self: Any) -> Any:
        return SimulatedEventLoop.time(self) - self.begun

    def call_at(self: Any, when: Any, callback: Any, *args: Any, context: Any = None) -> Any:
        return SimulatedEventLoop.call_at(self, self.begun + when, callback, *args, context=context)

    # What is queued, which some tests look at.
    ready = property(lambda self: [lane for lane in self.lanes if lane.handles], lambda self, _: None)
    own = {"__init__": begin, "advance_time": advance_time, "time": time, "call_at": call_at, "_ready": ready}
    if hasattr(asyncio, "SafeChildWatcher"):  # one of which tests attach to every loop
        asyncio.SafeChildWatcher.attach_loop = lambda self, loop: None  # type: ignore[method-assign]  # of others' code
        asyncio.set_child_watcher = lambda watcher: None
    utils.TestLoop = type("TestLoop", (SimulatedEventLoop,), {**methods, **own})


def cases_of(module: Any) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []
    waiting = [unittest.defaultTestLoader.loadTestsFromModule(module)]
    while waiting:
        one: Any = waiting.pop()
        if isinstance(one, unittest.TestCase):
            found.append(one)
        else:
            waiting.extend(reversed(list(one)))
    return found


def main(order: str, seed: int, only: str) -> None:
    """``order``: ``"stock"`` for asyncio's own loop, outside of runs, or an ``asyncio_order``."""
    in_a_run = partial(controlled, order=order, seed=seed)
    if order != "stock":
        stand_on_the_simulated_loop()
    for short in MODULES:
        if only and not f"test_{short}.".startswith(only.partition(".")[0] + "."):
            continue
        name = f"test.test_asyncio.test_{short}"
        try:
            module = importlib.import_module(name)
        except (ImportError, unittest.SkipTest) as error:
            print(json.dumps([name, "absent", str(error)]), flush=True)
            continue
        with frozen_heap():
            for case in cases_of(module):
                known = f"test_{short}.{type(case).__qualname__}.{case._testMethodName}"
                reason = exclusion(known, EXCLUSIONS)
                if only not in known or reason in (SAME, SAME_WATCHER):
                    continue
                if reason is not None and order != "stock":
                    print(json.dumps([known, "left out", reason]), flush=True)
                    continue
                # Some collect garbage a hundred times, of which modules and earlier tests have none.
                with frozen_heap():
                    outcome = outcome_of(case, call if order == "stock" else in_a_run)
                print(json.dumps([known, *outcome]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
