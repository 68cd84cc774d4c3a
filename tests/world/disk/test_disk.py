"""A disk in a run: time, room, crashes, power losses, and every fault with what it does and its twin without it."""

from __future__ import annotations

import errno
import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.errors import UsageError
from detrun.world.disk.crash_states import crash_states
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.disk.faults import KINDS, DiskFaults
from detrun.world.disk.model import PersistenceModel
from detrun.world.fault_counts import FaultCounts


def run(main, *args, seed=0):
    return detrun.record(main, *args, seed=seed).result


async def write(disk: Disk, path: str, data: bytes, *, sync: bool = True) -> None:
    async with await disk.open_file(path, "rb+" if await disk.exists(path) else "wb", 0) as file:
        await file.write(data)
        if sync:
            await file.fsync()


async def content(disk: Disk, path: str) -> bytes:
    async with await disk.open_file(path, "rb", 0) as file:
        return bytes(await file.read())


# Crash and power loss.


def test_a_crash_of_the_process_keeps_the_page_cache_and_a_power_loss_does_not():
    async def main():
        disk = Disk(tree={"/f": b"old"})
        await write(disk, "/f", b"new", sync=False)
        disk.crash()
        after_crash = await content(disk, "/f")
        disk.power_loss(survivors=())
        return after_crash, await content(disk, "/f")

    assert run(main) == (b"new", b"old")


def test_what_was_synced_survives_every_power_loss_and_what_was_not_survives_some():
    async def main():
        disk = Disk(tree={"/f": b"0", "/g": b"0"})
        await write(disk, "/f", b"1")
        await write(disk, "/g", b"1", sync=False)
        disk.power_loss()
        return disk.tree()["/f"], disk.tree()["/g"]

    seen = {run(main, seed=seed) for seed in range(30)}  # each outcome of g has chance 1/2: missed with chance 2**-29
    assert seen == {(b"1", b"1"), (b"1", b"0")}


def test_power_losses_repeat_with_the_seed_and_in_a_replay():
    async def main():
        disk = Disk()
        for index in range(6):
            await write(disk, f"/{index}", bytes([index]) * 2000, sync=index % 2 == 0)
        disk.power_loss()
        return disk.tree()

    first = detrun.record(main, seed=5)
    assert detrun.record(main, seed=5).digest == first.digest
    assert detrun.replay(main, recording=first.recording).result == first.result
    assert len({str(detrun.record(main, seed=seed).result) for seed in range(10)}) > 5


def test_a_long_unsynced_workload_is_written_back_and_stays_bounded():
    async def main():
        disk = Disk(model=PersistenceModel(pending_changes_max=100))
        for index in range(300):
            await write(disk, f"/{index % 7}", bytes([index % 256]), sync=False)
            assert len(disk.file_system.state.pending) <= 100
            disk.file_system._check()
        disk.power_loss(survivors=())
        return disk.tree()

    assert run(main).keys() == {f"/{index}" for index in range(7)}


def test_temporary_files_leave_nothing_behind():
    async def main():
        disk = Disk()
        for index in range(200):
            await write(disk, f"/{index}", b"x" * 600)
            await disk.fsync_directory()
            await disk.unlink(f"/{index}")
            await disk.fsync_directory()
        return len(disk.file_system.state.durable.contents), disk.file_system.used_sectors

    files, used = run(main)
    assert files < 40
    assert used == 0


# Room.


def test_a_full_disk_takes_what_fits_and_then_refuses():
    async def main():
        disk = Disk(capacity_bytes=1024)  # two sectors
        async with await disk.open_file("/f", "wb", 0) as file:
            wrote = await file.write(b"x" * 1500)
            with pytest.raises(OSError, match="space") as caught:
                await file.write(b"y")
        disk.file_system._check()
        await disk.unlink("/f")
        await write(disk, "/g", b"z" * 1024)
        return wrote, caught.value.errno

    assert run(main) == (1024, errno.ENOSPC)


def test_a_buffered_write_to_a_full_disk_fails_when_it_is_flushed():
    async def main():
        disk = Disk(capacity_bytes=512)
        file = await disk.open_file("/f", "wb")
        await file.write(b"x" * 600)
        with pytest.raises(OSError, match="space"):
            await file.flush()
        with pytest.raises(OSError, match="space"):
            await file.aclose()
        return await content(disk, "/f")

    assert run(main) == b"x" * 512


