"""Programs of libraries in threads, unmodified, that are no pair of a server and a client.

Each function takes the modules of a library and makes programs, by what happens to them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

import detrun
from detrun.world.disk.disk import Disk, DiskLatency

Program = Callable[[], Any]
Strike = Callable[[detrun.World], Awaitable[None]]


def pysyncobj_of_three(pysyncobj: Any, nodes: Any) -> dict[str, Program]:
    class Node(nodes.TCPNode):  # type: ignore[misc, name-defined]  # Any, imported where it is installed
        """The library walks sets of nodes, which hash by their names: their order would differ between processes."""

        def __hash__(self) -> int:
            return int.from_bytes(self.id.encode())

    class Counter(pysyncobj.SyncObj):  # type: ignore[misc, name-defined]  # Any, imported where it is installed
        def __init__(self, name: str, others: list[str]) -> None:
            super().__init__(f"{name}:4000", [f"{one}:4000" for one in others], nodeClass=Node)
            self.value = 0

        @pysyncobj.replicated
        def add(self) -> int:
            self.value += 1
            return self.value

    def member(name: str, others: list[str], got: dict[str, Any]) -> None:
        counter = Counter(name, others)
        time.sleep(5)  # there is a leader
        if name == "a":
            got["first"] = counter.add(sync=True, timeout=4)
        time.sleep(2)  # the partition is over
        if name == "a":
            got["second"] = counter.add(sync=True, timeout=9)
        time.sleep(12)
        got[name] = counter.value

    async def main(strike: Strike) -> dict[str, Any]:
        got: dict[str, Any] = {}
        names = ["a", "b", "c"]
        async with detrun.World(latency=0.002) as world:
            for name in names:
                world.node(name).start(member, name, [one for one in names if one != name], got)
            await trio.sleep(6)
            await strike(world)
            for name in names:
                await world.node(name).ended()
        return got

    async def nothing(world: detrun.World) -> None:
        """No fault."""

    async def cut_off(world: detrun.World) -> None:
        world.partition("a", ["b"])
        await trio.sleep(0.8)
        world.heal()

    async def crash(world: detrun.World) -> None:
        world.node("c").crash()
        await trio.sleep(0.8)
        world.node("c").restart()

    return {"calm": partial(main, nothing), "partition": partial(main, cut_off), "crash": partial(main, crash)}


def sqlalchemy_on_sqlite(sqlalchemy: Any) -> dict[str, Program]:
    def opened() -> Any:
        engine = sqlalchemy.create_engine("sqlite:////bank.db")

        @sqlalchemy.event.listens_for(engine, "connect")
        def durable(connection: Any, _: object) -> None:
            connection.isolation_level = None  # SQLAlchemy's advice: transactions begin where it says so
            connection.execute("PRAGMA journal_mode=WAL").close()
            connection.execute("PRAGMA synchronous=FULL").close()

        @sqlalchemy.event.listens_for(engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    def bank(told: list[Any]) -> None:
        engine = opened()
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE account(name TEXT PRIMARY KEY, money INTEGER)"))
            connection.execute(sqlalchemy.text("INSERT INTO account VALUES ('a', 100), ('b', 0)"))

        def move() -> None:
            while True:
                with engine.begin() as connection:
                    rows = dict(connection.execute(sqlalchemy.text("SELECT name, money FROM account")).all())
                    for name, change in (("a", -1), ("b", 1)):
                        change_one = sqlalchemy.text("UPDATE account SET money = :money WHERE name = :name")
                        connection.execute(change_one, {"name": name, "money": rows[name] + change})
                told.append(1)
                time.sleep(0.1)

        threads = [threading.Thread(target=move) for _ in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def after(found: list[Any]) -> None:
        with opened().begin() as connection:
            found.append(dict(connection.execute(sqlalchemy.text("SELECT name, money FROM account")).all()))

    async def main() -> dict[str, bool]:
        told: list[Any] = []
        found: list[Any] = []
        latency = DiskLatency(fsync_seconds=0.01)
        async with detrun.World(disk=lambda node: Disk(node.name, latency=latency)) as world:
            node = world.node("bank")
            node.start(bank, told)
            await trio.sleep(1.0 + detrun.uniform(0.0, 0.2))
            node.power_loss()
            node.restart(after, found)
            await trio.sleep(5)
        (money,) = found
        return {
            "many": len(told) > 4,
            "kept": sum(money.values()) == 100,
            # A commit of each thread may have come through untold.
            "durable": len(told) <= money["b"] <= len(told) + 2,
        }

    return {"power loss": main}


def pool_of_threads(pools: Any) -> dict[str, Program]:
    def squares() -> list[int]:
        with pools.ThreadPool(3) as threads:
            return list(threads.map(_square_later, range(6)))

    return {"calm": squares, "crash": partial(_on_a_node_that_crashes, squares)}


def joblib_in_threads(joblib: Any) -> dict[str, Program]:
    def squares() -> list[int]:
        calls = (joblib.delayed(_square_later)(number) for number in range(6))
        return list(joblib.Parallel(n_jobs=3, backend="threading")(calls))

    return {"calm": squares, "crash": partial(_on_a_node_that_crashes, squares)}


def _square_later(number: int) -> int:
    time.sleep(0.1)
    return number * number


async def _on_a_node_that_crashes(function: Callable[[], list[int]]) -> list[list[int]]:
    """What the function returns that begins anew after its node has crashed in the midst of it."""
    got: list[list[int]] = []

    def program() -> None:
        got.append(function())

    async with detrun.World() as world:
        node = world.node("worker")
        node.start(program)
        await trio.sleep(0.15)
        node.crash()
        node.restart()
        await node.ended()
    return got
