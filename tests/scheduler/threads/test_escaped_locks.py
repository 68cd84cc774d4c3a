"""Real locks that simulated threads meet exclude them, in virtual time, and deadlocks over them are reported."""

from __future__ import annotations

import _thread
import functools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import detrun
from detrun.errors import DeadlockError
from detrun_scheduler.threads import escaped_locks

pytestmark = pytest.mark.skipif(
    not escaped_locks.IS_SUPPORTED, reason="this Python hides the dictionaries of its types"
)

# Within lists, where `bound_names` leaves them alone.
MAKERS = {"Lock": [_thread.allocate_lock], "RLock": [_thread.RLock]}
a_real_lock = _thread.allocate_lock()


def threads(*bodies: Callable[[], Any]) -> None:
    started = [threading.Thread(target=body) for body in bodies]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_real_lock_excludes_threads(kind: str) -> None:
    (make,) = MAKERS[kind]
    lock: Any = make()
    inside: list[int] = []
    counts: set[int] = set()

    def body() -> None:
        for _ in range(2):
            with lock:
                inside.append(1)
                counts.add(len(inside))
                time.sleep(1)
                inside.pop()
            assert lock.acquire(timeout=9)
            lock.release()

    found = detrun.explore(
        lambda: threads(body, body, body), strategy="random", schedules=20, directory=None, preemption="line"
    )
    assert found.verdict == "passed", found
    assert counts == {1}
    assert lock.acquire(False)
    lock.release()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_time_out_at_a_real_lock_is_virtual(kind: str) -> None:
    (make,) = MAKERS[kind]
    lock: Any = make()

    def program() -> tuple[list[Any], float]:
        seen: list[Any] = []

        def other() -> None:
            seen.extend((lock.acquire(False), lock.acquire(True, 3.0), time.monotonic(), lock.acquire(True, 30.0)))
            seen.append(time.monotonic())
            lock.release()

        with lock:
            thread = threading.Thread(target=other)
            thread.start()
            time.sleep(10)
        thread.join()
        return seen, time.monotonic()

    run = detrun.record(program)
    assert run.result == ([False, False, 3.0, True, 10.0], 10.0)
    assert detrun.replay(program, recording=run.recording).digest == run.digest


def test_a_real_rlock_is_reentrant_for_its_owner_only() -> None:
    (make,) = MAKERS["RLock"]
    lock: Any = make()

    def program() -> list[Any]:
        seen: list[Any] = []

        def other() -> None:
            seen.append(lock.acquire(False))
            with pytest.raises(RuntimeError, match="un-acquired"):
                lock.release()

        with lock, lock:
            threads(other)
            seen.append(lock._is_owned())
        threads(lambda: seen.append(lock.acquire(False)), lambda: None)
        return seen

    assert detrun.record(program).result == [False, True, True]
    assert lock.acquire(False), "what the run held is free again"
    lock.release()


def test_a_condition_over_real_locks_waits_and_is_notified() -> None:
    (make_lock,), (make_rlock,) = MAKERS["Lock"], MAKERS["RLock"]
    for lock in (make_lock(), make_rlock()):

        def program(lock: Any = lock) -> list[int]:
            condition = threading.Condition(lock)
            items: list[int] = []

            def consume() -> None:
                with condition:
                    while not items:
                        condition.wait()
                    items.append(2)

            def produce() -> None:
                with condition:
                    items.append(1)
                    condition.notify()

            threads(consume, produce)
            return items

        found = detrun.explore(program, strategy="random", schedules=20, directory=None, preemption="line")
        assert found.verdict == "passed", found
        assert detrun.record(program).result == [1, 2]


def test_a_deadlock_at_a_real_lock_is_reported_with_its_name() -> None:
    def program() -> None:
        with a_real_lock:
            threads(a_real_lock.acquire)

    with pytest.raises(DeadlockError, match=r"test_escaped_locks\.a_real_lock, a real lock: Lock\[0\], held by"):
        detrun.record(program)
    assert not a_real_lock.locked()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="cached_property has no lock any more")
def test_cached_property_excludes_and_deadlocks_as_in_life() -> None:
    class Node:
        def __init__(self, other: Node | None = None) -> None:
            self.other, self.calls = other, 0

        @functools.cached_property
        def value(self) -> int:
            self.calls += 1
            if self.other is not None:
                threads(lambda: self.other.value)  # type: ignore[union-attr]
            return self.calls

    def once() -> None:
        node = Node()
        threads(lambda: node.value, lambda: node.value)
        assert node.calls == 1

    found = detrun.explore(once, preemption="line", strategy="random", schedules=50, directory=None)
    assert found.verdict == "passed", found
    with pytest.raises(DeadlockError):  # one lock for all instances: CPython issue 87634
        detrun.record(lambda: Node(Node()).value)


def test_locks_and_conditions_from_before_detrun_work() -> None:
    code = """
import queue, threading
lock, condition, rlock, waiting = threading.Lock(), threading.Condition(), threading.RLock(), queue.Queue()
import detrun

def program():
    ready = []
    def put():
        with condition, rlock:
            ready.append(1)
            condition.notify()
        waiting.put(1)
    def take():
        with condition:
            condition.wait_for(lambda: ready)
        with lock:
            return waiting.get()
    started = [threading.Thread(target=one) for one in (take, put)]
    for one in started: one.start()
    for one in started: one.join()

print(detrun.explore(program, schedules=30, strategy="random", preemption="line", directory=None).verdict)
detrun.record(program)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("passed\n", "")


def test_an_uncontended_real_lock_leaves_no_trace() -> None:
    (make,) = MAKERS["RLock"]
    lock = make()

    def without() -> None:
        threads(time.time)

    def with_lock() -> None:
        def body() -> None:
            with lock:
                time.time()

        threads(body)

    without.__qualname__ = with_lock.__qualname__
    assert detrun.record(with_lock).steps == detrun.record(without).steps
