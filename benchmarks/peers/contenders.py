"""Contenders: each library explores the lost update in the way that its documentation shows.

A contender is a function of how many schedules to run and a seed; it returns how many were run, and raises if one
failed. Each imports its library itself: this file is read in environments that have only one of them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.peers import counter
from benchmarks.peers.counter import Counter

Explore = Callable[[int, int], int]
THREADS, TASKS, LONGER_TASKS = "threads at opcodes", "tasks", "tasks, five increments each"
LONGER = 5  # increments of each task of `LONGER_TASKS`


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table."""

    name: str
    package: str  # as on PyPI
    side: str  # THREADS or TASKS
    how: str
    explore: Explore
    target: int | None = None  # schedules per CPU-second


def _detrun_threads() -> None:
    import threading

    shared = Counter()
    first, second = threading.Thread(target=shared.increment), threading.Thread(target=shared.increment)
    first.start()
    second.start()
    first.join()
    second.join()
    assert shared.holds()


async def _detrun_tasks(times: int = 1) -> None:
    import trio

    shared = Counter(times)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.increment_with, trio.lowlevel.checkpoint)
        nursery.start_soon(shared.increment_with, trio.lowlevel.checkpoint)
    assert shared.holds()


def _explored(exploration: Any) -> int:
    if exploration.failure is not None:
        raise AssertionError(str(exploration))
    return int(exploration.schedules)


def detrun_threads(count: int, seed: int) -> int:
    """`detrun.explore`, random walk; the counter's file is watched."""
    return _explored_threads(count, seed, [counter.__file__])


def detrun_threads_watching_main(count: int, seed: int) -> int:
    """The same, with the main thread's code in this file watched as well."""
    return _explored_threads(count, seed, [counter.__file__, __file__])


def _explored_threads(count: int, seed: int, include: list[str]) -> int:
    import detrun

    return _explored(
        detrun.explore(
            _detrun_threads,
            strategy="random",
            schedules=count,
            seed=seed,
            preemption="opcode",
            include=include,
            directory=None,
        )
    )


async def _longer_detrun_tasks() -> None:
    await _detrun_tasks(LONGER)


def _random_walk(program: Callable[[], Any], backend: str = "auto") -> Explore:
    """`detrun.explore`, random walk."""

    def explore(count: int, seed: int) -> int:
        import detrun

        return _explored(
            detrun.explore(program, strategy="random", schedules=count, seed=seed, directory=None, backend=backend)
        )

    return explore


@contextmanager
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def detrun_threads_loop(count: int, seed: int) -> int:
    """The loop alone: no patched clocks and generators, no coverage."""
    from detrun_scheduler.loop import RunLoop
    from detrun_scheduler.strategies import make
    from detrun_scheduler.threads.preemption import Preemption

    oracle = make("random")
    with _without_collector(), Preemption("opcode", [counter.__file__]) as preemption:
        for index in range(count):
            RunLoop(oracle, seed=seed * count + index, preemption=preemption).run(
                _detrun_threads, as_thread=True
            ).unwrap()
    return count


def detrun_tasks_loop(count: int, seed: int) -> int:
    """The loop alone: no patched clocks and generators, no coverage."""
    from detrun_scheduler.loop import RunLoop
    from detrun_scheduler.strategies import make

    oracle = make("random")
    with _without_collector():
        for index in range(count):
            RunLoop(oracle, seed=seed * count + index).run(_detrun_tasks).unwrap()
    return count


def _frontrun_result(result: Any) -> int:
    if not result.property_holds:
        raise AssertionError(result.explanation)
    return int(result.num_explored)


def frontrun_threads(count: int, seed: int) -> int:
    """`frontrun.explore`, random schedules."""
    import frontrun

    return _frontrun_result(
        frontrun.explore(
            setup=Counter,
            workers=Counter.increment,
            count=2,
            invariant=Counter.holds,
            strategy="random",
            max_attempts=count,
            seed=seed,
        )
    )


def frontrun_threads_reduced(count: int, seed: int) -> int:
    """`frontrun.explore`, its default: searches with partial-order reduction, one after the other."""
    import frontrun

    done = 0
    while done < count:
        done += _frontrun_result(
            frontrun.explore(setup=Counter, workers=Counter.increment, count=2, invariant=Counter.holds)
        )
    return done


