"""Locks that libraries make at their import: no part of the schedule until two threads meet at them."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun_scheduler.errors import DeadlockError
from detrun_scheduler.threads.library_locks import LibraryLock, LibraryRLock
from detrun_scheduler.threads.locks import Lock
from detrun_scheduler.threads.reentrant_locks import RLock

SOURCE = """
import queue, threading, time

_lock = threading.Lock()
_rlock = threading.RLock()
_table = {}
_items = queue.Queue()
inside = most = 0


class Backend:
    lock = threading.Lock()


class Session:
    def __init__(self):
        self.lock = threading.Lock()


def table(lock=_lock):
    if not _table:
        with lock:
            _table["a"] = 1
    return _table


def section(lock, seconds=1):
    global inside, most
    with lock:
        inside += 1
        most = max(most, inside)
        time.sleep(seconds)
        inside -= 1


def program():
    with _lock:
        pass
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "made_for_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module("made_for_a_test")
    del sys.modules["made_for_a_test"]


def together(*bodies: Callable[[], object]) -> None:
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_lock_is_a_library_s_if_the_library_makes_it_at_its_import(library: ModuleType) -> None:
    assert type(library._lock) is type(library.Backend.lock) is type(library._items.mutex) is LibraryLock
    assert type(library._rlock) is LibraryRLock
    assert type(library.Session().lock) is type(threading.Lock()) is Lock
    assert type(threading.RLock()) is RLock
    assert isinstance(library._lock, Lock)
    assert isinstance(library._rlock, RLock)


@pytest.mark.parametrize("name", ["_lock", "_rlock"])
def test_a_recording_of_a_cold_process_replays_in_a_warm_one(library: ModuleType, name: str) -> None:
    def program() -> None:
        together(*(lambda: library.table(getattr(library, name)) for _ in range(2)))

    cold = detrun.record(program, seed=1)
    assert library._table, "it is warm now"
    warm = detrun.replay(program, recording=cold.recording)
    assert (warm.digest, warm.steps) == (cold.digest, cold.steps)


@pytest.mark.parametrize("name", ["_lock", "_rlock"])
def test_a_thread_that_meets_another_there_waits(library: ModuleType, name: str) -> None:
    def program() -> int:
        library.most = 0
        together(*(lambda: library.section(getattr(library, name)) for _ in range(3)))
        return int(library.most)

    for seed in range(5):
        run = detrun.record(program, seed=seed)
        assert (run.result, run.virtual_time) == (1, 3)
        assert detrun.replay(program, recording=run.recording).digest == run.digest


def test_a_deadlock_with_a_lock_of_the_program_is_found_and_names_both(library: ModuleType) -> None:
    own = threading.Lock()

    def program() -> None:
        def one() -> None:
            with library._lock:
                time.sleep(1)
                with own:
                    pass

        def other() -> None:
            with own:
                time.sleep(1)
                with library._lock:
                    pass

        together(one, other)

    with pytest.raises(DeadlockError) as caught:
        detrun.record(program, seed=3)
    assert len(caught.value.cycle) == 3
    assert str(caught.value).count("Lock[") == 2


def test_polling_and_time_outs_work_where_it_is_held(library: ModuleType) -> None:
    def program() -> list[bool]:
        found = [library._lock.locked(), library._lock.acquire(False), library._lock.locked()]
        together(
            lambda: found.append(library._lock.acquire(blocking=False)),
            lambda: found.append(library._lock.acquire(timeout=2)),
        )
        library._lock.release()
        return [*found, library._lock.acquire(timeout=1)]

    run = detrun.record(program, seed=2)
    assert run.result == [False, True, True, False, False, True]
    assert run.virtual_time == 2
    assert not library._lock.locked(), "what the run left held is free again"


def steps(program: Callable[[], Any], **options: Any) -> int:
    return NewRun(seed=1).execute(program, (), Options(**options)).steps


def test_what_is_watched_and_what_is_the_program_s_own_is_a_step_as_ever(library: ModuleType) -> None:
    def program() -> None:
        library.program()

    none = steps(lambda: None)
    assert steps(program) == none
    assert steps(program, thread_rules=1) == none + 2
    assert steps(library.program) == none + 2, "of the same package"
    assert steps(program, preemption="line", include=("json",)) == none
    assert steps(program, preemption="line", include=("made_for_a_test",)) == none + 2, "alone: no line is a step"


def test_race_detection_knows_the_order_that_it_makes(library: ModuleType) -> None:
    def program() -> None:
        cell = detrun.Shared(0)

        def add() -> None:
            with library._lock:
                cell.value += 1

        together(add, add)

    assert detrun.explore(program, schedules=30, races=True, directory=None).verdict == "passed"


def test_real_threads_outside_of_runs_use_it_as_a_real_lock(library: ModuleType) -> None:
    library.most = 0
    together(*(lambda: library.section(library._lock, 0.001) for _ in range(3)))
    assert library.most == 1
