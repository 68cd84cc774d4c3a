"""What processes do: users who wait for answers, batches, a reader, a logger, a pipeline, sharers of a mutex.

Each program is made for its numbers and tells `Observed` what it has seen. Times are drawn from exponential
distributions where nothing else is said, pages by `skewed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.operating_system.cpu.mutex import Mutex
from detrun_scenarios.operating_system.invariants import PIPE_ORDER
from detrun_scenarios.operating_system.ipc.pipe import Pipe
from detrun_scenarios.operating_system.machine import Simulated
from detrun_scenarios.operating_system.process import Process

CHUNK_BYTES = 1_024


@dataclass(slots=True)
class Observed:
    """What a run has seen; seconds, which may be Values.

    Attributes:
        responses: of users, from a request to its answer.
        services: the computing that each of them asked for.
        syncs: how long each fsync took.
        reads: how long each page of a file took, with what it was read for.
    """

    responses: list[Any] = field(default_factory=list)
    services: list[Any] = field(default_factory=list)
    syncs: list[Any] = field(default_factory=list)
    reads: list[Any] = field(default_factory=list)


def skewed(pages: int) -> int:
    """One of so many pages, the first ones more often: the cube of a uniform number."""
    return int(pages * detrun.uniform() ** 3)


def user(observed: Observed, requests: int, think: float, service: float, pages: int) -> Simulated:
    """Thinks, asks for something, and waits for the answer: computing and a few pages of memory."""

    async def run(process: Process) -> None:
        for _ in range(requests):
            await process.sleep(detrun.exponential(think))
            asked_at, wanted = trio.current_time(), detrun.exponential(service)
            await process.touch(skewed(pages))
            await process.compute(wanted)
            await process.touch(skewed(pages), write=True)
            observed.responses.append(trio.current_time() - asked_at)
            observed.services.append(wanted)

    return run


def batch(chunks: int, chunk: float, pages: int) -> Simulated:
    """Computes in long stretches, between which it works on pages of its own."""

    async def run(process: Process) -> None:
        for number in range(chunks):
            await process.touch(skewed(pages), write=number % 2 == 0)
            await process.compute(detrun.exponential(chunk))

    return run


def reader(observed: Observed, name: str, pages: int, rounds: int, work: float) -> Simulated:
    """Reads a file from its beginning to its end, and works on each page."""

    async def run(process: Process) -> None:
        for _ in range(rounds):
            for page in range(pages):
                began = trio.current_time()
                await process.read(name, page)
                observed.reads.append(trio.current_time() - began)
                await process.compute(work)

    return run


def logger(observed: Observed, name: str, records: int, pause: float, pages: int) -> Simulated:
    """Writes to a few pages of a log, one record after the other, and syncs each."""

    async def run(process: Process) -> None:
        for number in range(records):
            await process.sleep(detrun.exponential(pause))
            await process.write(name, number % pages)
            began = trio.current_time()
            await process.fsync(name)
            observed.syncs.append(trio.current_time() - began)

    return run


def writer(name: str, writes: int, pages: int, work: float) -> Simulated:
    """Changes pages of a file, some again and again, and leaves it to the kernel when they come to the disk."""

    async def run(process: Process) -> None:
        for _ in range(writes):
            await process.compute(detrun.exponential(work))
            await process.write(name, skewed(pages))

    return run


def producer(pipe: Pipe, chunks: int, work: float) -> Simulated:
    """The first of a pipeline."""

    async def run(process: Process) -> None:
        for number in range(chunks):
            await process.compute(detrun.exponential(work))
            await process.put(pipe, bytes([number % 256]) * CHUNK_BYTES)
        pipe.close_writing()

    return run


def consumer(pipe: Pipe, work: float) -> Simulated:
    """The second one, which checks what comes."""

    async def run(process: Process) -> None:
        received = 0
        while data := await process.get(pipe, CHUNK_BYTES):
            wanted = bytes((at // CHUNK_BYTES) % 256 for at in range(received, received + len(data)))
            require(data == wanted, PIPE_ORDER, f"{len(data)} bytes from {received} on are not those that were written")
            received += len(data)
            await process.compute(detrun.exponential(work))

    return run


def sharer(mutex: Mutex, rounds: int, pause: float, inside: float) -> Simulated:
    """Works under a mutex from time to time."""

    async def run(process: Process) -> None:
        for _ in range(rounds):
            await process.sleep(detrun.exponential(pause))
            async with process.holding(mutex):
                await process.compute(detrun.exponential(inside))

    return run


def hog(rounds: int, pause: float, work: float) -> Simulated:
    """Computes for long from time to time, and wants nothing else."""

    async def run(process: Process) -> None:
        for _ in range(rounds):
            await process.sleep(detrun.exponential(pause))
            await process.compute(work)

    return run


def sleeper(nap: float, work: float) -> Simulated:
    """Sleeps, and then computes for as long."""

    async def run(process: Process) -> None:
        await process.sleep(nap)
        await process.compute(work)

    return run
