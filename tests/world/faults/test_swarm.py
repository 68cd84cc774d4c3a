"""Swarms: a plan for each seed, classes off at random, budgets kept; and the liveness phase after them."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun import world as w
from detrun.world.faults.kinds import FAULT_KINDS
from detrun.world.faults.swarm import CLASSES, DAMAGING, down_most

NODES = ("a", "b", "c", "d", "e")

swarms = st.builds(
    lambda count, faults, budget, seconds: w.Swarm(
        nodes=NODES[:count], faults=faults, down_max=None if budget is None else min(budget, count), seconds=seconds
    ),
    st.integers(1, 5),
    st.integers(0, 20),
    st.none() | st.integers(0, 3),
    st.floats(0.5, 100.0),
)
seeds = st.integers(0, 2**63)


@given(swarm=swarms, seed=seeds)
def test_a_plan_is_a_function_of_swarm_and_seed(swarm, seed):
    assert swarm.plan(seed) == swarm.plan(seed)


@given(swarm=swarms, seed=seeds)
def test_every_fault_of_a_plan_ends_in_time(swarm, seed):
    for fault in swarm.plan(seed):
        lasts = getattr(fault, "lasts_seconds", None) or getattr(fault, "down_seconds", None)
        assert 0 <= fault.latest + (lasts or 0.0) <= swarm.seconds + 1e-5
        assert lasts is not None or fault.kind == "buggify"


@given(swarm=swarms, seed=seeds)
def test_a_budget_is_kept(swarm, seed):
    """Counted anew, at every moment at which a fault begins, from the plan alone."""
    if swarm.down_max is not None:
        assert down_most(swarm.plan(seed), swarm.nodes) <= swarm.down_max


def test_without_a_budget_more_go_down():
    swarm = w.Swarm(nodes=NODES, faults=30)
    assert max(down_most(swarm.plan(seed), NODES) for seed in range(50)) > 2


def test_the_count_of_nodes_down_sees_what_is_down():
    """The checker of the budget itself, on plans worked by hand."""
    crashed = w.FaultPlan((w.Crash(node="a", at=1, down_seconds=2), w.Pause(node="b", at=2, lasts_seconds=1)))
    assert down_most(crashed, NODES) == 2
    assert down_most(crashed.replaced(1, at=3.5), NODES) == 1
    assert down_most(crashed.replaced(1, node="a"), NODES) == 1
    cut = w.FaultPlan(
        (w.Partition(groups=(("a", "b"), ("c", "d", "e")), at=0, lasts_seconds=1), w.Crash(node="c", at=0))
    )
    assert down_most(cut, NODES) == 3
    damaged = w.FaultPlan(
        (
            w.DiskFault(node="a", fault=DAMAGING[0], rate=1, at=0, lasts_seconds=1),
            w.Crash(node="b", at=9, down_seconds=1),
        )
    )
    assert down_most(damaged, NODES) == 2
    assert down_most(w.FaultPlan((w.DiskFault(node="a", fault="slow", rate=1, at=0),)), NODES) == 0
    assert down_most(w.FaultPlan((w.Partition(shape="majorities ring", at=0),)), NODES) == 2


def test_classes_are_on_in_half_of_the_plans_and_independent():
    """Over 400 seeds each count is binomial(400, 1/2): outside 200 ± 50 with probability 6e-7, for 16 classes 1e-5."""
    on = [set(w.Swarm(nodes=NODES).classes(seed)) for seed in range(400)]
    for name in CLASSES:
        assert abs(sum(name in one for one in on) - 200) <= 50, name
    both = sum({"crash", "partition"} <= one for one in on)
    assert abs(both - 100) <= 45  # binomial(400, 1/4): five standard deviations


def test_every_class_is_drawn_and_a_class_of_weight_zero_never_is():
    kinds: Counter[str] = Counter()
    for seed in range(200):
        kinds.update(fault.kind for fault in w.Swarm(nodes=NODES).plan(seed))
    assert set(kinds) == set(FAULT_KINDS) - {"restart", "resume", "clock_step", "upgrade"}
    only = w.Swarm(nodes=NODES, weights={name: 0.0 for name in CLASSES if name != "loss"})
    assert {fault.kind for seed in range(50) for fault in only.plan(seed)} == {"loss"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"nodes": ()}, "nodes=()"),
        ({"nodes": ("a", "a")}, "each once"),
        ({"nodes": ("a",), "down_max": 2}, "down_max=2 of 1"),
        ({"nodes": ("a",), "seconds": 0}, "seconds=0"),
        ({"nodes": ("a",), "on_probability": 2}, "on_probability=2"),
        ({"nodes": ("a",), "weights": {"crush": 1}}, "weights['crush']"),
    ],
)
def test_a_swarm_that_cannot_be_is_refused(arguments, part):
    with pytest.raises(detrun.UsageError) as raised:
        w.Swarm(**arguments)
    assert part in str(raised.value)


# In a world.


async def counting_system(plan, lossy_recovery=False):
    """Three nodes each tell the others what they have counted; all must come to know everything once all is healed."""
    known: dict[str, set[str]] = {}

    async def member():
        me = detrun.this_node()
        if lossy_recovery and me.starts > 1:
            return  # a node that does not come back
        known[me.name] = {me.name}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gossip, me)
            while True:
                known[me.name] |= set(await me.receive())

    async def gossip(me):
        while True:
            for node in me.world.nodes:
                if node is not me:
                    me.send(node, tuple(sorted(known[me.name])))
            await trio.sleep(0.1)

    async with detrun.World(latency=0.01) as world:
        for name in "abc":
            world.node(name).start(member)
        async with w.inject(plan, world) as injection:
            await trio.sleep(5.0)
            took = await detrun.liveness(lambda: all(known[name] == {*"abc"} for name in "abc"), within=2.0)
            assert all(node.is_running or lossy_recovery for node in world.nodes)
            return took, injection.plan


def test_a_system_that_can_recover_converges_after_every_plan():
    swarm = w.Swarm(nodes=("a", "b", "c"), seconds=5.0)
    for seed in range(12):
        took, plan = detrun.record(counting_system, swarm, seed=seed).result
        assert 0 <= took < 2.0
        assert plan == swarm.plan(seed)


def test_a_system_that_cannot_recover_is_found_out():
    plan = w.FaultPlan((w.Crash(node="b", at=0.001, allow_no_effect=True),))
    with pytest.raises(
        w.NotConvergedError, match=r"within 2 s after everything was mended at 5 s.*last returned False"
    ):
        detrun.record(counting_system, plan, True)


def test_liveness_mends_everything():
    async def idle():
        await trio.sleep_forever()

    async def done():
        await trio.sleep(0.0)

    async def main():
        async with detrun.World(latency=0.01, loss=0.5) as world:
            for name in NODES:
                world.node(name).start(idle)
            world.node("client").start(done)
            await world.node("client").ended()
            world.node("a").crash()
            world.node("b").power_loss()
            world.node("c").pause()
            world.partition("a", ["b", "c"])
            world.clog("d")
            world.node("e").disk.faults.set(read_error=1.0)
            plan = w.FaultPlan((w.Buggify(enabled=1.0, fires=1.0, at=0.0), w.Crash(node="d", at=50.0)))
            async with w.inject(plan, world, allow_no_effect=True):
                await trio.sleep(1.0)
                assert detrun.buggify("site")

                async def check():
                    await trio.sleep(0.5)
                    return True

                assert await detrun.liveness(check, within=100.0) == 0.5
                assert not detrun.buggify("site")
                await trio.sleep(99.0)
                assert all(world.node(name).is_running and not world.node(name).is_paused for name in NODES)
                assert not world.node("client").is_running  # it had ended, no fault took it down
                assert not any(link.partitioned or link.clogs or link.loss for link in world.network.links.values())
                assert not world.node("e").disk.faults.probabilities

    detrun.record(main)


def test_liveness_passes_on_what_a_check_asserts_last():
    async def main():
        async with detrun.World() as world:
            world.node("a")

            def check():
                assert trio.current_time() > 99, "too early"

            await detrun.liveness(check, within=1.0)

    with pytest.raises(w.NotConvergedError, match="too early") as raised:
        detrun.record(main)
    assert isinstance(raised.value.__cause__, AssertionError)


@pytest.mark.parametrize("arguments", [{"within": 0}, {"within": 1, "poll_seconds": 0}])
def test_liveness_without_time_is_refused(arguments):
    async def main():
        async with detrun.World():
            await detrun.liveness(lambda: True, **arguments)

    with pytest.raises(detrun.UsageError, match="positive"):
        detrun.record(main)
