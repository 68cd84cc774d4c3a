"""Plans carried out: every fault takes effect, ends, and is counted; a fault without effect is reported."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

import detrun
from detrun import world as w
from detrun.world.faults.injection import describe_outcomes
from detrun.world.faults.kinds import FAULT_KINDS

NODES = ("a", "b", "c", "d", "e")


async def echo():
    while True:
        envelope = await detrun.this_node().receive_envelope()
        detrun.this_node().send(envelope.sender, envelope.message)


async def chatter():
    """Write to every other node ten times a second, waiting for no answer."""
    me = detrun.this_node()
    for number in range(100):
        for node in me.world.nodes:
            if node is not me:
                me.send(node, number)
        await trio.sleep(0.1)


async def disks():
    disk = detrun.this_node().disk
    for _ in range(100):
        with suppress(OSError):
            async with await disk.open_file("/log", "ab") as file:
                await file.write(b"x" * 100)
                await file.flush()
                await file.fsync()
        await trio.sleep(0.2)
        detrun.buggify("rare", probability=0.5)


async def system(plan, seconds=7.0, look=None, allow_no_effect=False):
    """Five nodes that talk and write; return the counts of the world and the outcome of each fault."""
    async with detrun.World(latency=0.01) as world:
        for name in NODES:
            node = world.node(name)
            node.start(echo)
            if name in "ab":
                node.start(disks)
            if name == "a":
                node.start(chatter)
            if name == "d":
                node.offer("v2", echo)
        async with w.inject(plan, world, allow_no_effect=allow_no_effect) as injection:
            if look is not None:
                await look(world)
            await trio.sleep_until(seconds)
            return dict(world.faults), describe_outcomes(injection)


ONE_OF_EACH = w.FaultPlan(
    (
        w.Crash(node="c", at=1.05, down_seconds=1.0),
        w.PowerLoss(node="d", at=1.05, down_seconds=1.0),
        w.Crash(node="e", at=1.05),
        w.Restart(node="e", at=2.05),
        w.Upgrade(node="*", at=2.55),
        w.Pause(node="e", at=3.05),
        w.Resume(node="e", at=3.55),
        w.Partition(shape="halves", at=4.05, lasts_seconds=0.5),
        w.Clog(source="a", at=4.65, lasts_seconds=0.3),
        w.LinkLatency(mean_seconds=0.05, at=5.05, lasts_seconds=0.5),
        w.Loss(rate=0.5, at=5.05, lasts_seconds=0.5),
        w.Duplication(rate=0.5, at=5.55, lasts_seconds=0.5),
        w.Reordering(rate=0.5, at=5.55, lasts_seconds=0.5, delay_seconds=0.2),
        w.SlowTail(rate=0.5, at=5.55, lasts_seconds=0.5, delay_seconds=0.2),
        w.Bandwidth(bytes_per_second=100_000.0, at=6.05, lasts_seconds=0.5),
        w.DiskFault(node="a", fault="fsync_loss", rate=1.0, at=6.05, lasts_seconds=0.5),
        w.DiskFault(node="b", fault="write_error", times=2, at=6.05),
        w.ClockStep(node="a", seconds=-3.0, at=6.05),
        w.ClockSkew(node="b", seconds=3.0, at=6.05, lasts_seconds=0.5),
        w.ClockDrift(node="b", rate=0.01, at=6.05, lasts_seconds=0.5),
        w.Buggify(enabled=1.0, at=0.0),
    )
)


COUNTED = [
    *(
        "crash",
        "power loss",
        "restart",
        "upgrade",
        "pause",
        "resume",
        "partition",
        "clog",
        "latency",
        "loss",
        "duplication",
    ),
    *("reordering", "slow tail", "bandwidth", "clock step", "clock drift", "buggify rare"),
]


def test_one_of_each_takes_effect_and_is_counted():
    counts, outcomes = detrun.record(system, ONE_OF_EACH, seed=1).result
    assert {outcome["kind"] for outcome in outcomes} == set(FAULT_KINDS) - {
        "reset"
    }  # resets have a test of their own, on TCP
    assert all(outcome["changes"] > 0 for outcome in outcomes), outcomes
    for name in COUNTED:
        assert counts[name] > 0, name


def test_a_run_with_faults_is_its_own_replay():
    run = detrun.record(system, ONE_OF_EACH, seed=5)
    assert detrun.replay(system, ONE_OF_EACH, recording=run.recording).digest == run.digest


def test_another_plan_is_another_run():
    run = detrun.record(system, ONE_OF_EACH, seed=5)
    with pytest.raises(detrun.DivergenceError):
        detrun.replay(system, ONE_OF_EACH.without(0), recording=run.recording)


def test_resets_tear_connections_down():
    async def main():
        async def serve(stream):
            with suppress(trio.BrokenResourceError):
                async for data in stream:
                    await stream.send_all(data)

        async def client():
            resets = 0
            for _ in range(40):
                try:
                    stream = await trio.open_tcp_stream("server", 80)
                    async with stream:
                        await stream.send_all(b"hello")
                        await stream.receive_some()
                except (trio.BrokenResourceError, OSError):
                    resets += 1
            seen.append(resets)

        seen: list[int] = []
        plan = w.FaultPlan((w.Reset(rate=0.2, at=0.0),))
        async with detrun.World(latency=0.01) as world:
            world.node("server").start(trio.serve_tcp, serve, 80)
            async with w.inject(plan, world):
                await trio.sleep(0.1)
                world.node("client").start(client)
                await world.node("client").ended()
        return seen[0], world.faults["reset"]

    seen, counted = detrun.record(main).result
    assert 0 < seen <= counted


# The negative twins: faults that do nothing are found out.


@pytest.mark.parametrize(
    "fault",
    [
        w.Partition(groups=(("d",), ("e",)), at=1.0, lasts_seconds=1.0),  # these two never talk
        w.Loss(rate=1.0, source="d", destination="e", at=1.0),
        w.Clog(source="d", destination="e", at=1.0, lasts_seconds=1.0),
        w.Crash(node="a", at=100.0),  # never reached
        w.Resume(node="a", at=1.0),
        w.DiskFault(node="a", fault="no_space", times=1, path="/other", at=1.0),
        w.ClockStep(node="a", seconds=0.0, at=1.0),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_fault_without_effect_fails_the_run_unless_allowed(fault):
    busy = w.LinkLatency(seconds=0.02, at=0.0)
    with pytest.raises(w.FaultWithoutEffectError) as raised:
        detrun.record(system, w.FaultPlan((busy, fault)), 3.0)
    assert raised.value.names == (f"{fault.kind}[0]",)
    allowed = w.FaultPlan((busy, fault)).replaced(1, allow_no_effect=True)
    detrun.record(system, allowed, 3.0)
    detrun.record(system, w.FaultPlan((busy, fault)), 3.0, None, True)


def test_a_fault_that_was_drawn_not_to_happen_is_no_failure():
    plan = w.FaultPlan((w.Crash(node="c", at=0.1, probability=0.5),))
    crashes = [detrun.record(system, plan, 0.2, seed=seed).result[0].get("crash", 0) for seed in range(16)]
    assert set(crashes) == {0, 1}  # a fair coin gives only one of them in 16 tosses with probability 2 ** -15


def test_a_crash_of_a_node_that_is_down_took_no_effect():
    plan = w.FaultPlan((w.Crash(node="c", at=1.0), w.Crash(node="c", at=1.5)))
    with pytest.raises(w.FaultWithoutEffectError, match=r"crash\[1\] on c"):
        detrun.record(system, plan, 2.0)


def test_the_error_that_a_fault_found_is_not_hidden_by_faults_that_found_nothing():
    async def look(world):
        await trio.sleep(1.5)
        raise ValueError("found")

    plan = w.FaultPlan((w.Crash(node="c", at=1.0), w.Crash(node="c", at=100.0)))
    with pytest.raises(ValueError, match="found") as raised:
        detrun.record(system, plan, 3.0, look)
    assert any("crash[0] on c" in note and "crash[1]" not in note for note in raised.value.__notes__)


def test_an_unknown_node_is_named_when_its_time_has_come():
    with pytest.raises(w.FaultPlanError, match="no node is called 'z'"):
        detrun.record(system, w.FaultPlan((w.Crash(node="z", at=1.0),)), 3.0)


# Faults end, and overlap.


def test_at_the_end_of_the_block_everything_ends_but_what_is_down_stays_down():
    async def main():
        async with detrun.World(latency=0.01) as world:
            for name in NODES:
                world.node(name).start(echo)
            plan = w.FaultPlan(
                (
                    w.Loss(rate=0.5, at=0.0),
                    w.Pause(node="a", at=0.0),
                    w.Clog(source="b", at=0.0),
                    w.Partition(shape="bridge", at=0.0),
                    w.Crash(node="c", at=0.0, down_seconds=50.0),
                )
            )
            async with w.inject(plan, world, allow_no_effect=True):
                await trio.sleep(1.0)
                assert world.node("a").is_paused
                assert world.link("b", "c").clogs == 1
                assert any(link.partitioned for link in world.network.links.values())
            links = list(world.network.links.values())
            assert not any(link.partitioned or link.clogs or link.loss for link in links)
            assert not world.node("a").is_paused
            assert not world.node("c").is_running

    detrun.record(main)


def test_leaving_a_fault_out_leaves_times_and_victims_of_the_others():
    def outcomes(plan):
        _, found = detrun.record(system, plan, 1.2, None, True, seed=9).result
        return {one["name"]: (one["begun"], one["victim"]) for one in found}

    plan = w.FaultPlan(tuple(w.Pause(node="*", between=(0.0, 1.0), lasts_seconds=0.01) for _ in range(4)))
    whole = outcomes(plan)
    for index in range(4):
        part = outcomes(plan.without(index))
        # A victim is one of the nodes that are fit, which another fault may change; the times are the same for sure.
        assert {name: begun for name, (begun, _) in part.items()} == {name: whole[name][0] for name in part}


# From a failure to the fault that caused it.


async def loses_its_memory(plan):
    """A register in memory only: wrong after a restart, and after nothing else."""
    register: dict[str, int] = {}

    async def server():
        register["value"] = 0
        while True:
            envelope = await detrun.this_node().receive_envelope()
            register["value"] += 1
            detrun.this_node().send(envelope.sender, register["value"])

    async def client():
        me, last = detrun.this_node(), 0
        for _ in range(60):
            me.send("server", "add")
            with trio.move_on_after(0.2):
                value = await me.receive()
                assert value >= last, "the register went back"
                last = value
            await trio.sleep(0.05)

    async with detrun.World(latency=0.01) as world:
        world.node("server").start(server)
        world.node("bystander").start(echo)
        world.node("client").start(client)
        async with w.inject(plan, world, allow_no_effect=True):
            await world.node("client").ended()


def test_a_failing_plan_is_shrunk_to_the_crash_that_matters():
    plan = w.FaultPlan(
        (
            w.Pause(node="bystander", at=0.3, lasts_seconds=0.1),
            w.LinkLatency(seconds=0.03, at=0.2, lasts_seconds=1.0),
            w.Crash(node="server", at=1.0, down_seconds=0.5),
            w.Loss(rate=0.1, at=0.0, lasts_seconds=2.0),
            w.Crash(node="bystander", at=0.5, down_seconds=0.5),
            w.Partition(groups=(("client",), ("server",)), at=0.4, lasts_seconds=0.2),
        )
    )
    run = detrun.record(loses_its_memory, plan, seed=2, raise_errors=False)
    assert isinstance(run.exception, AssertionError)
    fails = detrun.fails_again(
        loses_its_memory,
        [plan],
        recording=run.recording,
        seeds=[2],
        same=lambda error: isinstance(error, AssertionError),
    )
    shrunk = detrun.shrink_plan(fails, plan)
    assert [(fault.kind, fault.name) for fault in shrunk.plan] == [("crash", "crash[0]")]
    assert shrunk.plan[0].down_seconds < 0.5


def test_what_fails_again_needs_a_plan_among_the_arguments():
    with pytest.raises(detrun.UsageError, match="takes exactly one"):
        detrun.fails_again(loses_its_memory, [])
