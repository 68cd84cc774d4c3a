"""The world of a report: nodes that crash, disks that lose, messages that are under way or held back."""

from __future__ import annotations

import os
from typing import Any

import pytest
import trio

import detrun
from detrun.reports import world_bands, world_view
from detrun.reports.report import run_page, told_by_program
from detrun.reports.world_bands import WorldBands
from detrun.world import World
from detrun.world.faults.injection import inject
from detrun.world.faults.kinds import LinkLatency
from detrun.world.faults.plan import FaultPlan
from detrun.world.network.settings import LinkSettings
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


def world_in(main: Any, seed: int = 0) -> dict[str, Any] | None:
    """What a page has of a program's world."""
    run = detrun.record(main, seed=seed, raise_errors=False)
    assert run.program is not None
    found: dict[str, Any] | None
    found = data_of(run_page(run.recording, told_by_program(run.recording, *run.program)))["world"]
    return found


def seen(main: Any, seed: int = 0) -> list[dict[str, Any]]:
    """The moments that a page has of it."""
    world = world_in(main, seed)
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


async def is_cut_and_slowed() -> None:
    """A partition by hand from 1 to 2 s; from 2.75 s on a plan slows the way to the server, over which bytes queue."""
    slow = LinkLatency(name="slow", source="client", destination="server", at=2.75, seconds=0.5, lasts_seconds=0.5)
    plan = FaultPlan((slow,))

    async def asks() -> None:
        while True:
            detrun.this_node().send("server", b"hello", size=1000)
            await trio.sleep(0.125)

    async with World(latency=0.25, bandwidth=4000.0) as world:
        world.node("server").start(trio.sleep_forever)
        world.node("client").start(asks)
        async with inject(plan, world):
            await trio.sleep(1)
            world.partition("client", "server")
            await trio.sleep(1)
            world.heal()
            await trio.sleep(2)


def test_bands_say_exactly_from_when_to_when_links_were_cut_or_changed() -> None:
    world = world_in(is_cut_and_slowed)
    assert world is not None
    bands = world["bands"]
    cut, slowed = bands["links"]
    assert cut[:3] == ["partitioned", 1.0, 2.0]
    assert set(cut[3]) == {"client->server", "server->client"}
    assert slowed[:4] == ["latency 0.5 s", 2.75, 3.25, ["client->server"]]
    (planned,) = bands["planned"]
    assert planned[:2] == ["slow", "latency"]
    assert planned[3:5] == [2.75, 3.25]
    times = [step.time for step in detrun.record(is_cut_and_slowed).recording.iter_steps()]
    for first, last, begin, end in ((*cut[4:], 1.0, 2.0), (*slowed[4:], 2.75, 3.25)):
        assert times[first] <= begin <= times[first + 1]
        assert times[last] <= end <= times[last + 1]
    assert {(state, name) for state, name, *_ in bands["nodes"]} >= {("up", "server"), ("up", "client")}


def test_links_have_their_settings_and_what_waits_in_their_queues() -> None:
    world = world_in(is_cut_and_slowed)
    assert world is not None
    ways = [(moment["time"], one) for moment in world["moments"] for one in moment["settings"] if one[0] == "client"]
    assert {one[3] for time, one in ways if 1.0 < time < 2.0} == {"partitioned"}
    assert {one[3] for time, one in ways if time > 2.125} == {""}
    # A message of 1,000 bytes takes a quarter of a second, and there is one every eighth.
    assert max(one[4] for _, one in ways) >= 2_000
    assert {world["texts"][one[2]] for _, one in ways} == {
        "latency 0.25 s, 4000 bytes/s",
        "latency 0.5 s, 4000 bytes/s",
    }


def test_a_node_that_is_off_has_a_band_from_the_loss_to_the_restart() -> None:
    world = world_in(writes_and_crashes)
    assert world is not None
    assert ["off", "server", 1.25, 2.25] in [one[:4] for one in world["bands"]["nodes"]]
    assert world["bands"]["links"] == []


async def is_slow_for_most_of_the_run() -> None:
    """Links are set by hand, then slow from soon on to the end; a third node comes while they are."""
    slow = LinkLatency(name="slow", source="client", destination="*", at=1.0, seconds=0.5, lasts_seconds=8.0)
    async with World(latency=0.25) as world:
        client, server = world.node("client"), world.node("server")
        world.link(client, server).configure(loss=0.01)
        async with inject(FaultPlan((slow,)), world):
            await trio.sleep(2)
            world.link(client, world.node("late"))
            await trio.sleep(8)


def test_a_fault_that_lasts_for_most_of_a_run_is_the_band_and_not_what_the_links_were_declared_to_be() -> None:
    world = world_in(is_slow_for_most_of_the_run)
    assert world is not None
    assert [one[:4] for one in world["bands"]["links"]] == [
        ["latency 0.5 s", 1.0, 9.0, ["client->server", "client->driver"]],
        ["latency 0.5 s", 2.0, 9.0, ["client->late"]],
    ]


def test_a_link_is_declared_by_the_end_of_the_instant_at_which_it_is_first_seen() -> None:
    bands = WorldBands()
    declared = LinkSettings(latency=0.1)
    bands._changed("a->b", (False, False, LinkSettings()))
    bands._changed("a->b", (False, False, declared))
    bands._now = 2.0
    bands._changed("a->b", (False, False, LinkSettings(latency=0.1, loss=0.5)))
    bands._now = 9.0
    bands._changed("a->b", (False, False, LinkSettings()))
    bands._changed("c->d", (False, True, declared))
    bands._now = 10.0
    assert [one[:4] for one in bands.document()["links"]] == [
        ["loss 0.5", 2.0, 9.0, ["a->b"]],
        ["clogged", 9.0, 10.0, ["c->d"]],
        ["latency 0 s", 9.0, 10.0, ["a->b"]],
    ]


async def has_many_of_everything() -> None:
    """More files, messages, links and faults than a page shows of each."""

    async def writes() -> None:
        for at in range(20):
            with open(f"/{at}", "wb") as file:
                file.write(b"x")
        await trio.sleep_forever()

    async with World(latency=1.0) as world:
        world.node("many").start(writes)
        for at in range(30):
            world.node(f"node{at}")
            world.node("many").send(f"node{at}", b"hello")
        await trio.sleep(0.5)
        for _ in range(70):
            world.partition("node1", "node2")
            world.node("node1").send("node2", b"lost")
            world.heal()
            await trio.sleep(0.001)


def test_what_a_page_leaves_out_of_a_world_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = world_in(has_many_of_everything)
    assert whole is not None
    links = max(len(moment["settings"]) for moment in whole["moments"])
    monkeypatch.setattr(world_view, "LINKS_MAX", 3)
    monkeypatch.setattr(world_bands, "BANDS_MAX", 2)
    world = world_in(has_many_of_everything)
    assert world is not None
    assert max(node["files_left_out"] for moment in world["moments"] for node in moment["nodes"]) == 8
    moment = max(world["moments"], key=lambda one: int(one["under_way"]))
    assert moment["under_way"] > len(moment["messages"]) == 20
    assert max(moment["links_left_out"] for moment in world["moments"]) == links - 3 > 0
    kept, left = world["bands"], whole["bands"]
    cut = sum(max(len(left[kind]) - 2, 0) for kind in ("links", "nodes", "planned"))
    assert (kept["leftOut"], left["leftOut"], len(kept["nodes"])) == (cut, 0, 2)
    assert cut > 0
    assert world["faults_left_out"] == 35
