"""Footprints: conflicts, names of objects, and a process that is unchanged after a watch."""

from __future__ import annotations

import asyncio
import itertools
import threading
import types
from collections.abc import Sequence
from typing import Any

import pytest
import trio

import detrun
from detrun import UsageError, explore
from detrun_scheduler.footprints.footprints import (
    COMMUTE,
    EVERYTHING,
    READ,
    WRITE,
    Footprint,
    conflict,
    modes_conflict,
)
from detrun_scheduler.footprints.marks import touched
from detrun_scheduler.footprints.steps import place_of
from detrun_scheduler.footprints.watch import Watch
from detrun_scheduler.journal import Journal
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies.portfolio import Portfolio
from detrun_scheduler.strategies.random_walk import RandomWalk

checkpoint = trio.lowlevel.checkpoint


@pytest.mark.parametrize(("first", "second"), list(itertools.product((READ, COMMUTE, WRITE), repeat=2)))
def test_only_reads_and_commuting_operations_of_one_kind_commute(first: int, second: int) -> None:
    assert modes_conflict(first, second) == (not (first == second and first != WRITE))


def test_footprints_conflict_on_a_shared_key_or_if_one_is_unknown() -> None:
    assert conflict({"a": READ, "b": WRITE}, {"b": READ})
    assert not conflict({"a": READ, "b": WRITE}, {"a": READ, "c": WRITE})
    assert not conflict({}, {"a": WRITE})
    assert conflict({}, {EVERYTHING: WRITE})


class Reading(RandomWalk):
    """Keeps the footprint of every step."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch
        self.steps: list[tuple[str, Footprint]] = []

    def new_run(self, run: Any) -> None:
        super().new_run(run)
        self.watch.step.forget()

    def step_closed(self, loop: RunLoop, task: int, outcome_byte: int, record: bytes) -> None:
        self.steps.append((loop.path_of(task), self.watch.step.read(loop, task, outcome_byte, record)))


def footprints(main: Any, seed: int = 0) -> list[tuple[str, Footprint]]:
    with Watch() as watch:
        oracle = Reading(watch)
        RunLoop(oracle, seed=seed, journal=Journal(), verifier=oracle).run(main).unwrap()
    return oracle.steps


def test_objects_have_the_same_names_in_every_schedule() -> None:
    async def main() -> None:
        async def worker() -> None:
            await checkpoint()
            cell = detrun.Shared(0)
            await checkpoint()
            cell.value = 1

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(worker)

    def by_task(seed: int) -> dict[str, list[Footprint]]:
        found: dict[str, list[Footprint]] = {}
        for path, footprint in footprints(main, seed):
            if "worker" in path:
                found.setdefault(path, []).append(footprint)
        return found

    assert by_task(0) == by_task(1) == by_task(2)


def test_a_coroutine_marks_the_step_in_which_it_begins() -> None:
    async def main() -> None:
        event = trio.Event()
        event.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(event.wait)

    steps = footprints(main)
    spawning = next(footprint for path, footprint in steps if path == "main")
    waiting = next(footprint for path, footprint in steps if path == "main/wait")
    assert conflict(spawning, {key: WRITE for key in waiting if key in spawning})


def test_a_primitive_of_the_users_own_conflicts_with_everything() -> None:
    async def main() -> None:
        async def sleeper() -> None:
            tasks.append(trio.lowlevel.current_task())
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)

        async def waker() -> None:
            while not tasks:
                await checkpoint()
            await checkpoint()
            trio.lowlevel.reschedule(tasks[0])

        tasks: list[Any] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper)
            nursery.start_soon(waker)

    unknown = [path for path, footprint in footprints(main) if EVERYTHING in footprint]
    assert "main/sleeper" in unknown
    assert "main/waker" in unknown


def test_nothing_is_left_of_a_watch() -> None:
    kinds: list[Any] = [trio.Event, trio.Lock, trio.StrictFIFOLock, trio.Semaphore, trio.Nursery, trio.CancelScope]
    kinds += [trio.MemorySendChannel, trio.lowlevel.ParkingLot, detrun.Shared, detrun.Atomic]
    before = [dict(vars(kind)) for kind in kinds]
    with Watch():
        assert [dict(vars(kind)) for kind in kinds] != before
    assert [dict(vars(kind)) for kind in kinds] == before


def test_two_watches_at_once_are_refused() -> None:
    with Watch(), pytest.raises(UsageError, match="already"), Watch():
        raise AssertionError("unreachable")


def test_elements_of_a_buffer_are_apart() -> None:
    async def main() -> None:
        buffer = detrun.Buffer([0.0] * 4)

        async def worker(index: int) -> None:
            buffer[index] = 1.0
            await checkpoint()
            buffer[index] = 2.0

        async with trio.open_nursery() as nursery:
            for index in range(4):
                nursery.start_soon(worker, index)

    assert explore(main, strategy="dpor", directory=None).schedules == 1


def test_where_a_task_goes_on_is_its_innermost_user_frame_whatever_it_waits_by() -> None:
    @types.coroutine
    def by_generator() -> Any:
        yield from checkpoint()

    async def inner() -> None:
        await checkpoint()

    async def main() -> None:
        await by_generator()
        await inner()
        await checkpoint()

    places = []

    class Looking(Reading):
        def step_closed(self, loop: RunLoop, task: int, outcome_byte: int, record: bytes) -> None:
            if task in loop.host.by_number and loop.path_of(task) == "main":
                places.append(place_of(loop, task).rsplit(":", 2)[1].rpartition(".")[2])

    with Watch() as watch:
        oracle = Looking(watch)
        RunLoop(oracle, journal=Journal(), verifier=oracle).run(main)
    assert places == ["by_generator", "inner", "main"]


def two_threads() -> None:
    threads = [threading.Thread(target=int) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def two_tasks_of_asyncio() -> None:
    async def program() -> None:
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))

    asyncio.run(program())


@pytest.mark.parametrize("main", [two_threads, two_tasks_of_asyncio])
def test_a_thread_that_has_not_begun_and_a_task_of_asyncio_are_at_no_place_whatever_code_asks(main: Any) -> None:
    places = []

    class Looking(Reading):  # the asking code is a user's file; in a worker of a campaign it would be another one
        def next_task(self, runnable: Sequence[int], current: int) -> int:
            places.extend(place_of(run, task) for task in runnable if run.path_of(task) != "main")
            return super().next_task(runnable, current)

    with Watch() as watch:
        oracle = Looking(watch)
        run = RunLoop(oracle, journal=Journal(), verifier=oracle)
        run.run(main, as_thread=True)
    assert places
    assert set(places) == {""}


def test_a_portfolio_marks_and_looks_at_the_steps_of_those_runs_only_whose_arm_reads_them() -> None:
    event = trio.Event()

    async def main() -> None:
        event.is_set()
        await checkpoint()
        seen.append((oracle.deciding is oracle.sampling, oracle.looks, run.verifier is oracle, bool(touched)))

    seen: list[tuple[bool, ...]] = []
    with Portfolio() as oracle:
        for seed in range(40):
            run = RunLoop(oracle, seed=seed, journal=Journal(), verifier=oracle)
            run.run(main)
        looked = {looks for sampling, looks, *_ in seen if not sampling}
        assert looked == {True, False}  # uniform random walk looks at steps, too
        for sampling, looks, told, marked in seen:
            assert told == looks >= sampling
            assert not marked or sampling
        assert any(sampling for sampling, *_ in seen)
    assert footprints(main)[1][1]  # and afterwards all are marked
