"""What planned faults do to nodes, disks and clocks: whom they strike, what they count, what their end leaves alone."""

from __future__ import annotations

import errno

import pytest
import trio

import detrun
from detrun import world as w

NODES = ("a", "b", "c", "d", "e")


def test_faults_of_one_disk_strike_where_each_says_and_leave_nothing_behind():
    plan = w.FaultPlan(
        (
            w.DiskFault(node="a", fault="read_error", rate=1.0, path="/bad", at=0.0, lasts_seconds=3.0),
            w.DiskFault(node="a", fault="write_error", rate=1.0, path="worse", at=0.0, lasts_seconds=3.0),
            w.DiskFault(node="a", fault="slow", rate=1.0, slow_seconds=0.5, at=1.0, lasts_seconds=1.0),
            w.DiskFault(node="a", fault="no_space", times=3, path="/full", at=0.0, lasts_seconds=3.0),
            w.DiskFault(node="a", fault="no_space", times=1, at=0.0, lasts_seconds=0.5),
        )
    )

    async def attempt(path, *, reads):
        start = trio.current_time()
        try:
            await (path.read_bytes() if reads else path.write_bytes(b"x"))
        except OSError as error:
            return errno.errorcode[error.errno]
        return trio.current_time() - start

    async def main():
        seen = []
        async with detrun.World() as world:
            node = world.node("a")
            node.start(trio.sleep_forever)
            good, bad, worse, full = (node.disk.path(name) for name in ("good", "bad", "worse", "full"))
            for path in (good, bad, worse, full):
                await path.write_bytes(b"")
            faults = node.disk.faults
            faults.slow_seconds = 7.0
            faults.order("no_space", "/full", times=2)  # of another owner, and older
            async with w.inject(plan, world):
                await trio.sleep(0.1)
                seen.append([await attempt(path, reads=True) for path in (good, bad, worse)])
                seen.append([await attempt(path, reads=False) for path in (good, good, bad, worse, full)])
                await trio.sleep(1.0)
                seen.append(await attempt(good, reads=True))
                await trio.sleep(2.5)
            seen.append(
                (
                    faults.slow_seconds,
                    [one.path for one in faults.ordered["no_space"]],
                    dict(faults.places),
                    faults.below,
                )
            )
            seen.append([await attempt(bad, reads=True), await attempt(worse, reads=False)])
        return seen

    assert detrun.record(main).result == [
        [0, "EIO", 0],
        ["ENOSPC", 0, 0, "EIO", "ENOSPC"],
        1.5,  # opening, reading, and reading the end
        (7.0, ["/full"], {}, "/"),
        [0, 0],
    ]


@pytest.mark.parametrize(("restarts_after", "expected"), [(1.0, [0.0, 2.0]), (None, [0.0, 5.0])])
def test_the_end_of_a_planned_crash_leaves_a_node_alone_that_was_restarted_before(restarts_after, expected):
    async def main():
        starts = []

        async def server():
            starts.append(trio.current_time())
            await trio.sleep_forever()

        async with w.World() as world:
            node = world.node("a")
            node.start(server)
            async with w.inject(w.FaultPlan((w.Crash(node="a", at=1.0, down_seconds=4.0),)), world):
                if restarts_after is not None:
                    await trio.sleep(1.0 + restarts_after)
                    node.restart()  # a supervisor was faster
                await trio.sleep(10.0)
        return starts

    assert detrun.record(main).result == expected


def test_what_happens_at_once_is_counted_at_once_and_what_lasts_when_it_ends():
    plan = w.FaultPlan(
        (
            w.Crash(node="a", at=0.5),
            w.Restart(node="a", at=1.0),
            w.Pause(node="b", at=0.5),
            w.Resume(node="b", at=1.0),
            w.ClockStep(node="c", at=0.5, seconds=3.0),
            w.Crash(node="d", at=0.5, down_seconds=1.0),
            w.Crash(node="e", at=0.5, down_seconds=5.0),
            w.ClockSkew(node="c", at=0.5, seconds=1.0, lasts_seconds=5.0),
        )
    )

    async def main():
        async with w.World() as world:
            for name in NODES:
                world.node(name).start(trio.sleep_forever)
            async with w.inject(plan, world) as injection:
                await trio.sleep(2.0)
                during = [outcome.changes for outcome in injection.outcomes]
            return during, [outcome.changes for outcome in injection.outcomes]

    during, after = detrun.record(main).result
    assert during == [1, 1, 0, 1, 1, 1, 0, 0]  # the pause has no end of its own
    assert after == [1] * 8


