"""Many threads at one lock: steps grow with the threads, any of those that wait may be next, and no wake-up is lost."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import THREAD_RULES, WOKEN_MAX

MANY = 3 * WOKEN_MAX


def together(bodies: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def at_a_lock(count: int) -> list[int]:
    lock, order = threading.Lock(), []

    def work(number: int) -> None:
        with lock:
            order.append(number)

    lock.acquire()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    all_come_to_rest()
    lock.release()
    for thread in threads:
        thread.join()
    return order


def all_come_to_rest() -> None:
    """Let every thread that can run come to its wait: virtual time passes only then."""
    time.sleep(1)


def at_a_reentrant_lock(count: int) -> None:
    lock = threading.RLock()

    def work() -> None:
        with lock, lock:
            pass

    together([work] * count)


def at_a_condition(count: int) -> None:
    condition = threading.Condition()
    gone: list[bool] = []

    def work() -> None:
        with condition:
            condition.wait_for(lambda: gone)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    with condition:
        gone.append(True)
        condition.notify_all()
    for thread in threads:
        thread.join()


def at_a_semaphore(count: int) -> None:
    semaphore = threading.Semaphore(2)

    def work() -> None:
        with semaphore:
            pass

    together([work] * count)


def at_a_queue(count: int, made: Callable[[], Any]) -> None:
    items = made()
    threads = [threading.Thread(target=items.get) for _ in range(count)]
    for thread in threads:
        thread.start()
    for number in range(count):
        items.put(number)
    for thread in threads:
        thread.join()


PROGRAMS: list[tuple[Callable[..., Any], tuple[Any, ...], int]] = [
    (at_a_lock, (), 13),
    (at_a_reentrant_lock, (), 13),
    (at_a_condition, (), 26),
    (at_a_semaphore, (), 22),
    (at_a_queue, (queue.Queue,), 22),
    (at_a_queue, (queue.SimpleQueue,), 13),
]


@pytest.mark.parametrize(("program", "rest", "steps"), PROGRAMS)
@pytest.mark.parametrize("strategy", ["random", "fifo"])
def test_a_thread_takes_as_many_steps_among_many_as_among_few(
    program: Callable[..., Any], rest: tuple[Any, ...], steps: int, strategy: str
) -> None:
    for count in (50, 400):
        run = detrun.record(program, count, *rest, strategy=strategy, seed=3)
        assert run.steps <= steps * count, (count, run.steps / count)


@pytest.mark.one_python
def test_any_thread_that_waits_may_be_next() -> None:
    """The seeds are fixed, so it passes always or never."""
    first = {detrun.record(at_a_lock, MANY, seed=seed).result[0] for seed in range(200)}
    assert first == set(range(MANY))


def test_the_order_is_that_of_the_seed_and_a_replay_has_it_again() -> None:
    runs = [detrun.record(at_a_lock, MANY, seed=seed) for seed in (1, 1, 2)]
    assert runs[0].digest == runs[1].digest != runs[2].digest
    assert runs[0].result != runs[2].result
    assert detrun.replay(at_a_lock, MANY, recording=runs[0].recording).digest == runs[0].digest


def test_a_newcomer_may_overtake_those_that_wait() -> None:
    def program() -> str:
        lock, order = threading.Lock(), []

        def work(name: str) -> None:
            with lock:
                order.append(name)

        lock.acquire()
        threads = [threading.Thread(target=work, args=("waits",)) for _ in range(MANY)]
        for thread in threads:
            thread.start()
        all_come_to_rest()
        threads.append(threading.Thread(target=work, args=("new",)))
        lock.release()
        threads[-1].start()
        for thread in threads:
            thread.join()
        return order[0]

    assert {detrun.record(program, seed=seed).result for seed in range(60)} == {"waits", "new"}


def test_recordings_from_before_are_replayed_by_the_rules_of_their_time() -> None:
    old = NewRun(seed=4, strategy="random").execute(at_a_lock, (MANY,), Options(thread_rules=1))
    new = detrun.record(at_a_lock, MANY, seed=4)
    assert old.recording.header["extra"]["thread_rules"] == 1
    assert new.recording.header["extra"]["thread_rules"] == THREAD_RULES
    assert old.steps > new.steps
    assert detrun.replay(at_a_lock, MANY, recording=old.recording).digest == old.digest


def test_where_few_wait_the_rules_agree() -> None:
    old = NewRun(seed=4, strategy="random").execute(at_a_lock, (WOKEN_MAX,), Options(thread_rules=1))
    assert detrun.record(at_a_lock, WOKEN_MAX, seed=4).digest == old.digest


def test_a_recording_by_rules_that_are_not_known_is_refused() -> None:
    run = detrun.record(at_a_lock, 2)
    run.recording.header["extra"]["thread_rules"] = THREAD_RULES + 1
    with pytest.raises(UsageError, match=f"under version {THREAD_RULES + 1} of the rules"):
        detrun.replay(at_a_lock, 2, recording=run.recording)