# Time.


def test_calls_take_their_time_and_queue_at_the_device():
    async def main():
        disk = Disk(latency=DiskLatency(fsync_seconds=2.0, bytes_per_second=512.0), tree={"/a": b"", "/b": b""})
        ended = []

        async def one(path):
            await write(disk, path, b"x")  # a sector each: 2 seconds, and 1 for its bytes
            ended.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "/a")
            nursery.start_soon(one, "/b")
        return ended

    assert run(main) == [3.0, 6.0]


def test_an_fsync_makes_durable_what_was_written_before_it_began():
    async def main():
        disk = Disk(latency=DiskLatency(fsync_seconds=1.0), tree={"/f": b"0"})
        file = await disk.open_file("/f", "rb+", 0)

        async def overwrite():
            await trio.sleep(0.5)
            await write(disk, "/f", b"2", sync=False)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(overwrite)
            await file.write(b"1")
            await file.fsync()
        return disk.durable_tree()["/f"], disk.tree()["/f"]

    assert run(main) == (b"1", b"2")


def test_an_fsync_that_a_power_loss_interrupts_made_nothing_durable():
    async def main():
        disk = Disk(latency=DiskLatency(fsync_seconds=1.0), tree={"/f": b"0"})

        async def cut():
            await trio.sleep(0.5)
            disk.power_loss(survivors=())

        returned = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut)
            with trio.move_on_after(10):
                file = await disk.open_file("/f", "rb+", 0)
                await file.write(b"1")
                await file.fsync()
                returned = True  # a process that is gone must not go on and tell of it
        return disk.durable_tree()["/f"], returned

    assert run(main) == (b"0", False)


def test_how_long_a_write_takes_is_differentiable_in_the_latencies_and_in_the_queue():
    """Two writers queue, so the second one ends after both of their writes: d = 1 and 2, and the bytes' time -2b/v²."""

    async def main(params):
        latency = DiskLatency(fsync_seconds=params["fsync"], bytes_per_second=params["speed"])
        disk = Disk(latency=latency, tree={"/a": b"", "/b": b""})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, disk, "/a", b"x")
            nursery.start_soon(write, disk, "/b", b"x")
        return trio.current_time()

    gradient = detrun.gradient(main, {"fsync": 0.25, "speed": 2048.0}, seed=1)
    assert gradient.value == 2 * (0.25 + 512 / 2048)
    assert gradient.grads["fsync"] == pytest.approx(2.0, rel=1e-12)
    assert gradient.grads["speed"] == pytest.approx(-2 * 512 / 2048.0**2, rel=1e-12)
    # The second came while the first had all of its time yet to take.
    margins = [one.margin for one in gradient.diagnostics.nearest_margins if one.kind == "disk queue"]
    assert margins == [pytest.approx(0.5)]


def test_drawn_latencies_are_differentiable_in_their_mean():
    async def main(params):
        mean = params["mean"]
        disk = Disk(latency=DiskLatency(fsync_seconds=lambda: detrun.exponential(mean)), tree={"/a": b""})
        for _ in range(5):
            await write(disk, "/a", b"x")
        return trio.current_time()

    gradient = detrun.gradient(main, {"mean": 0.1}, seed=3)
    assert gradient.grads["mean"] == pytest.approx(gradient.value / 0.1, rel=1e-12)  # every draw is mean times a number


# Faults. Each test has its twin: without the order the same program succeeds.


async def lives_through(disk: Disk) -> bytes:
    """Write, sync, write more, lose power: what a correct disk has at the end is ``b"new"``."""
    await write(disk, "/f", b"new")
    disk.power_loss(survivors=())
    return await content(disk, "/f")


def test_without_faults_nothing_goes_wrong():
    disk = Disk(tree={"/f": b"old"})
    assert run(lives_through, disk) == b"new"
    assert not any(disk.faults.counts.values())


def test_an_fsync_that_lies_loses_what_it_promised():
    disk = Disk(tree={"/f": b"old"})
    disk.faults.lose_next_fsync("/f")
    assert run(lives_through, disk) == b"old"
    assert disk.faults.counts["fsync_loss"] == 1


