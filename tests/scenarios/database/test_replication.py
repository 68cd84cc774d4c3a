"""A replica is at a prefix of the primary's commits, whole, whatever is cut off, crashes, or loses its power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.world import Exponential
from detrun_scenarios.database.log.recovery import checkpoint, cut_log
from detrun_scenarios.database.parts import RIGHT, Parts
from detrun_scenarios.database.replication.batches import Batches
from detrun_scenarios.database.replication.messages import Batch
from detrun_scenarios.database.server.application import Application, RefusedError, Shape, Work
from detrun_scenarios.database.server.machine import Hardware
from detrun_scenarios.database.server.replica import Replica
from detrun_scenarios.database.server.server import Server
from detrun_scenarios.database.settings import Settings

ACCOUNTS = 6
SMALL = Settings(
    page_bytes=256,
    frames=70,
    segment_bytes=1024,
    keep_bytes=2048,
    replication_batch=4.0,
    checkpoint_interval=0.05,
    vacuum_interval=0.02,
    level="snapshot",
    sessions_max=4,
)

Fault = Literal["cut", "heal", "crash primary", "crash replica", "power primary", "power replica", "free the log"]
FAULTS: tuple[Fault, ...] = (
    "cut",
    "heal",
    "crash primary",
    "crash replica",
    "power primary",
    "power replica",
    "free the log",
)


async def fill(work: Work) -> None:
    for number in range(ACCOUNTS):
        await work.insert("account", number, 0)
    await work.insert("last", 1, 0)


async def add(work: Work, arguments: Sequence[Any]) -> int:
    """One more entry in the history, and what it says done to an account; its number."""
    account, amount, fails = arguments
    last = await work.find_one("last", 1)
    number: int = last.row[1] + 1
    await work.change("last", last, number=number)  # first, so that others wait here
    await work.insert("history", number, account, amount)
    if fails:
        raise RefusedError("on purpose")
    await work.change("account", found := await work.find_one("account", account), amount=found.row[1] + amount)
    return number


async def read(work: Work, _: Sequence[Any]) -> Any:
    """History and accounts, which have to fit together: by a scan, and by an index."""
    transaction, tables = work.transaction, work.transaction.store.tables
    if "history" not in tables:
        return []
    history = [row for _, row in sorted(await transaction.scan(tables["history"]), key=lambda found: found.row)]
    by_index = [row for _, row in await transaction.between(tables["history"], "id", b"", b"\xff")]
    assert history == by_index
    assert [row[0] for row in history] == [*range(1, len(history) + 1)]
    accounts = dict(row for _, row in await transaction.scan(tables["account"]))
    if not accounts:
        return []
    sums = dict.fromkeys(range(ACCOUNTS), 0)
    for _, account, amount in history:
        sums[account] += amount
    assert accounts == sums
    assert (await work.find_one("last", 1)).row[1] == len(history)
    return history


APPLICATION = Application(
    (
        Shape("last", ("id", "number"), {"id": ("id",)}),
        Shape("account", ("id", "amount"), {"id": ("id",)}),
        Shape("history", ("id", "account", "amount"), {"id": ("id",)}),
    ),
    fill,
    {"add": add, "read": read},
)


class Pair:
    """A primary and a replica, with clients that are calls."""

    def __init__(self, world: detrun.World, chosen: Settings, parts: Parts = RIGHT) -> None:
        self.world, self.settings, self.parts = world, chosen, parts
        self.primary, self.replica = world.node("primary"), world.node("replica")
        self.server: Server
        self.follower: Replica
        self.acknowledged = 0
        self.seen: list[Any] = []
        self.primary.start(self.serve)
        self.replica.start(self.follow)

    async def serve(self) -> None:
        self.server = Server(self.settings, APPLICATION, self.parts)
        await self.server.run()

    async def follow(self) -> None:
        self.follower = Replica("primary", self.settings, APPLICATION, self.parts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.watch)
            await self.follower.run()

    async def watch(self) -> None:
        """Runs on the replica."""
        while True:
            await trio.sleep(detrun.exponential(0.01))
            if self.follower.is_open:
                self.seen.append((await self.follower.carry_out("read", []))[1])

    @property
    def is_serving(self) -> bool:
        return self.primary.is_running and hasattr(self, "server") and self.server.is_ready

    async def client(self, name: int, count: int) -> None:
        """Runs on the primary, which it dies with."""
        for _ in range(count):
            await trio.sleep(detrun.exponential(0.002))
            fails = detrun.bernoulli(0.2)
            outcome, number = await self.server.carry_out("add", [detrun.choice(ACCOUNTS), name, fails])
            if outcome == "done":
                self.acknowledged = max(self.acknowledged, number)

    async def work(self, count: int) -> None:
        while not self.is_serving:
            await trio.sleep(0.01)
        for name in (1, 2):
            self.primary.start(self.client, name, count)

    async def caught_up(self) -> list[Any]:
        """What the primary has in the end, and the replica when it has seen all."""
        while not (self.is_serving and hasattr(self, "follower") and self.follower.is_open):
            await trio.sleep(0.01)
        wanted = (await self.server.carry_out("read", []))[1]
        end = self.server.log.flushed
        while not self.follower.is_open or self.follower.standby.applied < end:
            await trio.sleep(0.01)
        found = (await self.follower.carry_out("read", []))[1]
        assert found[: len(wanted)] == wanted
        return list((await self.server.carry_out("read", []))[1])

    async def strike(self, fault: Fault) -> None:
        match fault:
            case "cut":
                self.world.partition("primary", "replica")
            case "heal":
                self.world.heal()
            case "free the log" if self.is_serving:
                changes = self.server.store.changes
                await checkpoint(changes, write_before=changes.log.end)
                await cut_log(changes, self.server.shipper.keep_from())
            case "crash primary" | "power primary" | "crash replica" | "power replica":
                what, name = fault.split()
                node = self.world.node(name)
                (node.crash if what == "crash" else node.power_loss)()
                vars(self).pop("server" if name == "primary" else "follower", None)
                node.restart(self.serve if name == "primary" else self.follow)


def struck(faults: Sequence[Fault], chosen: Settings = SMALL, seed: int = 0, parts: Parts = RIGHT) -> tuple[int, int]:
    """How many commits there were, and how many copies of all pages; what is read on the way has to be a prefix."""

    async def main() -> tuple[int, int]:
        async with detrun.World(latency=Exponential(0.0005), disk=Hardware(sector_bytes=128).disk_of) as world:
            pair = Pair(world, chosen, parts)
            await pair.work(4)
            for fault in faults:
                await trio.sleep(detrun.exponential(0.02))
                await pair.strike(fault)
                await pair.work(2)
            await trio.sleep(0.05)
            world.heal()
            promised = pair.acknowledged
            last = await pair.caught_up()
            copies = pair.follower.copies
        for history in pair.seen:
            assert history == last[: len(history)]
        assert len(last) >= promised
        return len(last), copies

    found: tuple[int, int] = detrun.record(main, seed=seed).result
    return found


def test_a_replica_that_lags_gets_all_pages_and_one_that_does_not_gets_none() -> None:
    commits, copies = struck(["cut", "free the log", "power replica", "heal"], seed=1)
    assert commits > 6
    assert copies > 0
    patient = replace(SMALL, keep_bytes=1 << 20)
    assert struck(["cut", "free the log", "power primary"], patient)[1] == 0


def test_a_synchronous_commit_is_on_the_disk_of_the_replica() -> None:
    async def main() -> tuple[int, float]:
        async with detrun.World(latency=0.01, disk=Hardware().disk_of) as world:
            pair = Pair(world, replace(SMALL, is_synchronous=True))
            await pair.work(0)
            world.partition("primary", "replica")
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pair.server.carry_out, "add", [1, 1, False])
                await trio.sleep(0.1)
                world.heal()
            took = trio.current_time() - began
            pair.primary.power_loss()
            pair.replica.power_loss()
            del pair.follower
            pair.replica.restart(pair.follow)
            while not (hasattr(pair, "follower") and pair.follower.is_open):
                await trio.sleep(0.01)
            history = (await pair.follower.carry_out("read", []))[1]
            return len(history), took

    count, took = detrun.record(main).result
    assert count == 1
    assert took > 0.12


def test_a_batch_leaves_when_it_is_full_or_after_its_delay() -> None:
    def mean_lag(batch: float, delay: float) -> float:
        async def main() -> float:
            async with detrun.World(latency=0.0005, disk=Hardware().disk_of) as world:
                pair = Pair(world, replace(SMALL, replication_batch=batch, replication_delay=delay))
                await pair.work(2)
                await trio.sleep(0.6)
                return max(pair.follower.lags)

        found: float = detrun.record(main).result
        return found

    assert mean_lag(1000.0, 0.2) > 0.2
    assert mean_lag(1.0, 0.2) < 0.1


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(faults=st.lists(st.sampled_from(FAULTS), max_size=6), seed=st.integers(0, 1000))
def test_what_a_replica_shows_is_a_prefix_of_what_the_primary_commits(faults: list[Fault], seed: int) -> None:
    struck(faults, seed=seed)


class OutOfOrder(Batches):
    """Applies what comes when it comes."""

    def next_to_apply(self, applied: int, durable: int) -> Batch | None:
        return self.to_apply.pop(0) if self.to_apply else None


def test_batches_that_are_applied_as_they_come_do_harm() -> None:
    with pytest.raises((KeyError, ValueError, AssertionError)):
        struck(["cut"], parts=Parts(batches=OutOfOrder))