async def _asyncio_increment(shared: Counter) -> None:
    import asyncio

    await shared.increment_with(partial(asyncio.sleep, 0))


async def _asyncio_main(times: int = 1) -> None:
    import asyncio

    shared = Counter(times)
    await asyncio.gather(_asyncio_increment(shared), _asyncio_increment(shared))
    assert shared.holds()


async def _longer_asyncio_main() -> None:
    await _asyncio_main(LONGER)


def _frontrun_tasks(times: int) -> Explore:
    """`frontrun.explore` with coroutine functions, random schedules."""

    def run(count: int, seed: int) -> int:
        import asyncio

        import frontrun

        async def explore() -> Any:
            return await frontrun.explore(
                setup=partial(Counter, times),
                workers=_asyncio_increment,
                count=2,
                invariant=Counter.holds,
                strategy="random",
                max_attempts=count,
                seed=seed,
            )

        return _frontrun_result(asyncio.run(explore()))

    return run


def interleave_test_threads(count: int, seed: int) -> int:
    """`interleave_test.explore`, random; the counter's file is watched."""
    import interleave_test

    def model() -> None:
        shared = Counter()
        first, second = interleave_test.spawn(shared.increment), interleave_test.spawn(shared.increment)
        first.join()
        second.join()
        assert shared.holds()

    return int(interleave_test.explore(model, iterations=count, seed=seed, include=[counter.__file__]).schedules_run)


def _detangle_tasks(program: Callable[[], Any]) -> Explore:
    """`detangle.explore`, random walk."""

    def explore(count: int, seed: int) -> int:
        import detangle

        return int(detangle.explore(program, runs=count, strategy="random", seed=seed, database=False).runs)

    return explore


def _simloom_tasks(program: Callable[[], Any]) -> Explore:
    """`simloom.explore`, its default: a uniform random walk."""

    def explore(count: int, seed: int) -> int:
        import simloom

        exploration = simloom.explore(program, runs=count, start_seed=seed * count)
        if exploration.failed:
            raise AssertionError(exploration.summary())
        return int(exploration.runs)

    return explore


CONTENDERS = (
    Contender("detrun", "detrun", THREADS, "explore, random", detrun_threads, 4_000),
    Contender("detrun-main", "detrun", THREADS, "explore, random, main watched too", detrun_threads_watching_main),
    Contender("detrun-loop", "detrun", THREADS, "the loop alone", detrun_threads_loop),
    Contender("frontrun", "frontrun", THREADS, "explore, random", frontrun_threads),
    Contender("frontrun-dpor", "frontrun", THREADS, "explore, dpor", frontrun_threads_reduced),
    Contender("interleave-test", "interleave-test", THREADS, "explore, random", interleave_test_threads),
    Contender("detrun-tasks", "detrun", TASKS, "explore, random", _random_walk(_detrun_tasks), 5_000),
    Contender("detrun-tasks-loop", "detrun", TASKS, "the loop alone", detrun_tasks_loop),
    Contender("detrun-asyncio", "detrun", TASKS, "explore, random, asyncio", _random_walk(_asyncio_main, "asyncio")),
    Contender("detangle", "detangle", TASKS, "explore, random", _detangle_tasks(_asyncio_main)),
    Contender("simloom", "simloom", TASKS, "explore, random", _simloom_tasks(_asyncio_main)),
    Contender("frontrun-tasks", "frontrun", TASKS, "explore, random", _frontrun_tasks(1)),
    Contender("detrun-longer", "detrun", LONGER_TASKS, "explore, random", _random_walk(_longer_detrun_tasks)),
    Contender(
        "detrun-asyncio-longer",
        "detrun",
        LONGER_TASKS,
        "explore, random, asyncio",
        _random_walk(_longer_asyncio_main, "asyncio"),
    ),
    Contender("detangle-longer", "detangle", LONGER_TASKS, "explore, random", _detangle_tasks(_longer_asyncio_main)),
    Contender("simloom-longer", "simloom", LONGER_TASKS, "explore, random", _simloom_tasks(_longer_asyncio_main)),
    Contender("frontrun-longer", "frontrun", LONGER_TASKS, "explore, random", _frontrun_tasks(LONGER)),
)
BY_NAME = {one.name: one for one in CONTENDERS}