def test_after_a_failed_fsync_the_next_one_succeeds_without_writing_anything():
    """PostgreSQL's fsync problem of 2018: the error is reported once, the pages are clean, a retry does nothing."""

    async def main():
        disk = Disk(tree={"/f": b"old"})
        log = disk.start_log()
        disk.faults.fail_next_fsync()
        async with await disk.open_file("/f", "rb+", 0) as file:
            await file.write(b"new")
            with pytest.raises(OSError, match=r"Input/output error") as caught:
                await file.fsync()
            await file.fsync()  # succeeds
        cached = await content(disk, "/f")
        possible = [state.tree["/f"] for state in crash_states(log).at(len(log))]
        disk.drop_caches()
        evicted = await content(disk, "/f")
        disk.power_loss()
        return caught.value.errno, cached, possible, evicted, await content(disk, "/f")

    assert run(main) == (errno.EIO, b"new", [b"old"], b"old", b"old")


def test_after_a_failed_fsync_writing_the_same_place_again_saves_it():
    async def main():
        disk = Disk(tree={"/f": b"old"})
        disk.faults.fail_next_fsync()
        async with await disk.open_file("/f", "rb+", 0) as file:
            await file.write(b"new")
            with pytest.raises(OSError, match=r"Input/output error"):
                await file.fsync()
            await file.seek(2)
            await file.write(b"W")
            await file.fsync()
        disk.power_loss(survivors=())
        return await content(disk, "/f")

    assert run(main) == b"neW"  # a sector is written whole, so the lost bytes come along


def test_a_sector_may_be_torn_where_the_disk_does_not_even_promise_sectors():
    async def main():
        disk = Disk(tree={"/f": b"o" * 512})
        disk.faults.order("torn_sector")
        await write(disk, "/f", b"n" * 512, sync=False)
        disk.power_loss(survivors=list(disk.file_system.state.pending))
        return await content(disk, "/f")

    torn = [run(main, seed=seed) for seed in range(5)]
    assert all(one == b"n" * one.count(b"n") + b"o" * one.count(b"o") for one in torn)
    assert len({one.count(b"n") for one in torn}) > 1


def test_a_bit_that_flips_at_rest_shows_only_when_the_cache_is_gone():
    async def main():
        disk = Disk(tree={"/f": bytes(512)})
        disk.faults.order("bit_flip_at_rest")
        await write(disk, "/f", b"\1" * 512)
        cached = await content(disk, "/f")
        disk.drop_caches()
        read = await content(disk, "/f")
        return cached == b"\1" * 512, sum((a ^ 1).bit_count() for a in read)

    assert run(main) == (True, 1)


def test_a_bit_that_flips_on_reading_is_right_the_next_time():
    async def main():
        disk = Disk(tree={"/f": bytes(16)})
        disk.faults.order("bit_flip_on_read")
        return sum(map(int.bit_count, await content(disk, "/f"))), await content(disk, "/f")

    assert run(main) == (1, bytes(16))


def test_a_bit_can_be_flipped_by_hand():
    disk = Disk(tree={"/f": bytes(600)})
    disk.flip_bit("/f", 8 * 550 + 3)
    disk.power_loss(survivors=())
    assert disk.tree()["/f"] == bytes(550) + b"\x08" + bytes(49)


def test_a_misdirected_write_hits_another_sector_and_leaves_its_own():
    async def main():
        disk = Disk(tree={"/f": b"f" * 512, "/g": b"g" * 512})
        disk.faults.order("misdirected_write")
        await write(disk, "/f", b"F" * 512)
        disk.power_loss(survivors=())
        return disk.tree()

    assert run(main) == {"/f": b"f" * 512, "/g": b"F" * 512}


@pytest.mark.parametrize(("kind", "number"), [("write_error", errno.EIO), ("no_space", errno.ENOSPC)])
def test_a_failing_write_writes_nothing(kind, number):
    async def main():
        disk = Disk(tree={"/f": b"old"})
        disk.faults.order(kind, "f")
        with pytest.raises(OSError, match="f") as caught:
            await write(disk, "/f", b"new")
        after = await content(disk, "/f")
        await write(disk, "/f", b"new")
        return caught.value.errno, after, await content(disk, "/f")

    assert run(main) == (number, b"old", b"new")


