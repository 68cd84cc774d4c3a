"""How the cost of each path grows: measured at n, 2n, 4n and 8n, with a fitted exponent.

An exponent of 1 is a path that is linear as a whole, so that a step, an operation or a byte costs the same in a small
run and in a large one. The exponent is the slope of the least-squares line through the logarithms; a seconds' figure is
the smallest of the repetitions, since other processes only ever add. What is unfair: caches of the processor make large
sizes dearer by themselves, which adds up to 0.1; eight thousand tasks of trio are 25 MB. ``python -m benchmarks.growth
[--quick] [NAME...]`` prints the table, in about five minutes; with ``--quick`` sizes are an eighth.
"""

from __future__ import annotations

import gc
import math
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from rich.console import Console
from rich.table import Table

import detrun
from benchmarks.measuring import machine, seconds
from detrun.checkers.models import Register
from detrun_recorder.recording import open_recording
from detrun_scheduler.strategies import make
from detrun_scheduler.strategies.dpor import PartialOrderReduction

FACTORS = (1, 2, 4, 8)
EXPONENT_MAX = 1.2
STEPS_EACH = 5  # checkpoints of a task, so that tasks and steps grow together
REPEATED_SECONDS = 4.0  # what has taken longer is not repeated
STRATEGIES = ("random", "fifo", "pct", "pos", "urw", "subset", "portfolio")


