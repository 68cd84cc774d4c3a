"""Greenlets that serve threads of several runs: no thread can tell, and nothing is left of them after the campaign."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from greenlet import greenlet

import detrun
from detrun.explore.verdicts import Exploration
from detrun_scheduler.threads import kept_greenlets
from detrun_scheduler.threads.kept_greenlets import KeptStacks
from detrun_scheduler.threads.simulated_thread import SimulatedThread

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
local = threading.local()


def explored(main: Callable[[], Any], schedules: int = 20, **options: Any) -> Exploration:
    return detrun.explore(main, schedules=schedules, strategy="random", directory=None, **options)


def run_threads(*bodies: Callable[[], object], daemon: bool = False) -> list[threading.Thread]:
    threads = [threading.Thread(target=body, daemon=daemon) for body in bodies]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def all_living() -> int:
    gc.collect()
    return sum(type(one) is SimulatedThread and bool(one) for one in gc.get_objects())


@pytest.fixture
def living() -> Callable[[], int]:
    """How many there are more than at the start: threads of nodes that have crashed stay where they stood."""
    before = all_living()
    return lambda: all_living() - before


def test_greenlets_serve_later_runs_and_are_gone_after_the_campaign(
    monkeypatch: pytest.MonkeyPatch, living: Callable[[], int]
) -> None:
    made = []

    class Counted(SimulatedThread):
        pass

    def counted(self: SimulatedThread, *life: Any) -> None:
        made.append(1)
        original(self, *life)

    original = SimulatedThread.__init__
    monkeypatch.setattr(SimulatedThread, "__init__", counted)
    explored(lambda: join(run_threads(list, list)))
    assert len(made) == 3  # main and two threads, for twenty schedules
    assert living() == 0
    assert not kept_greenlets._kept


def test_every_thread_begins_with_an_empty_context_and_locals_and_under_its_own_name() -> None:
    seen = []

    def body() -> None:
        seen.append((variable.get(), getattr(local, "value", "unset"), threading.current_thread().name))
        variable.set("set")
        local.value = "set"

    explored(lambda: join(run_threads(body, body)))
    assert len(seen) == 40
    assert set(seen) == {("unset", "unset", f"Thread-{number} (body)") for number in (1, 2)}


def test_a_thread_of_an_earlier_run_is_over_though_its_greenlet_lives_on() -> None:
    earlier: list[threading.Thread] = []
    alive = []

    def program() -> None:
        threads = run_threads(list, list)
        for thread in earlier:
            alive.append(thread.is_alive())
            thread.join()
            thread.join(timeout=1)
        join(threads)
        earlier[:] = threads

    exploration = explored(program)
    assert exploration.verdict == "passed"
    assert alive == [False] * 38


def test_the_object_of_an_ended_thread_is_not_kept_alive() -> None:
    gone = []

    def program() -> None:
        [thread] = run_threads(list)
        thread.join()
        watched = weakref.ref(thread)
        del thread
        gc.collect()
        gone.append(watched() is None)

    explored(program, 3, preemption="sync")  # to see what threads share, a campaign keeps it alive for a schedule
    assert gone == [True] * 3


def test_campaigns_take_the_same_steps_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> None:
        tally = [0]

        def body() -> None:
            seen = tally[0]
            tally[0] = seen + 1

        def outer() -> None:
            join(run_threads(body))

        join(run_threads(body, outer, outer))

    def behaviours() -> dict[int, int]:
        return explored(program, 100, preemption="opcode", include=[__file__]).coverage.behaviours

    kept = behaviours()
    monkeypatch.setattr(kept_greenlets, "is_keeping", lambda: False)
    assert behaviours() == kept
    assert len(kept) > 50


def test_threads_that_are_killed_end_for_good(living: Callable[[], int]) -> None:
    """Daemons that wait for ever, and some that have not begun when main ends."""
    ended = []

    def waits() -> None:
        try:
            threading.Event().wait()
        finally:
            ended.append(1)

    def program() -> None:
        run_threads(waits, waits, daemon=True)
        join(run_threads(list))

    assert explored(program).verdict == "passed"
    assert 0 < len(ended) <= 40
    assert living() == 0


def test_a_deadlock_after_many_runs_is_reported_and_cleaned_up(living: Callable[[], int]) -> None:
    def program() -> None:
        order: list[int] = []
        lock = threading.Lock()
        join(run_threads(*(lambda number=number: order.append(number) for number in range(4))))  # type: ignore[misc]  # a lambda with a default
        if order == [3, 2, 1, 0]:
            lock.acquire()
            join(run_threads(lock.acquire))

    # One schedule in 24: 200 miss it with probability 2e-4, and the seed is fixed.
    exploration = explored(program, 200, shrink=False, explain=False)
    assert exploration.schedules > 5
    assert exploration.failure is not None
    assert "waits for Lock[0], held by main" in str(exploration.failure.exception)
    del exploration
    assert living() == 0


def test_what_rests_below_another_greenlet_is_left_alone() -> None:
    with KeptStacks():
        detrun.record(lambda: join(run_threads(list)))
        resting = len(kept_greenlets._kept)
        inner = greenlet(lambda: detrun.record(lambda: join(run_threads(list))).steps)
        assert inner.switch() > 0
        assert resting == 2
    assert not kept_greenlets._kept