def test_a_failing_read_fails_once_and_only_for_its_file():
    async def main():
        disk = Disk(tree={"/f": b"f", "/g": b"g"})
        disk.faults.fail_next_read("/f")
        first = await content(disk, "/g")
        with pytest.raises(OSError, match=r"Input/output error"):
            await content(disk, "/f")
        return first, await content(disk, "/f")

    assert run(main) == (b"g", b"f")


def test_a_slow_call_takes_longer():
    async def main():
        disk = Disk(tree={"/f": b"f"}, faults=DiskFaults(slow_seconds=3.0))
        disk.faults.order("slow")
        await disk.listdir()
        first = trio.current_time()
        await disk.listdir()
        return first, trio.current_time()

    assert run(main) == (3.0, 3.0)


def test_faults_strike_with_their_probability_below_their_path_and_are_told():
    """1,000 chances at 0.3: the count lies within 5 standard deviations but for a chance of 6e-7."""
    told = FaultCounts()

    async def main():
        faults = DiskFaults(below="/data", read_error=0.3)
        faults.report_to(told)
        disk = Disk(tree={"/data/f": b"f", "/other": b"o"}, faults=faults)
        failed = 0
        for _ in range(1000):
            await content(disk, "/other")
            async with await disk.open_file("/data/f", "rb", 0) as file:
                try:
                    await file.read(1)
                except OSError:
                    failed += 1
        return failed, faults.counts["read_error"]

    failed, counted = run(main)
    assert dict(told) == {"disk read error": failed}
    assert counted == failed
    assert abs(failed - 300) < 5 * math.sqrt(1000 * 0.3 * 0.7)


def test_switching_one_fault_on_leaves_the_others_as_they_were():
    async def reads(extra):
        disk = Disk(tree={"/f": b"f"}, faults=DiskFaults(read_error=0.5, **extra))
        struck = []
        for _ in range(40):
            async with await disk.open_file("/f", "rb", 0) as file:
                try:
                    await file.read(1)
                    struck.append(False)
                except OSError:
                    struck.append(True)
        return struck

    assert run(reads, {}) == run(reads, {"bit_flip_on_read": 0.5, "slow": 0.5})
    assert True in run(reads, {})
    assert False in run(reads, {})


def test_a_fault_that_was_asked_for_and_never_struck_is_outstanding():
    async def main():
        disk = Disk(tree={"/f": b"f"}, faults=DiskFaults(fsync_loss=1.0))
        disk.faults.fail_next_read("/f")
        before = disk.faults.outstanding()
        await write(disk, "/f", b"g")
        after = disk.faults.outstanding()
        disk.faults.clear()
        return before, after, disk.faults.outstanding()

    assert run(main) == (["fsync_loss", "read_error"], ["read_error"], [])


@given(probability=st.floats(0, 1), kind=st.sampled_from(KINDS))
def test_a_zero_probability_never_strikes_and_one_always_does(probability, kind):
    faults = DiskFaults(**{kind: round(probability)})
    assert faults.strikes(kind, "/f", lambda _: 2**63) is bool(round(probability))


def test_wrong_faults_are_refused_by_name():
    with pytest.raises(UsageError, match="choose from fsync_loss"):
        DiskFaults(fsync_los=0.1)
    with pytest.raises(UsageError, match="not a probability"):
        DiskFaults(slow=1.5)
    with pytest.raises(UsageError, match="no kind"):
        DiskFaults().order("earthquake")


def test_a_probability_that_is_a_value_is_a_discontinuity_site():
    async def main(params):
        disk = Disk(tree={"/f": b"f"}, faults=DiskFaults(slow=params["p"], slow_seconds=params["slow"]))
        for _ in range(10):
            await disk.listdir()
        return trio.current_time()

    gradient = detrun.gradient(main, {"p": 0.5, "slow": 2.0}, seed=0)
    assert gradient.grads["p"] == 0.0
    assert gradient.grads["slow"] == gradient.value / 2.0 > 0
    assert 0 < gradient.validity["p"].radius < 0.5
    assert "disk fault" in str(gradient.validity["p"].site)
