"""Failures that take an early timer or a garbage collection are explained by it, and that is verified."""

from __future__ import annotations

import gc
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

import detrun
from detrun.explore.failures.explanation import Explanation
from tests.explore.racy_programs import lost_update_beside_a_timer


def explained(program: Callable[[], Any], **options: Any) -> Explanation:
    failure = detrun.explore(program, schedules=400, directory=None, **options).failure
    assert failure is not None, "the search finds this bug"
    explanation = failure.explanation
    assert explanation is not None
    return explanation


def line_with(program: Callable[[], Any], mark: str) -> int:
    lines, first = inspect.getsourcelines(program)
    return next(first + at for at, line in enumerate(lines) if f"# {mark}" in line)


async def half_done_at_its_time_out() -> None:
    account = {"from": 1, "to": 0}
    with trio.move_on_after(0.5):  # timer
        await trio.lowlevel.checkpoint()
        account["from"] -= 1
        await trio.lowlevel.checkpoint()  # struck
        account["to"] += 1
    assert sum(account.values()) == 1


async def awake_too_early() -> None:
    ready: list[int] = []

    async def prepare() -> None:
        for _ in range(6):
            await trio.lowlevel.checkpoint()
        ready.append(1)

    async def use() -> None:
        await trio.sleep(0.1)  # timer
        assert ready

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        nursery.start_soon(prepare)


def a_thread_awake_too_early() -> None:
    ready: list[int] = []
    lock = threading.Lock()

    def prepare() -> None:
        for _ in range(6):
            with lock:
                pass
        ready.append(1)

    def use() -> None:
        time.sleep(0.1)  # timer
        assert ready

    threads = [threading.Thread(target=one) for one in (use, prepare)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Cyclic:
    """Garbage in a cycle, with a finalizer."""

    def __init__(self, finalize: Callable[[], object]) -> None:
        self.itself = self
        self.finalize = finalize

    def __del__(self) -> None:
        self.finalize()


async def finalized_in_the_middle() -> None:
    entries = [1]

    def forget() -> None:
        entries.clear()

    async def look() -> None:
        Cyclic(forget)
        if entries:
            await trio.lowlevel.checkpoint()  # collected
            assert entries

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        nursery.start_soon(trio.lowlevel.checkpoint)


def a_thread_that_finalizes_in_the_middle() -> None:
    entries = [1]
    lock = threading.Lock()

    def look() -> None:
        Cyclic(entries.clear)
        if entries:
            with lock:
                pass
            assert entries

    threads = [threading.Thread(target=look), threading.Thread(target=lock.locked)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("program", [half_done_at_its_time_out, awake_too_early, a_thread_awake_too_early])
def test_an_early_timer_is_named_where_it_was_set_and_verified(program: Callable[[], Any]) -> None:
    explanation = explained(program, early_timers=1, collections=0)
    assert explanation.verified
    text = str(explanation)
    assert text.startswith("It takes 1 timer that fires while tasks can run.\nWhat matters is that before step ")
    assert text.endswith("\nVerified: without it the run passes.")
    assert f"test_decisive_actions.py:{line_with(program, 'timer')}: " in text
    assert explanation.passing is not None
    assert not any(step.before or step.ended == "failed" for step in explanation.passing.steps)
    assert explanation.first_difference is not None
    assert explanation.failing.steps[explanation.first_difference].before


def test_what_a_time_out_cut_off_is_named() -> None:
    explanation = explained(half_done_at_its_time_out, early_timers=1, collections=0)
    struck = line_with(half_done_at_its_time_out, "struck")
    assert "the time-out of main strikes at " in str(explanation)
    assert "  main stands at " in str(explanation)
    assert f"test_decisive_actions.py:{struck}: " in str(explanation)
    assert "the clock moves to 0.5 s although tasks can run" in str(explanation)


@pytest.fixture
def no_callbacks() -> Iterator[None]:
    """The collector enters nothing of pytest's plugins: hypothesis listens to it."""
    callbacks = gc.callbacks.copy()
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks


@pytest.mark.usefixtures("no_callbacks")
def test_a_collection_is_named_with_the_finalizer_that_it_enters_and_verified() -> None:
    explanation = explained(finalized_in_the_middle, early_timers=0, collections=1)
    assert explanation.verified
    text = str(explanation)
    assert text.startswith("It takes 1 garbage collection.\nWhat matters is that before step ")
    assert "in main/look, the garbage collector runs and enters Cyclic.__del__ (" in text
    assert f"test_decisive_actions.py:{line_with(finalized_in_the_middle, 'collected')}: " in text
    assert text.endswith("\nVerified: without it the run passes.")


@pytest.mark.usefixtures("no_callbacks")
def test_a_collection_within_a_thread_is_named_and_verified() -> None:
    explanation = explained(a_thread_that_finalizes_in_the_middle, early_timers=0, collections=1)
    assert explanation.verified
    assert "the garbage collector runs and enters Cyclic.__del__ (" in str(explanation)


def test_an_action_that_makes_a_failure_only_likelier_is_not_named() -> None:
    text = str(explained(lost_update_beside_a_timer, early_timers=2, collections=0, strategy="random"))
    assert "the clock moves" not in text
    assert "Verified: reversed, the run passes." in text
