"""The store on a disk that loses power: at every point in every possible way, or at random moments of a run.

`every_crash` runs a small workload once with a log of the disk, and recovers from each state that a power loss could
have left at each point. `main` is a program for `detrun.record` and `detrun.explore`: a machine's clients write, its
power goes at a random moment, its store recovers, and so on for some lives. The power losses are a fault plan, so that
a failure is shrunk to those that it takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun.world import FaultPlan, PowerLoss, inject
from detrun.world.disk.crash_states import CrashState, CrashStates, crash_states
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.disk.image import Tree
from detrun.world.disk.model import DiskLog, PersistenceModel
from detrun_scenarios.frame.declaration import Faults
from detrun_scenarios.write_ahead_log.history import WRITES_SURVIVE, History, value_of
from detrun_scenarios.write_ahead_log.store import CORRECT, Discipline, StoppedError, Store, open_store

MODEL = PersistenceModel(sector_bytes=128)
LIFE_SECONDS = 0.1


@dataclass(slots=True)
class Verdict:
    """The findings of `every_crash`.

    Attributes:
        states: the crash states looked at, and whether these are all.
        failures: those from which the store recovered wrongly, with the error.
    """

    states: CrashStates
    failures: list[tuple[CrashState, str]] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.failures:
            return f"right in all of {self.states}"
        state, lost = self.failures[0]
        sizes = {
            path: f"{len(content)} bytes" if isinstance(content, bytes) else "directory"
            for path, content in state.tree.items()
        }
        return f"WRONG in {len(self.failures):,} of {self.states}\n  first: {lost}\n  what is left: {sizes}"


async def write_all(store: Store, history: History, key: bytes, count: int) -> None:
    """One client: write so many times, each after the one before was acknowledged."""
    for _ in range(count):
        number = history.begin(key)
        await store.put(key, value_of(number), lambda: history.acknowledge(key))


async def logged_workload(
    discipline: Discipline, keys: int, writes: int, model: PersistenceModel
) -> tuple[DiskLog, History]:
    """Some clients write at the same time to a store on a new disk."""
    disk = Disk(model=model)
    log = disk.start_log()
    history = History(lambda: len(log))
    store = await open_store(disk, discipline)
    async with trio.open_nursery() as nursery:
        for index in range(keys):
            nursery.start_soon(write_all, store, history, b"key%d" % index, writes)
    return log, history


async def recover_and_check(
    tree: Tree, discipline: Discipline, history: History, intervals: Any
) -> tuple[DiskLog, str]:
    """Recover from a tree: what the recovery did to the disk, and what the store lost, in words."""
    disk = Disk("recovered", model=MODEL, tree=tree)
    log = disk.start_log()
    store = await open_store(disk, discipline)
    return log, next((lost for first, last in intervals if (lost := history.lost(store, first, last))), "")


async def every_crash(
    discipline: Discipline = CORRECT,
    keys: int = 2,
    writes: int = 3,
    model: PersistenceModel = MODEL,
    twice: bool = False,
    limit: int = 20_000,
) -> Verdict:
    """Recover from every crash state of a workload; with ``twice`` from every crash during each recovery, too."""
    log, history = await logged_workload(discipline, keys, writes, model)
    verdict = Verdict(crash_states(log, limit=limit))
    for state in verdict.states:
        recovery, lost = await recover_and_check(state.tree, discipline, history, state.intervals)
        if twice and not lost:
            for second in crash_states(recovery, limit=limit):
                _, lost = await recover_and_check(second.tree, discipline, history, state.intervals)
                if lost:
                    break
        if lost:
            verdict.failures.append((state, lost))
    return verdict


def power_losses(lives: int) -> FaultPlan:
    """The power goes once in each life."""
    return FaultPlan(
        tuple(
            PowerLoss(node="machine", between=(life * LIFE_SECONDS, (life + 1) * LIFE_SECONDS), down_seconds=0.0)
            for life in range(lives)
        )
    )


async def main(
    discipline: Discipline = CORRECT,
    lives: int = 4,
    keys: int = 2,
    disk: Disk | None = None,
    faults: Faults | None = None,
) -> dict[bytes, int]:
    """A machine runs the store and its clients until its power goes, again and again.

    Args:
        faults: by default `power_losses` of so many lives.

    Returns:
        How many writes of each key were acknowledged.
    """
    if disk is None:
        latency = DiskLatency(write_seconds=0.001, fsync_seconds=lambda: detrun.exponential(0.01))
        disk = Disk(model=MODEL, latency=latency)
    history = History(lambda: 0)
    plan = power_losses(lives) if faults is None else faults
    async with detrun.World(disk=lambda node: disk) as world:
        machine = world.node("machine")
        machine.start(live, discipline, history, keys)
        async with inject(plan, world):
            await trio.sleep(lives * LIFE_SECONDS)
        machine.restart(live, discipline, history, 0)
        await machine.ended()
    return {key: len(points) for key, points in sorted(history.acknowledged.items())}


async def live(discipline: Discipline, history: History, keys: int) -> None:
    """The machine's program: recover, look whether everything is there, let clients write for as long as it goes."""
    store = await open_store(detrun.this_node().disk, discipline)
    lost = history.lost(store, 0, 0)
    detrun.always(not lost, WRITES_SURVIVE, lost)
    resume_from(history, store)
    async with trio.open_nursery() as clients:
        for index in range(keys):
            clients.start_soon(write_until_stopped, store, history, b"key%d" % index)


def resume_from(history: History, store: Store) -> None:
    """Clients read what became of their last write, and go on from there: what they have read counts as promised."""
    for key, begun in history.begun.items():
        value = store.get(key)
        number = 0 if value is None else int(value[:6])
        history.begun[key] = begun[:number]
        history.acknowledged[key] = [0] * number


async def write_until_stopped(store: Store, history: History, key: bytes) -> None:
    """One client, for as long as the store takes writes."""
    try:
        while True:
            await write_all(store, history, key, 1)
    except StoppedError:
        await trio.sleep_forever()