@dataclass(frozen=True, slots=True)
class GrowingPath:
    """One path through detrun.

    Attributes:
        name: what it is called on the command line.
        what: what n counts.
        size: n.
        prepare: makes the work of a size, which is then measured.
    """

    name: str
    what: str
    size: int
    prepare: Callable[[int], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Growth:
    """What was measured of a path: seconds by size."""

    path: GrowingPath
    sizes: Sequence[int]
    taken: Sequence[float]

    @property
    def exponent(self) -> float:
        """The slope of the logarithms."""
        return fitted_exponent(self.sizes, self.taken)


def fitted_exponent(sizes: Sequence[int], taken: Sequence[float]) -> float:
    """The least-squares slope of log(seconds) over log(size)."""
    across = [math.log(size) for size in sizes]
    up = [math.log(one) for one in taken]
    middle, height = sum(across) / len(across), sum(up) / len(up)
    return sum((x - middle) * (y - height) for x, y in zip(across, up, strict=True)) / sum(
        (x - middle) ** 2 for x in across
    )


# Programs.


def tasks(count: int) -> Callable[[], Any]:
    """So many tasks, all runnable at once."""

    async def main() -> None:
        async def worker() -> None:
            for _ in range(STEPS_EACH):
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(worker)

    return main


def contending(count: int) -> Callable[[], None]:
    """So many threads at one lock."""

    def main() -> None:
        lock = threading.Lock()

        def work() -> None:
            for _ in range(2):
                with lock:
                    pass

        crew = [threading.Thread(target=work) for _ in range(count)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()

    return main


def sleeping(count: int) -> Callable[[], Any]:
    """Ten tasks that sleep so often together."""

    async def main() -> None:
        async def worker(index: int) -> None:
            for turn in range(count // 10):
                await trio.sleep(0.001 * (1 + (index + turn) % 7))

        async with trio.open_nursery() as nursery:
            for index in range(10):
                nursery.start_soon(worker, index)

    return main


def history(count: int) -> list[Any]:
    """So many reads and writes of a register by five clients at once."""
    recorded = detrun.History()

    async def client(index: int) -> None:
        for turn in range(count // 5):
            if turn % 2:
                with recorded.call("write", index * count + turn):
                    await trio.lowlevel.checkpoint()
                    state[0] = index * count + turn
                    await trio.lowlevel.checkpoint()
            else:
                with recorded.call("read") as call:
                    await trio.lowlevel.checkpoint()
                    call.result(state[0])

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for index in range(5):
                nursery.start_soon(client, index)

    state = [0]
    detrun.record(main, seed=1)
    return list(recorded.operations)


# Paths.


def _strategy(name: str) -> Callable[[int], Callable[[], object]]:
    return lambda size: (
        lambda: detrun.explore(tasks(size), strategy=make(name), schedules=1, max_steps=None, directory=None, seed=1)
    )


def _dpor(size: int) -> Callable[[], object]:
    async def main() -> None:
        shared = detrun.Shared(0.0)

        async def adder(count: int) -> None:
            for _ in range(count):
                await trio.lowlevel.checkpoint()

        async def writer() -> None:
            shared.value = shared.value + 1.0

        async with trio.open_nursery() as nursery:
            nursery.start_soon(adder, size)
            nursery.start_soon(adder, size)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(writer)  # in six orders, of which three are run

    return lambda: detrun.explore(
        main, strategy=PartialOrderReduction(), schedules=3, max_steps=None, directory=None, seed=1
    )


def _recording(size: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.detrun"
        detrun.record(sleeping(size), seed=1, to=path)
        return path.read_bytes()


def _reading(size: int) -> Callable[[], object]:
    content = _recording(size)
    return lambda: sum(1 for _ in open_recording(content).iter_steps())


def _visiting(size: int) -> Callable[[], object]:
    content = _recording(size)

    def visit() -> None:
        recording = open_recording(content)
        recording.at_time(0.99 * recording.virtual_time)

    return visit


def _replaying(size: int) -> Callable[[], object]:
    content, main = _recording(size), sleeping(size)
    return lambda: detrun.replay(main, recording=content)


def _linearizable(size: int) -> Callable[[], object]:
    operations = history(size)
    return lambda: detrun.linearizable(Register(0), operations, timeout=None).raise_on_failure()


PATHS = (
    *(GrowingPath(name, "runnable tasks", 1_000, _strategy(name)) for name in STRATEGIES),
    GrowingPath("crowd", "runnable tasks, random", 12_500, _strategy("random")),
    GrowingPath("dpor", "steps", 500, _dpor),
    GrowingPath("locks", "threads at one lock", 250, lambda size: lambda: detrun.record(contending(size), seed=1)),
    GrowingPath("record", "steps", 4_000, lambda size: lambda: detrun.record(sleeping(size), seed=1)),
    GrowingPath("replay", "steps", 4_000, _replaying),
    GrowingPath("read", "steps of a recording", 8_000, _reading),
    GrowingPath("visit", "steps of a recording", 8_000, _visiting),
    GrowingPath("linearizable", "operations", 2_000, _linearizable),
)


def measured(path: GrowingPath, divisor: int = 1, repetitions: int = 3) -> Growth:
    """Measure one path."""
    sizes = [max(10, path.size // divisor) * factor for factor in FACTORS]
    taken = []
    for size in sizes:
        work = path.prepare(size)
        found: list[float] = []
        while len(found) < repetitions and sum(found) < REPEATED_SECONDS:
            found.append(seconds(work))
        taken.append(min(found))
        with freed():
            del work
    return Growth(path, sizes, taken)


@contextmanager
def freed() -> Iterator[None]:
    """Whatever a size has left is collected before the next is measured."""
    yield
    gc.collect()


def table(grown: Sequence[Growth]) -> Table:
    """What was measured, a line for each path."""
    shown = Table(title="growth", caption=machine(), title_justify="left", caption_justify="left")
    for column in ("path", "n", "of", *(f"{factor}n, s" for factor in FACTORS), "exponent", "at most"):
        shown.add_column(column)
    for one in grown:
        met = "" if one.exponent <= EXPONENT_MAX else "  NO"
        shown.add_row(
            one.path.name,
            f"{one.sizes[0]:,}",
            one.path.what,
            *(f"{taken:.3g}" for taken in one.taken),
            f"{one.exponent:.2f}",
            f"{EXPONENT_MAX}{met}",
        )
    return shown


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print."""
    names = [one for one in arguments if not one.startswith("--")]
    unknown = [name for name in names if name not in {path.name for path in PATHS}]
    if unknown:
        sys.exit(f"there is no path {unknown[0]!r}; choose among {', '.join(path.name for path in PATHS)}")
    chosen = [path for path in PATHS if not names or path.name in names]
    divisor = 8 if "--quick" in arguments else 1
    Console(width=120).print(table([measured(path, divisor) for path in chosen]))


if __name__ == "__main__":
    main(sys.argv[1:])
