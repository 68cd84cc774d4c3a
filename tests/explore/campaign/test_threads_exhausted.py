"""Partial-order reduction over threading's primitives finds every result that plain search finds."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from detrun import explore


def started(*functions: Any) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def trylock() -> Any:
    lock, got = threading.Lock(), []

    def attempt(name: str) -> Any:
        def run() -> None:
            if lock.acquire(blocking=False):
                got.append(name)
                lock.release()

        return run

    started(attempt("a"), attempt("b"))
    return tuple(got)


def event() -> Any:
    ready, seen = threading.Event(), []

    def look() -> None:
        seen.append(ready.is_set())
        ready.wait()
        seen.append(ready.is_set())

    started(look, ready.set)
    return tuple(seen)


def handed() -> Any:
    messages: queue.Queue[int] = queue.Queue(1)
    got = []

    def produce(first: int) -> Any:
        def run() -> None:
            messages.put(first)

        return run

    def consume() -> None:
        for _ in range(2):
            got.append(messages.get())

    started(produce(1), produce(2), consume)
    return tuple(got)


def semaphore() -> Any:
    places, order = threading.Semaphore(1), []

    def enter(name: str) -> Any:
        def run() -> None:
            with places:
                order.append(name)

        return run

    started(enter("a"), enter("b"))
    return tuple(order)


@pytest.mark.parametrize("program", [trylock, event, semaphore])
def test_every_result_of_all_interleavings_of_threads_is_found(program: Any) -> None:
    found: dict[str, set[Any]] = {}
    counts = {}
    for strategy in ("dfs", "dpor"):
        results: set[Any] = set()

        def main(results: set[Any] = results) -> None:
            results.add(program())

        result = explore(main, strategy=strategy, schedules=20_000, directory=None)
        assert result.verdict == "holds", result.reason
        found[strategy], counts[strategy] = results, result.schedules
    assert found["dpor"] == found["dfs"]
    assert len(found["dfs"]) > 1
    assert counts["dpor"] <= counts["dfs"]


@pytest.mark.parametrize("schedules", [1_000, pytest.param(3_000, marks=pytest.mark.slow)])
def test_a_queue_hands_over_in_every_order(schedules: int) -> None:
    results: set[Any] = set()

    def main() -> None:
        results.add(handed())

    explore(main, strategy="dpor", schedules=schedules, directory=None)
    assert results == {(1, 2), (2, 1)}
