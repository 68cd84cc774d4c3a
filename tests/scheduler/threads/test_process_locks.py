"""`multiprocessing`'s locks in a run: threads wait for them in virtual time, and schedules say who comes first."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from importlib import import_module
from typing import Any

import pytest

import detrun

HERE = multiprocessing.get_context("fork")  # whose semaphores have no names


def what_they_do() -> list[Any]:
    """Locks, semaphores, conditions and events, alone and waited for by another thread."""
    found: list[Any] = []
    lock, recursive, bounded = HERE.Lock(), HERE.RLock(), HERE.BoundedSemaphore(2)
    with lock:
        found += [lock.acquire(False), lock.acquire(timeout=0.02), lock.acquire(timeout=-1)]
    with recursive, recursive:
        other: list[bool] = []
        thread = threading.Thread(target=lambda: other.append(recursive.acquire(timeout=0.02)))
        thread.start()
        thread.join()
        found += other
    for wrong, error in ((lock, ValueError), (recursive, AssertionError), (bounded, ValueError)):
        with pytest.raises(error):
            wrong.release()
    found += [bounded.acquire(), bounded.acquire(), bounded.acquire(block=False)]
    threading.Timer(0.02, bounded.release).start()
    found.append(bounded.acquire())
    event, condition = HERE.Event(), HERE.Condition()
    threading.Timer(0.02, event.set).start()
    found += [event.wait(0.005), event.wait(5), event.is_set()]
    with condition:
        found.append(condition.wait(0.02))
    queue = HERE.Queue(1)
    queue.put(1)
    found.append(queue.get(timeout=5))
    queue.close()
    queue.join_thread()
    return found


def test_they_do_what_they_do_in_life() -> None:
    run = detrun.record(what_they_do)
    assert run.result == what_they_do()
    assert detrun.replay(what_they_do, recording=run.recording).digest == run.digest


def test_those_of_new_processes_have_no_name_whose_end_a_process_would_see_to() -> None:
    def made() -> list[object]:
        there = multiprocessing.get_context("spawn")
        number, queue = there.Value("i", 3), there.Queue()
        with there.Lock(), number:
            queue.put(number.value)
            return [queue.get(), there.Event().wait(0.5), time.monotonic()]

    assert detrun.record(made).result == [3, False, 0.5]


def test_waits_take_virtual_time_and_a_deadlock_is_found() -> None:
    def waits() -> tuple[bool, float]:
        lock = HERE.Lock()
        with lock:
            return lock.acquire(timeout=1_000), time.monotonic()

    assert detrun.record(waits).result == (False, 1_000.0)

    def hangs() -> None:
        lock = HERE.Lock()
        lock.acquire()
        lock.acquire()

    with pytest.raises(detrun.DeadlockError):
        detrun.record(hangs)


def test_a_lost_update_is_found_without_the_lock_only() -> None:
    def program(locked: bool) -> None:
        count, lock = [0], HERE.Lock()

        def add() -> None:
            if locked:
                lock.acquire()
            before = count[0]
            time.sleep(0)
            count[0] = before + 1
            if locked:
                lock.release()

        threads = [threading.Thread(target=add) for _ in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert count == [2]

    assert detrun.explore(lambda: program(True), schedules=30, directory=None).failure is None
    assert detrun.explore(lambda: program(False), schedules=30, directory=None, explain=False).failure is not None


def test_the_semaphore_below_takes_its_arguments_by_name() -> None:
    """As joblib makes one when it is imported, to see whether the system has them."""

    def count() -> int:
        below = import_module("_multiprocessing")
        semaphore = below.SemLock(1, 2, 3, name=f"/detrun-{os.getpid()}", unlink=True)
        return int(semaphore._get_value())

    assert detrun.record(count).result == count() == 2