def test_a_fault_of_any_node_strikes_one_that_it_can_do_something_to():
    """Five times each among five nodes: were victims drawn among all of them, some would be struck twice."""
    kinds = [w.Pause, w.Resume, w.Upgrade, w.Crash, w.Restart, w.Crash, w.PowerLoss]
    plan = w.FaultPlan(
        tuple(kind(node="*", at=1.0 + moment + 0.1 * time) for moment, kind in enumerate(kinds) for time in range(5))
    )

    async def main():
        seen = []
        async with w.World() as world:
            nodes = [world.node(name) for name in NODES]
            for node in nodes:
                node.start(trio.sleep_forever)
                node.offer("v2", trio.sleep_forever)
            async with w.inject(plan, world):
                for moment in range(len(kinds)):
                    await trio.sleep_until(1.9 + moment)
                    seen.append(
                        [
                            sum(getattr(node, what) for node in nodes)
                            for what in ("is_paused", "is_running", "is_powered")
                        ]
                    )
        return seen, [node.version for node in nodes]

    seen, versions = detrun.record(main).result
    assert seen == [[5, 5, 5], [0, 5, 5], [0, 5, 5], [0, 0, 5], [0, 5, 5], [0, 0, 5], [0, 0, 0]]
    assert versions == ["v2"] * 5


@pytest.mark.parametrize("restarts", [False, True])
def test_the_end_of_a_planned_pause_resumes_only_what_it_paused(restarts):
    """The program pauses the node, too: before the fault, or another process on it after a restart."""

    async def main():
        async with w.World() as world:
            node = world.node("a")
            node.start(trio.sleep_forever)
            if not restarts:
                node.pause()
            plan = w.FaultPlan((w.Pause(node="a", at=1.0, lasts_seconds=2.0),))
            async with w.inject(plan, world, allow_no_effect=True) as injection:
                await trio.sleep(2.0)
                if restarts:
                    node.crash()
                    node.restart()
                    node.pause()
                await trio.sleep(2.0)
                return node.is_paused, injection.outcomes[0].changes

    assert detrun.record(main).result == (True, int(restarts))


@pytest.mark.parametrize(
    ("offered", "to", "missing"),
    [("v2", "v3", "the version 'v3'"), (None, "v3", "the version 'v3'"), (None, "", "a version")],
)
def test_an_upgrade_to_what_was_never_offered_says_so(offered, to, missing):
    async def main():
        async with w.World() as world:
            node = world.node("a")
            node.start(trio.sleep_forever)
            if offered:
                node.offer(offered, trio.sleep_forever)
            async with w.inject(w.FaultPlan((w.Upgrade(node="a", to=to, at=1.0),)), world):
                await trio.sleep(2.0)

    with pytest.raises(w.FaultPlanError, match=f"was offered {missing};"):
        detrun.record(main)


def test_a_step_of_a_clock_stays_and_a_skew_and_a_drift_end():
    plan = w.FaultPlan(
        (
            w.ClockStep(node="a", at=1.0, seconds=3.0),
            w.ClockSkew(node="b", at=1.0, seconds=7.0, lasts_seconds=2.0),
            w.ClockDrift(node="c", at=1.0, rate=0.25, lasts_seconds=2.0),
        )
    )

    async def main():
        seen = []
        async with w.World() as world:
            nodes = [world.node(name) for name in ("a", "b", "c")]
            for node in nodes:
                node.start(trio.sleep_forever)
            async with w.inject(plan, world):
                for moment in (0.5, 2.0, 5.0):
                    await trio.sleep_until(moment)
                    seen.append([node.clock.wall_since_start() - moment for node in nodes])
            return seen, [world.faults[name] for name in ("clock step", "clock drift")]

    seen, counts = detrun.record(main).result
    assert seen == [[0.0, 0.0, 0.0], [3.0, 7.0, 0.25], [3.0, 0.0, 0.5]]
    assert counts == [3, 2]  # a skew is two steps, there and back


@pytest.mark.parametrize(("fault", "name"), [(w.Pause, "pause"), (w.Crash, "crash")])
def test_a_fault_that_can_do_nothing_to_its_node_is_armed_and_has_not_struck(fault, name):
    async def main():
        async with w.World() as world:
            world.node("a")  # on which nothing was started
            async with w.inject(w.FaultPlan((fault(node="a", at=1.0),)), world, allow_no_effect=True):
                await trio.sleep(2.0)
            return world.faults.unfired(), dict(world.faults)

    assert detrun.record(main).result == ((name,), {})
