"""How much a machine has to do: the three sizes, and the variants in which bugs are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from detrun_scenarios.frame.declaration import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One machine's day; seconds where nothing else is said.

    Attributes:
        users, requests, think, service: who wait for answers; how often each asks, and mean times of each.
        batches, chunks, chunk: who compute in stretches, and mean time of one.
        pages: of memory of each user and each batch.
        scanners, scanned, rounds: who read a file of so many pages, so often.
        loggers, records: who sync what they write; `logs`: files that they share, 0 for one each.
        writers, writes, written: who write so often to a file of so many pages, and do not sync.
        pipelines, chunks_piped, piped_work: pairs of processes with a pipe between them.
        sharers: how many share a mutex, each more urgent than the one before; `hogs` compute at a middling priority.
        sleepers, nap: who compute as batches do, once, after a sleep.
        cpu, memory, storage: settings that are no parameters.
        is_harsh: whether some settings are drawn.
    """

    users: int = 2
    requests: int = 6
    think: float = 0.02
    service: float = 0.003
    batches: int = 2
    chunks: int = 8
    chunk: float = 0.008
    pages: int = 24
    scanners: int = 1
    scanned: int = 24
    rounds: int = 1
    loggers: int = 1
    records: int = 4
    logs: int = 0
    writers: int = 1
    writes: int = 12
    written: int = 12
    pipelines: int = 1
    chunks_piped: int = 12
    piped_work: float = 0.001
    sharers: int = 3
    rounds_shared: int = 3
    hogs: int = 0
    sleepers: int = 0
    nap: float = 0.0
    cpu: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    storage: Mapping[str, Any] = field(default_factory=dict)
    is_harsh: bool = False


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(is_harsh=True),
    "medium": Workload(
        users=4,
        requests=30,
        think=0.03,
        batches=3,
        chunks=45,
        chunk=0.015,
        pages=32,
        scanned=128,
        records=20,
        writes=200,
        written=64,
        pipelines=1,
        chunks_piped=100,
        sharers=3,
        rounds_shared=10,
        memory={"frames": 128},
    ),
    "large": Workload(
        users=10,
        requests=300,
        think=0.05,
        batches=5,
        chunks=400,
        chunk=0.015,
        pages=40,
        scanners=2,
        scanned=512,
        rounds=2,
        loggers=2,
        records=150,
        writers=2,
        writes=1500,
        written=128,
        pipelines=2,
        chunks_piped=1500,
        sharers=5,
        rounds_shared=60,
        cpu={"cores": 4},
        memory={"frames": 448},
    ),
}

ALONE = replace(
    WORKLOADS["small"], users=0, batches=0, scanners=0, loggers=0, writers=0, pipelines=0, sharers=0, is_harsh=False
)
VARIANTS: Mapping[str, Workload] = {
    "fixed priorities": replace(
        ALONE, sharers=2, rounds_shared=1, service=0.02, hogs=2, chunks=4, cpu={"cores": 1, "policy": "fixed"}
    ),
    "ping-pong": replace(ALONE, pipelines=3, chunks_piped=20, piped_work=4e-6),
    "crowded memory": replace(ALONE, batches=2, chunks=20, chunk=0.002, pages=8, memory={"frames": 10}),
    "one log": replace(ALONE, loggers=2, records=2, logs=1, think=0.04),
    "long sleep": replace(ALONE, batches=2, chunks=40, sleepers=1, nap=0.3, cpu={"cores": 1}),
}


def workload_of(size: Size, variant: str) -> Workload:
    """The workload of a size, or of a variant, which is as small as the small one."""
    return VARIANTS[variant] if variant and size == "small" else WORKLOADS[size]
