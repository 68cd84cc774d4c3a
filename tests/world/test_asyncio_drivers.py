"""Worlds that a program of asyncio's opens and drives, and the parts of detrun that its tasks await."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import detrun
from detrun.world import FaultPlan, Partition


async def member(node: Any, other: str, got: list[Any]) -> None:
    """Write to the disk, then exchange messages with the other, each waited for with a time-out."""
    disk = node.disk
    await disk.mkdir("/notes")
    async with await disk.open_file("/notes/today", "wb") as file:
        await file.write(b"hello")
        await file.fsync()
    for number in range(3):
        node.send(other, (node.name, number))
        try:
            async with asyncio.timeout(0.9):
                got.append(await node.receive())
        except TimeoutError:
            got.append(f"{node.name} timed out")
        await detrun.sleep(1)


async def system() -> tuple[list[Any], float]:
    got: list[Any] = []
    async with detrun.World(latency=0.01) as world:
        one, other = world.node("one"), world.node("other")
        one.start(member, one, "other", got)
        other.start(member, other, "one", got)
        plan = FaultPlan([Partition(groups=(("one",), ("other",)), at=0.5, lasts_seconds=1.0)])
        async with detrun.world.inject(plan, world):
            await asyncio.gather(one.ended(), other.ended())
    return got, asyncio.get_running_loop().time()


def test_a_task_of_asyncios_drives_a_world_with_mailboxes_disks_and_faults() -> None:
    run = detrun.record(system)
    answers, seconds = run.result
    assert seconds == pytest.approx(3.92)
    assert sorted(map(str, answers)) == [
        *("('one', 0)", "('one', 2)", "('other', 0)", "('other', 2)", "one timed out", "other timed out"),
    ]
    assert detrun.replay(system, recording=run.recording).digest == run.digest
    assert {detrun.record(system, seed=seed).result[1] for seed in range(5)} == {seconds}


def test_a_message_that_comes_to_a_task_that_is_being_cancelled_is_kept() -> None:
    async def receiver(got: list[str]) -> None:
        node = detrun.this_node()
        try:
            async with asyncio.timeout(0.01):
                got.append(await node.receive())
        except TimeoutError:
            got.append(f"{await node.receive()} after all")

    async def main() -> list[str]:
        got: list[str] = []
        async with detrun.World(latency=0.01) as world:
            world.node("a").start(receiver, got)
            world.driver.send("a", "hello")
            await world.node("a").ended()
        return got

    # Message and time-out come at the same moment.
    found = {tuple(detrun.record(main, seed=seed).result) for seed in range(12)}
    assert found <= {("hello",), ("hello after all",)}
    assert len(found) == 2


def test_what_fails_in_a_node_or_in_the_block_comes_out_of_the_world_alone() -> None:
    async def fails() -> None:
        await asyncio.sleep(1)
        raise ValueError("in the node")

    async def main(in_block: bool) -> None:
        async with detrun.World() as world:
            world.node("a").start(fails)
            await asyncio.sleep(0.5 if in_block else 5)
            raise KeyError("in the block")

    async def cancelled() -> str:
        task = asyncio.create_task(main(False))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.wait([task])
        return "cancelled" if task.cancelled() else "not"

    with pytest.raises(ValueError, match="in the node") as caught:
        detrun.record(main, False)
    assert caught.value.__notes__ == ["in node 'a' (10.0.0.2), virtual time 1 s"]
    with pytest.raises(KeyError, match="in the block"):
        detrun.record(main, True)
    assert detrun.record(cancelled, backend="asyncio").result == "cancelled"


def test_cancelling_a_wait_for_a_node_cancels_the_wait_only() -> None:
    async def program() -> None:
        await asyncio.sleep(2)

    async def main() -> tuple[str, float]:
        async with detrun.World() as world:
            node = world.node("a")
            node.start(program)
            try:
                await asyncio.wait_for(node.ended(), 1)
                found = "ended"
            except TimeoutError:
                found = "timed out"
            await node.ended()
            return found, asyncio.get_running_loop().time()

    assert detrun.record(main).result == ("timed out", 2)
