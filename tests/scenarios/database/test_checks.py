"""Checks of a database: each lets the right one through, and sees a planted bug or a wrong end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.disk.model import PersistenceModel
from detrun_scenarios.database.bugs.ack_before_fsync import AckBeforeFsync
from detrun_scenarios.database.bugs.evicted_while_pinned import EvictedWhilePinned
from detrun_scenarios.database.bugs.latch_order import LatchOrder
from detrun_scenarios.database.bugs.lost_update import LostUpdate
from detrun_scenarios.database.bugs.torn_page_accepted import TornPageAccepted
from detrun_scenarios.database.bugs.write_skew import WriteSkew
from detrun_scenarios.database.checks.durability import DURABLE, check_recovered
from detrun_scenarios.database.checks.history import SERIALIZABLE, History, noted
from detrun_scenarios.database.checks.pages import NO_CIRCLE, STAYING, WHOLE, checked
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.recovery import recover
from detrun_scenarios.database.log.writer import DIRECTORY, open_log
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.volume import open_volume
from detrun_scenarios.database.transactions.conflicts import Conflicts
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.transaction import ABORTED, Level, Transaction
from detrun_scenarios.database.tree.btree import Tree
from detrun_scenarios.database.tree.keys import Address

BYTES = 256
COLUMNS = ("id", "owner", "amount")


class Accounts:
    """Rows (id, owner, amount) on a disk whose server can crash, with all checks.

    Attributes:
        store: of the present start.
    """

    store: Store

    def __init__(
        self,
        *,
        level: Level = "serializable",
        transaction: type[Transaction] = Transaction,
        conflicts: type[Conflicts] = Conflicts,
        pool: type[BufferPool] = BufferPool,
        tree: type[Tree] = Tree,
        frames: int = 24,
    ) -> None:
        latency = DiskLatency(read_seconds=0.0005, write_seconds=0.0005, fsync_seconds=0.002)
        self.disk = Disk(latency=latency, model=PersistenceModel(sector_bytes=64))
        self.history = History()
        self.level: Level = level
        self.transaction = noted(transaction, self.history)
        self.conflicts, self.pool, self.tree, self.frames = conflicts, checked(pool), tree, frames

    async def open(self, count: int = 4) -> None:
        """Recover, and check what is there; make the table and so many rows at first."""
        log = await open_log(self.disk)
        volume = await open_volume(self.disk, f"{DIRECTORY}/pages", BYTES)
        await self.disk.fsync_directory(DIRECTORY)
        changes = Changes(self.pool(volume, log, {"heap": self.frames, "index": self.frames}), log)
        self.store = Store(changes, conflicts=self.conflicts(), tree=self.tree)
        await recover(changes)
        await self.store.load()
        if self.store.tables:
            await check_recovered(self.store, self.history)
            return
        await self.store.create_table("accounts", COLUMNS, {"id": ("id",), "owner": ("owner",)}, ("id",))
        one = self.begin()
        for number in range(count):
            await self.insert(one, number)
        await one.commit()

    def begin(self) -> Transaction:
        return self.transaction(self.store, self.level)

    async def insert(self, one: Transaction, number: int, owner: str | None = None) -> Address:
        return await one.insert(
            self.store.tables["accounts"], (number, f"owner{number % 3}" if owner is None else owner, 0)
        )

    async def amount(self, one: Transaction, number: int) -> Any:
        (found,) = await one.get(self.store.tables["accounts"], "id", [number])
        return found.row[2]

    async def add(self, one: Transaction, number: int, amount: int) -> None:
        table = self.store.tables["accounts"]
        (found,) = await one.get(table, "id", [number])
        await trio.sleep(detrun.uniform(0.0, 0.002))
        await one.update(table, found, (*found.row[:2], found.row[2] + amount))

    async def client(self, works: Sequence[Callable[[Transaction], Awaitable[None]]]) -> int:
        """One transaction after the other; how many were committed."""
        done = 0
        for work in works:
            one = self.begin()
            try:
                await work(one)
                await one.commit()
                done += 1
            except ABORTED:
                await one.roll_back()
        return done

    async def mixed(self, rows: int) -> None:
        """Read two accounts, and change one of them, or put a new one in."""

        async def work(one: Transaction) -> None:
            await self.amount(one, detrun.choice(rows))
            await trio.sleep(detrun.uniform(0.0, 0.002))
            await self.add(one, detrun.choice(rows), 1)
            if detrun.bernoulli(0.4):
                await self.insert(one, 100 + one.number)

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(self.client, [work] * 4)

    async def filled(self) -> None:
        """Put many rows in at the same time."""

        async def work(one: Transaction) -> None:
            for number in range(8):
                await self.insert(one, 100 * one.number + number)

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(self.client, [work])

    async def ended(self) -> None:
        """Everything that is checked at the end."""
        self.history.check(self.level)
        for index in self.store.tables["accounts"].indexes.values():
            await index.tree._check()


def run_of(crashes: int = 0, rows: int = 4, **parts: Any) -> Callable[[], Awaitable[None]]:
    async def main() -> None:
        accounts = Accounts(**parts)
        await accounts.open(rows)
        for _ in range(crashes):
            with trio.move_on_after(detrun.uniform(0.02, 0.06)):
                await accounts.mixed(rows)
            accounts.disk.power_loss()
            await accounts.open()
        await accounts.filled()
        await accounts.mixed(rows)
        await accounts.ended()

    return main


def seen(main: Callable[[], Awaitable[None]], seeds: int) -> str:
    """The name of what was violated first."""
    for seed in range(seeds):
        try:
            detrun.record(main, seed=seed)
        except AssertionViolatedError as error:
            return error.name
    return "nothing"


@pytest.mark.parametrize("level", ["snapshot", "serializable", "2pl"])
def test_the_right_database_passes(level: Level) -> None:
    assert seen(run_of(level=level, crashes=2), 2) == "nothing"


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"conflicts": WriteSkew}, SERIALIZABLE),
        ({"transaction": LostUpdate, "level": "snapshot"}, SERIALIZABLE),
        ({"transaction": AckBeforeFsync, "crashes": 2}, DURABLE),
        ({"pool": TornPageAccepted, "crashes": 2, "frames": 6}, WHOLE),
        ({"pool": EvictedWhilePinned, "frames": 6, "rows": 8}, STAYING),
        ({"tree": LatchOrder}, NO_CIRCLE),
    ],
)
def test_a_planted_bug_is_seen(parts: dict[str, Any], name: str) -> None:
    assert seen(run_of(**parts), 40) == name
