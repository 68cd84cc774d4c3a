"""Partial-order reduction against brute force: every interleaving on paper, grouped by the order of what conflicts.

The paper version knows nothing of the search: it merges the tasks' operation lists in all ways and calls two merges
equivalent if every pair of conflicting operations comes in the same order (Mazurkiewicz 1977).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun import explore
from detrun_scheduler.footprints.footprints import COMMUTE, EVERYTHING, READ, WRITE
from detrun_scheduler.strategies.dpor import PartialOrderReduction, StepOrder, _precedes, _Step
from tests.examples import examples

checkpoint = trio.lowlevel.checkpoint
Operation = tuple[str, int]  # "read", "write" or "nothing", and a variable
Program = list[list[Operation]]
Trace = frozenset[tuple[tuple[int, int], tuple[int, int]]]


def merges(lengths: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All ways to merge lists of these lengths, as task indices."""
    if not any(lengths):
        yield ()
    for task, length in enumerate(lengths):
        if length:
            for rest in merges((*lengths[:task], length - 1, *lengths[task + 1 :])):
                yield (task, *rest)


def trace_of(program: Program, order: list[tuple[int, int]]) -> Trace:
    """The ordered pairs of conflicting operations; an operation is (task, its index in the task)."""
    pairs = set()
    for later, second in enumerate(order):
        for first in order[:later]:
            one, other = program[first[0]][first[1]], program[second[0]][second[1]]
            conflicting = one[1] == other[1] and "write" in (one[0], other[0]) and "nothing" not in (one[0], other[0])
            if first[0] == second[0] or conflicting:
                pairs.add((first, second))
    return frozenset(pairs)


def traces_on_paper(program: Program) -> set[Trace]:
    found = set()
    for merge in merges(tuple(map(len, program))):
        done: Counter[int] = Counter()
        order = []
        for task in merge:
            order.append((task, done[task]))
            done[task] += 1
        found.add(trace_of(program, order))
    return found


def traces_by_search(program: Program, strategy: str = "dpor") -> tuple[Counter[Trace], Any]:
    """By trace, the number of times that it was run to its end."""
    found: Counter[Trace] = Counter()

    async def main() -> None:
        variables = [detrun.Shared(0) for _ in range(3)]
        order: list[tuple[int, int]] = []

        async def worker(task: int) -> None:
            for index, (kind, variable) in enumerate(program[task]):
                if index:
                    await checkpoint()
                if kind == "read":
                    assert variables[variable].value >= 0
                elif kind == "write":
                    variables[variable].value = task
                order.append((task, index))

        async with trio.open_nursery() as nursery:
            for task in range(len(program)):
                nursery.start_soon(worker, task)
        found[trace_of(program, order)] += 1

    result = explore(main, strategy=strategy, schedules=100_000, directory=None)
    assert result.verdict == "holds", result.reason
    return found, result


operations = st.tuples(st.sampled_from(["read", "write", "write", "nothing"]), st.integers(0, 2))
programs = st.lists(st.lists(operations, min_size=1, max_size=3), min_size=2, max_size=3)


@examples(25)
@given(programs)
def test_every_trace_is_run_exactly_once(program: Program) -> None:
    found, result = traces_by_search(program)
    assert set(found) == traces_on_paper(program)
    assert set(found.values()) == {1}
    assert result.schedules == len(found)


@settings(max_examples=15)
@given(st.lists(st.lists(operations, min_size=1, max_size=2), min_size=2, max_size=3))
def test_depth_first_search_runs_the_same_traces_more_often(program: Program) -> None:
    found, result = traces_by_search(program, "dfs")
    assert set(found) == traces_on_paper(program)
    assert result.schedules >= len(found)


accesses = st.tuples(st.integers(0, 2), st.dictionaries(st.integers(0, 3), st.sampled_from([READ, WRITE]), max_size=2))


