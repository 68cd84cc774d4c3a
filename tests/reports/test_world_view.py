"""The world of a report: nodes that crash, disks that lose, messages that are under way or held back."""

from __future__ import annotations

import os
from typing import Any

import trio

import detrun
from detrun.reports.report import run_page, told_by_program
from detrun.world import World
from tests.reports.pages import data_of


async def writes_and_crashes() -> None:
    async def write() -> None:
        with open("/log", "ab", buffering=0) as file:
            file.write(b"synced")
            os.fsync(file.fileno())
            file.write(b" and not")
        await trio.sleep_forever()

    async def asks() -> None:
        with trio.move_on_after(2):
            detrun.this_node().send("server", b"hello")
            await trio.sleep_forever()

    async with World(latency=0.5) as world:
        server = world.node("server")
        server.start(write)
        world.node("client").start(asks)
        await trio.sleep(1.25)
        server.power_loss()
        await trio.sleep(1)
        server.restart()
        await trio.sleep(1)


def seen(main: Any, seed: int = 0) -> list[dict[str, Any]]:
    """The moments that a page has of a program's world."""
    run = detrun.record(main, seed=seed, raise_errors=False)
    assert run.program is not None
    world = data_of(run_page(run.recording, told_by_program(run.recording, *run.program)))["world"]
    return [] if world is None else list(world["moments"])


def test_a_node_without_power_is_off_until_it_is_restarted_and_its_disk_shows_what_a_loss_leaves() -> None:
    moments = seen(writes_and_crashes)
    assert [moment["step"] for moment in moments] == sorted({moment["step"] for moment in moments})
    servers = {moment["time"]: node for moment in moments for node in moment["nodes"] if node["name"] == "server"}
    assert {node["state"] for time, node in servers.items() if time < 1.25} == {"up"}
    assert {node["state"] for time, node in servers.items() if 1.25 < time < 2.25} == {"off"}
    files = [path for moment in moments for node in moment["nodes"] for path in node["disk"]]
    assert ["/log", 14, None] in files  # its name is not synced, so that a loss may take the whole file
    assert ["/log", 20, 12] in files  # after a loss that left six bytes, and the restart


def test_what_is_under_way_is_counted_by_link_and_listed_with_its_arrival() -> None:
    busy = [moment for moment in seen(writes_and_crashes) if moment["under_way"]]
    assert busy
    for moment in busy:
        assert sum(count for _, _, count, _ in moment["links"]) == moment["under_way"] >= len(moment["messages"])
        for route, _, _, arrives, _ in moment["messages"]:
            assert route == "client -> server"
            assert arrives is None or arrives >= moment["time"]


def test_a_run_without_a_world_has_none() -> None:
    async def main() -> None:
        await trio.sleep(1)

    assert seen(main) == []
