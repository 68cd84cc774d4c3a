"""Cost of the scheduler and the recorder: steps, runs, timers, bytes, import.

Contenders do the same work in one process, alternating. What is unfair: plain trio polls the operating system once a
batch and we never do; SimPy has no tasks, cancellation or exception groups to keep; MockClock was made for tests,
without regard to speed. A *run* is the classical lost update: two tasks that read, pass a checkpoint, and write.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import simpy
import trio
import trio.testing

import detrun
from benchmarks.measuring import Row, alternating, ratio, show
from detrun_scheduler.journal import Journal
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make

TASKS, STEPS = 10, 5_000
TIMERS_TASKS, TIMERS_EACH = 20, 1_000
RUNS = 1_500


async def checkpoints() -> None:
    """Ten tasks that do nothing but pass checkpoints."""

    async def worker() -> None:
        for _ in range(STEPS):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(worker)


def sleeping(sleep: Callable[[float], object]) -> Callable[[], object]:
    """Tasks that do nothing but sleep, each by another interval."""

    async def main() -> None:
        async def worker(interval: float) -> None:
            for _ in range(TIMERS_EACH):
                await sleep(interval)  # type: ignore[misc]  # an awaitable

        async with trio.open_nursery() as nursery:
            for index in range(TIMERS_TASKS):
                nursery.start_soon(worker, 1.0 + index / 7)

    return main


def simpy_sleeping() -> None:
    """The same timers as SimPy processes."""
    environment = simpy.Environment()

    def worker(interval: float) -> object:
        for _ in range(TIMERS_EACH):
            yield environment.timeout(interval)

    for index in range(TIMERS_TASKS):
        environment.process(worker(1.0 + index / 7))  # type: ignore[arg-type]  # a generator
    environment.run()


counter = 0


async def lost_update() -> int:
    """Two increments, each a read, a checkpoint and a write."""
    global counter
    counter = 0

    async def increment() -> None:
        global counter
        seen = counter
        await trio.lowlevel.checkpoint()
        counter = seen + 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment)
        nursery.start_soon(increment)
    return counter


async def channels() -> None:
    """Five pairs of tasks that pass messages, with an exponential delay for each: a recording with content."""

    async def producer(send: trio.MemorySendChannel[int]) -> None:
        async with send:
            for number in range(600):
                await detrun.sleep(detrun.exponential(0.01))
                await send.send(number)

    async def consumer(receive: trio.MemoryReceiveChannel[int]) -> None:
        async for _ in receive:
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            send, receive = trio.open_memory_channel[int](4)
            nursery.start_soon(producer, send)
            nursery.start_soon(consumer, receive)


def runs_per_second() -> tuple[float, float]:
    """Runs a CPU-second of the loop alone, as an explorer drives it, and of `detrun.record`."""
    oracle = make("random")
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        rates = []
        for _ in range(3):
            start = time.process_time()
            for seed in range(RUNS):
                RunLoop(oracle, seed=seed).run(lost_update).unwrap()
            rates.append(RUNS / (time.process_time() - start))
        start = time.process_time()
        for seed in range(RUNS // 5):
            detrun.record(lost_update, seed=seed)
        recorded = RUNS / 5 / (time.process_time() - start)
    finally:
        gc.enable()
        gc.unfreeze()
    return statistics.median(rates), recorded


def import_seconds() -> tuple[float, float]:
    """Fresh processes: ``import detrun``, and what of it is ``import trio``."""
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"

    def best(module: str) -> float:
        command = [sys.executable, "-c", code.format(module)]
        return min(float(subprocess.run(command, capture_output=True, check=True, text=True).stdout) for _ in range(7))

    return best("detrun"), best("trio")


def main() -> None:
    """Measure and print."""
    rows = []

    def recorded() -> None:
        detrun.record(checkpoints)

    def unrecorded() -> None:
        RunLoop(make("random"), journal=Journal(None)).run(checkpoints).unwrap()

    plain, ours, bare = alternating([lambda: trio.run(checkpoints), recorded, unrecorded])
    steps = TASKS * STEPS
    speed, spread = ratio(plain, ours)
    rate = steps / statistics.median(ours)
    rows.append(
        Row(
            "steps/s while recording, 10 tasks × checkpoints, against trio.run",
            f"{speed:.2f}× ({spread}); {rate:,.0f} steps/s",
            "≥ 1.0×",
            speed >= 1.0,
        )
    )
    overhead, spread = ratio(ours, bare)
    rows.append(Row("the same: recording on / off (time)", f"{overhead:.2f}× ({spread})", "–", None))
    rate, recorded_rate = runs_per_second()
    rows.append(
        Row("lost-update runs per CPU-second, the loop alone", f"{rate:,.0f}", "≥ 6,000", rate >= 6_000),
    )
    rows.append(Row("lost-update detrun.record() calls per CPU-second", f"{recorded_rate:,.0f}", "–", None))
    timers = TIMERS_TASKS * TIMERS_EACH

    def mock_clock() -> None:
        trio.run(sleeping(trio.sleep), clock=trio.testing.MockClock(autojump_threshold=0))

    fast, slow, mock, simple = alternating(
        [
            lambda: RunLoop(make("random")).run(_with_sleep()).unwrap(),
            lambda: RunLoop(make("random")).run(sleeping(trio.sleep)).unwrap(),
            mock_clock,
            simpy_sleeping,
        ],
        repetitions=3,
    )
    per_second = timers / statistics.median(fast)
    rows.append(Row("timers/s, detrun.sleep", f"{per_second:,.0f}", "≥ 100,000", per_second >= 100_000))
    speed, spread = ratio(mock, slow)
    rows.append(
        Row(
            "timers/s, trio.sleep, against trio's MockClock",
            f"{speed:.2f}× ({spread}); {timers / statistics.median(slow):,.0f}/s",
            "≥ 1.2×",
            speed >= 1.2,
        )
    )
    speed, spread = ratio(simple, fast)
    rows.append(
        Row(
            "timers/s, detrun.sleep, against SimPy",
            f"{speed:.2f}× ({spread}); SimPy {timers / statistics.median(simple):,.0f}/s",
            "–",
            None,
        )
    )
    run = detrun.record(checkpoints)
    size = len(run.recording.to_bytes()) / run.steps
    rows.append(Row("bytes per step on disk, 10 tasks × checkpoints", f"{size:.2f}", "≤ 1", size <= 1))
    run = detrun.record(channels)
    size = len(run.recording.to_bytes()) / run.steps
    rows.append(
        Row(
            f"bytes per step on disk, channels and random delays ({run.steps:,} steps)", f"{size:.2f}", "≤ 1", size <= 1
        )
    )
    whole, of_trio = import_seconds()
    rows.append(
        Row("import detrun, best of 7 processes", f"{whole:.3f} s (trio {of_trio:.3f})", "< 0.2 s", whole < 0.2)
    )
    show("Scheduling and recording", rows)


def _with_sleep() -> Callable[[], object]:
    return sleeping(detrun.sleep)


if __name__ == "__main__":
    main()