@given(run=st.lists(accesses, max_size=24))
def test_clocks_are_the_transitive_closure_of_program_order_and_conflicts(
    run: list[tuple[int, dict[int, int]]],
) -> None:
    """Also where a step conflicts with an early step of a task of which a later one happens before it as well."""
    steps = [_Step((), str(task), {}, footprint=dict(touched)) for task, touched in run]
    order = StepOrder()
    for step in steps:
        order.add(step)
    races = order.races
    before: list[set[int]] = []
    for second, (task, touched) in enumerate(run):
        direct = [
            first
            for first in range(second)
            if run[first][0] == task
            or any(WRITE in (mode, touched[key]) for key, mode in run[first][1].items() if key in touched)
        ]
        before.append(set(direct).union(*(before[first] for first in direct)))
        for first in range(second):
            assert _precedes(steps[first], steps[second]) == (first in before[second])
        adjacent = [one for one in direct if not any(one in before[other] for other in direct)]
        assert races[second] == [one for one in adjacent if run[one][0] != task]


touching = st.tuples(
    st.integers(0, 3),
    st.dictionaries(st.sampled_from((0, 1, 2, EVERYTHING)), st.sampled_from([READ, COMMUTE, WRITE]), max_size=2),
    st.sets(st.integers(0, 3), max_size=2),
    st.booleans(),
)


@given(st.lists(st.tuples(st.integers(0, 20), st.lists(touching, max_size=10)), min_size=2, max_size=5))
def test_an_order_whose_end_is_replaced_is_that_of_the_whole_schedule(edits: list[tuple[int, list[Any]]]) -> None:
    """With wake-ups, moves of time, and steps that conflict with everything."""

    def made(run: list[Any]) -> list[_Step]:
        return [
            _Step((), str(task), {}, footprint=dict(touched), woken=tuple(map(str, sorted(woken))), barrier=barrier)
            for task, touched, woken, barrier in run
        ]

    kept, run = StepOrder(), list[Any]()
    for count, following in edits:
        cut = min(count, len(run))
        run = run[:cut] + following
        kept.cut(cut)
        for step in made(following):
            kept.add(step)
        whole = StepOrder()
        for step in made(run):
            whole.add(step)
        assert kept.races == whole.races
        assert [(one.task, one.count, one.before) for one in kept.steps] == [
            (one.task, one.count, one.before) for one in whole.steps
        ]


def test_four_tasks_on_disjoint_state_need_one_schedule() -> None:
    async def main() -> None:
        async def worker() -> None:
            lock, counter = trio.Lock(), detrun.Atomic(0)
            for _ in range(3):
                async with lock:
                    counter.fetch_add(1)
                    await checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(worker)

    result = explore(main, strategy="dpor", directory=None)
    assert (result.verdict, result.schedules, result.statistics.redundant) == ("holds", 1, 0)


@pytest.mark.parametrize(
    "name",
    [
        *("lock", "event", "channel", "cancel", "late cancel", "sleep", "semaphore", "condition", "failure"),
        *("cancel another", "set the deadline of another", "blocked loop"),
    ],
)
def test_every_result_of_all_interleavings_is_found(name: str) -> None:
    """Programs whose results depend on the order in which primitives are used, cancelled, or time out."""
    by_strategy: dict[str, set[Any]] = {}
    for strategy in ("dfs", "dpor"):
        found: set[Any] = set()

        async def main(found: set[Any] = found) -> None:
            found.add(await PROGRAMS[name]())

        result = explore(main, strategy=strategy, schedules=200_000, directory=None)
        assert result.verdict == "holds", result.reason
        by_strategy[strategy] = found
    assert by_strategy["dpor"] == by_strategy["dfs"]
    assert len(by_strategy["dfs"]) > 1


async def _lock() -> Any:
    lock, order = trio.Lock(), []

    async def worker(name: str) -> None:
        async with lock:
            order.append(name)
            await checkpoint()

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(worker, name)
    return tuple(order)


