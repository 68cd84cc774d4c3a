"""Disks and clocks as parts of nodes: crashes reach them, faults are counted, files and time services work across."""

from __future__ import annotations

import pytest
import trio

import detrun
from detrun.errors import HiddenStateError
from detrun.world.disk import patched_files
from detrun.world.disk.disk import Disk
from detrun.world.disk.model import PersistenceModel
from detrun.world.time.clocks import NodeClock
from detrun.world.time.synchronized_time import SynchronizedClock, serve_time


def run(main, seed=0):
    return detrun.record(main, seed=seed).result


async def save(text, sync):
    async with await trio.open_file("/notes", "w") as file:
        await file.write(text)
        await file.flush()
        if sync:
            await file.fsync()
            await detrun.this_node().disk.fsync_directory("/")
        await trio.sleep_forever()


def test_the_disk_of_a_node_outlives_its_process_and_the_page_cache_only_a_crash():
    async def main():
        found = []
        async with detrun.World() as world:
            node = world.node("a")
            for sync, end in ((False, node.crash), (True, node.power_loss)):
                node.restart(save, f"synced={sync}", sync)
                await trio.sleep(1.0)
                end()
                found.append(node.disk.tree())
        return found

    assert run(main) == [{"/notes": b"synced=False"}, {"/notes": b"synced=True"}]


def test_a_power_loss_takes_what_was_not_synced_under_some_seeds():
    async def main():
        async with detrun.World() as world:
            node = world.node("a")
            node.start(save, "x", False)
            await trio.sleep(1.0)
            node.power_loss()
            return node.disk.tree()

    seen = [run(main, seed) for seed in range(20)]  # each outcome has chance of at least 1/4: missed with chance 1e-2…
    assert {} in seen  # …of all three, and these seeds are fixed
    assert {"/notes": b"x"} in seen


def test_trio_open_file_means_the_disk_of_the_node_that_calls_and_the_real_one_elsewhere(tmp_path):
    (tmp_path / "real").write_text("real")
    original = trio.open_file

    async def on_node(name):
        async with await trio.open_file("/name", "w") as file:
            await file.write(name)
        await (patched_files.path("copies") / "name").parent.mkdir()
        async with await patched_files.open_file("/copies/name", "w") as file:
            await file.write(name)

    async def main():
        async with detrun.World() as world:
            for name in ("a", "b"):
                world.node(name).start(on_node, name)
            await trio.sleep(1.0)
            return {node.name: node.disk.tree() for node in world.nodes}

    assert run(main) == {
        name: {"/copies": None, "/copies/name": name.encode(), "/name": name.encode()} for name in ("a", "b")
    }
    assert trio.open_file is original

    async def read():
        async with await trio.open_file(tmp_path / "real") as file:
            return await file.read()

    assert trio.run(read) == "real"


def test_paths_of_trio_mean_the_disk_of_the_node_that_calls_and_the_real_one_elsewhere(tmp_path):
    (tmp_path / "real").write_text("real")
    methods = dict(vars(trio.Path))

    async def on_node():
        directory = trio.Path("notes")
        await directory.mkdir()
        await (directory / "one").write_text("text")
        moved = await (directory / "one").rename("/notes/two")
        async with await moved.open("a") as file:
            await file.write(" and more")
        with pytest.raises(HiddenStateError, match=r"trio.Path.chmod on node 'a': a simulated disk has"):
            await moved.chmod(0o600)
        seen.extend([type(moved), str(moved), await moved.read_text(), str(await trio.Path.cwd())])
        seen.extend([[str(path) for path in await directory.iterdir()], str(await directory.absolute())])
        seen.extend([await (tmp / "real").exists(), [str(path) for path in await trio.Path("/").glob("*/*")]])

    tmp = trio.Path(tmp_path)
    seen = []

    async def main():
        async with detrun.World() as world:
            world.node("a").start(on_node)
            await world.node("a").ended()
            seen.append(await (tmp / "real").read_text())
            return world.node("a").disk.tree()

    assert run(main) == {"/notes": None, "/notes/two": b"text and more"}
    assert seen == [
        *(type(tmp), "/notes/two", "text and more", "/"),
        *(["notes/two"], "/notes", False, ["/notes/two"], "real"),
    ]
    assert dict(vars(trio.Path)) == methods


def test_faults_of_disks_and_clocks_are_counted_by_the_world_and_those_that_never_strike_are_named():
    async def main():
        async with detrun.World() as world:
            node = world.node("a")
            node.disk.faults.lose_next_fsync()
            node.disk.faults.set(read_error=0.5)
            node.clock.step(3.0)
            node.start(save, "x", True)
            await trio.sleep(1.0)
            return dict(world.faults), world.faults.unfired()

    counts, unfired = run(main)
    assert counts == {"clock step": 1, "disk fsync loss": 1}
    assert unfired == ("disk read error",)


def test_a_world_can_give_its_nodes_other_disks_and_clocks():
    async def main():
        world = detrun.World(
            disk=lambda node: Disk(node.name, model=PersistenceModel(sector_bytes=4096)),
            clock=lambda node: NodeClock(node.name, skew=float(len(node.name))),
        )
        async with world:
            return world.node("abc").clock.error(), world.node("a").disk.file_system.state.model.sector_bytes

    assert run(main) == (3.0, 4096)


def test_a_machine_that_boots_counts_from_zero_and_keeps_its_calendar():
    async def main():
        async with detrun.World() as world:
            node = world.node("a")
            node.clock.step(5.0)
            node.start(trio.sleep_forever)
            await trio.sleep(10.0)
            node.power_loss()
            node.restart()
            await trio.sleep(1.0)
            return node.clock.monotonic(), node.clock.error()

    assert run(main) == (1.0, 5.0)


@pytest.mark.parametrize("seed", range(5))
def test_time_servers_tell_a_machine_the_time_within_bounds_although_one_of_them_lies(seed):
    async def main():
        skews = {"good": 0.01, "better": -0.001, "liar": 500.0, "client": -30.0}
        world = detrun.World(
            latency=detrun.world.Exponential(0.02),
            clock=lambda node: NodeClock(node.name, skew=skews.get(node.name, 0.0), drift=1e-4),
        )
        checked = []

        async def client():
            node = detrun.this_node()
            synchronized = SynchronizedClock(node.clock, drift_bound=2e-4)
            for _ in range(3):
                await synchronized.synchronize(node, ["good", "better", "liar"])
                await trio.sleep(10.0)
                interval = synchronized.now()
                true_wall = node.clock.now() - node.clock.error()
                checked.append((interval.contains(true_wall), interval.width < 0.5, abs(node.clock.error()) > 29))

        async with world:
            for name in ("good", "better", "liar"):
                # The servers' own clocks drift too: by 0.01 at the start and 1e-4 a second for less than a minute.
                world.node(name).start(serve_time, world.node(name), 0.02)
            world.node("client").start(client)
            await world.node("client").ended()
        return checked

    assert run(main, seed) == [(True, True, True)] * 3
