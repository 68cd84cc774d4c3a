"""Runs CPython's own tests of threads, locks, queues and locals, each in a detrun run of its own.

Called by `test_cpython_suite` in a fresh process, because the tests must be imported inside a run: they take names such
as ``start_new_thread`` out of modules at import. Prints one JSON list [name, outcome, text] for each test.
"""

from __future__ import annotations

import importlib
import json
import queue
import sys
import unittest
from collections.abc import Iterator
from functools import partial
from typing import Any

from cpython_exclusions import EXCLUSIONS
from suite_outcomes import exclusion, outcome_of

import detrun.execution.execute  # noqa: F401 (locks, locals and queues of the tests' modules must be detrun's)
from detrun_scheduler.environment.environment import ControlledEnvironment
from detrun_scheduler.frozen_heap import frozen_heap
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make

# By module: the classes to run, None for all.
SUITES: dict[str, tuple[str, ...]] = {
    "test.test_threading": (
        *("LockTests", "PyRLockTests", "EventTests", "ConditionAsRLockTests", "ConditionTests", "SemaphoreTests"),
        *("BoundedSemaphoreTests", "BarrierTests", "TimerTests", "ExceptHookTests", "ThreadingExceptionTests"),
        "ThreadTests",
    ),
    "test.test_thread": ("LockTests", "BarrierTest", "ThreadRunningTests"),
    "test.test_queue": (
        *("PyQueueTest", "CQueueTest", "PyLifoQueueTest", "CLifoQueueTest", "PyPriorityQueueTest"),
        *("CPriorityQueueTest", "PyFailingQueueTest", "CFailingQueueTest", "PySimpleQueueTest", "CSimpleQueueTest"),
    ),
    "test.test_threading_local": ("ThreadLocalTest", "PyThreadingLocalTest"),
    "test.test_sched": ("TestCase",),
    "test.test_concurrent_futures.test_thread_pool": ("ThreadPoolExecutorTest",),
    "test.test_concurrent_futures.test_wait": ("ThreadPoolWaitTests",),
    "test.test_concurrent_futures.test_as_completed": ("ThreadPoolAsCompletedTests",),
    "test.test_concurrent_futures.test_future": ("FutureTests",),
    "test.test_concurrent_futures.test_init": ("ThreadPoolInitializerTest",),
}
MAX_STEPS = 300_000


def controlled(function: Any, strategy: str, seed: int) -> Any:
    """The result of an ordinary function in a run."""
    loop = RunLoop(make(strategy), seed=seed, max_steps=MAX_STEPS)
    with ControlledEnvironment(seed, loop.virtual_clock):
        return loop.run(function, as_thread=True).unwrap()


def cases_of(module_name: str) -> Iterator[unittest.TestCase]:
    module = importlib.import_module(module_name)
    if module_name == "test.test_queue":
        # It imports a second copy of `_queue`, whose C type stands for what `queue.SimpleQueue` would be.
        module.c_queue.SimpleQueue, module.c_queue.Empty = queue.SimpleQueue, queue.Empty
    for class_name in SUITES[module_name]:
        found = getattr(module, class_name, None)
        if found is not None:
            yield from unittest.defaultTestLoader.loadTestsFromTestCase(found)
    if module_name == "test.test_threading":
        import threading

        # CPython runs these over its C type, whose place `threading.RLock` has.
        kind = type("RLockTests", (module.lock_tests.RLockTests,), {"locktype": staticmethod(threading.RLock)})
        yield from unittest.defaultTestLoader.loadTestsFromTestCase(kind)


def main(strategy: str, seed: int, only: str) -> None:
    in_a_run = partial(controlled, strategy=strategy, seed=seed)
    for module_name in SUITES:
        try:
            cases = controlled(lambda name=module_name: list(cases_of(name)), "fifo", 0)
        except ImportError as error:
            print(json.dumps([module_name, "absent", str(error)]), flush=True)
            continue
        with frozen_heap():  # many of the tests collect garbage, of which the modules have none
            for case in cases:
                name = f"{module_name}.{type(case).__name__}.{case._testMethodName}"
                if only in name and exclusion(name, EXCLUSIONS) is None:
                    print(json.dumps([name, *outcome_of(case, in_a_run)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