async def _event() -> Any:
    ready, cell, seen = trio.Event(), detrun.Shared(0), []

    async def setter() -> None:
        cell.value = 1
        await checkpoint()
        ready.set()
        await checkpoint()
        cell.value = 2

    async def looker() -> None:
        seen.append(ready.is_set())
        await checkpoint()
        await ready.wait()
        seen.append(cell.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(setter)
        nursery.start_soon(looker)
    return tuple(seen)


async def _channel() -> Any:
    send, receive = trio.open_memory_channel[str](1)
    got: list[str] = []

    async def producer(words: str) -> None:
        for word in words:
            await send.send(word)

    async def consumer() -> None:
        for _ in range(3):
            got.append(await receive.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(producer, "aA")
        nursery.start_soon(producer, "b")
        nursery.start_soon(consumer)
    return tuple(got)


async def _cancel() -> Any:
    steps = [0]

    async def worker() -> None:
        for _ in range(3):
            await checkpoint()
            steps[0] += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
        await checkpoint()
        nursery.cancel_scope.cancel()
    return steps[0]


async def _late_cancel() -> Any:
    """The scope may be left before it is cancelled: then nothing is."""
    scope, steps = trio.CancelScope(), [0]

    async def worker() -> None:
        with scope:
            for _ in range(3):
                await checkpoint()
                steps[0] += 1

    async def canceller() -> None:
        await checkpoint()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
        nursery.start_soon(canceller)
    return steps[0], scope.cancelled_caught


async def _stop(stop: Callable[[trio.CancelScope], None]) -> Any:
    """A task ends another's scope, before, while or after it is in there, and in a scope within."""
    scope, steps = trio.CancelScope(), [0]

    async def worker() -> None:
        with scope:
            await checkpoint()
            steps[0] += 1
            with trio.CancelScope():
                await checkpoint()
                steps[0] += 1
                await checkpoint()
                steps[0] += 1

    async def stopper() -> None:
        stop(scope)
        await checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
        nursery.start_soon(stopper)
    return steps[0]


def _cancel_another() -> Any:
    return _stop(trio.CancelScope.cancel)


def _set_the_deadline_of_another() -> Any:
    def stop(scope: trio.CancelScope) -> None:
        scope.deadline = trio.current_time()

    return _stop(stop)


async def _sleep() -> Any:
    cell = detrun.Shared(0)
    timed_out = []

    async def slow() -> None:
        with trio.move_on_after(1) as scope:
            await trio.sleep(2 if cell.value else 0.5)
        timed_out.append(scope.cancelled_caught)

    async def writer() -> None:
        await checkpoint()
        cell.value = 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow)
        nursery.start_soon(writer)
    return tuple(timed_out)


async def _semaphore() -> Any:
    semaphore, inside, most = trio.Semaphore(2), [0], []

    async def worker() -> None:
        async with semaphore:
            inside[0] += 1
            most.append(semaphore.value)
            await checkpoint()
            inside[0] -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(worker)
    return tuple(most)


async def _condition() -> Any:
    condition, log = trio.Condition(), []

    async def waiter(name: str) -> None:
        async with condition:
            with trio.move_on_after(1):
                await condition.wait()
                log.append(name)

    async def notifier() -> None:
        async with condition:
            condition.notify()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter, "a")
        nursery.start_soon(waiter, "b")
        nursery.start_soon(notifier)
    return tuple(log)


async def _failure() -> Any:
    cell = detrun.Shared(0)

    async def failing(name: str) -> None:
        await checkpoint()
        cell.value = cell.value + 1
        raise ValueError(name)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(failing, "a")
            nursery.start_soon(failing, "b")
    except ExceptionGroup as group:
        return tuple(str(one) for one in group.exceptions), cell.value
    raise AssertionError("somebody fails")


async def _blocked_loop() -> Any:
    """A task waits for a thread's lock and stops all tasks meanwhile, though they could run."""
    lock, order, cell = threading.Lock(), [], detrun.Shared(0)

    def hold() -> None:
        with lock:
            order.append("thread")
            cell.value = 1

    async def take() -> None:
        with lock:
            order.append("task")

    async def look() -> None:
        order.append(str(cell.value))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, hold)
        nursery.start_soon(take)
        nursery.start_soon(look)
    # Of the looker only what it saw counts: that it comes before or after the lock's holders is seen by no task.
    return tuple(one for one in order if one.startswith("t")), next(one for one in order if not one.startswith("t"))


PROGRAMS: dict[str, Any] = {
    "lock": _lock,
    "event": _event,
    "channel": _channel,
    "cancel": _cancel,
    "late cancel": _late_cancel,
    "cancel another": _cancel_another,
    "set the deadline of another": _set_the_deadline_of_another,
    "sleep": _sleep,
    "semaphore": _semaphore,
    "condition": _condition,
    "failure": _failure,
    "blocked loop": _blocked_loop,
}


def test_the_search_says_how_many_schedules_were_in_vain() -> None:
    oracle = PartialOrderReduction()

    async def main() -> None:
        await PROGRAMS["condition"]()

    result = explore(main, strategy=oracle, schedules=100_000, directory=None)
    assert result.statistics.redundant == oracle.redundant
