"""Faults on roles: a node that is what a predicate says when the fault begins, or the next one that comes to be it."""

from __future__ import annotations

from functools import partial

import pytest
import trio

import detrun
from detrun import world as w
from detrun.world.faults.injection import LOOK_SECONDS, describe_outcomes


async def chatter():
    """Write to every other node a hundred times a second."""
    me = detrun.this_node()
    while True:
        for node in me.world.nodes:
            if node is not me:
                me.send(node, "hello")
        await trio.sleep(0.01)


async def shift(plan, watches=((0.0, "a"), (1.0, "b")), seconds=2.0, look=None, allow_no_effect=False):
    """Three nodes, of which one is on watch at a time, from each of the times on; `look` sees the world at the end."""

    def is_on_watch(node):
        on_watch = [name for since, name in watches if since <= trio.current_time() - began]
        return bool(on_watch) and node.name == on_watch[-1]

    began = trio.current_time()
    async with detrun.World(latency=0.001) as world:
        world.role("watch", is_on_watch)
        for name in "abc":
            world.node(name).start(chatter)
        async with w.inject(plan, world, allow_no_effect=allow_no_effect) as injection:
            await trio.sleep(seconds)
            seen = look(world) if look is not None else None
        return describe_outcomes(injection), seen


def outcome_of(fault, **more):
    return detrun.record(shift, w.FaultPlan((fault,)), **more).result[0][0]


@pytest.mark.parametrize(("at", "victim"), [(0.5, "a"), (1.5, "b")])
def test_a_crash_strikes_the_node_that_has_the_role_then(at, victim):
    found = outcome_of(w.Crash(node="@watch", at=at))
    assert (found["victim"], found["begun"], found["changes"]) == (victim, at, 1)


def test_a_fault_waits_until_a_node_has_the_role_and_its_length_counts_from_there():
    async def late(plan):
        def running(world):
            return world.node("b").is_running

        return await shift(plan, ((1.0, "b"),), seconds=1.35, look=running)

    (found,), is_running = detrun.record(late, w.FaultPlan((w.Crash(node="@watch", at=0.2, down_seconds=0.3),))).result
    assert found["victim"] == "b"
    assert 1.0 <= found["begun"] <= 1.0 + LOOK_SECONDS
    assert is_running  # it would have been started at 0.5, before the crash
    (found,), is_running = detrun.record(late, w.FaultPlan((w.Crash(node="@watch", at=0.2, down_seconds=0.4),))).result
    assert not is_running


def test_a_node_that_does_not_run_has_no_role():
    plan = w.FaultPlan((w.Crash(node="@watch", at=0.1, name="first"), w.Crash(node="@watch", at=0.2, name="second")))
    first, second = detrun.record(shift, plan).result[0]
    assert (first["victim"], second["victim"]) == ("a", "b")
    assert second["begun"] >= 1.0


def test_a_role_cuts_off_its_holder_from_the_others_and_not_from_the_rest():
    def cut(world):
        return {link.name for link in world.network.links.values() if link.partitioned}

    plan = w.FaultPlan((w.Partition(groups=(("@watch",), ("a", "b")), at=0.5, name="cut"),))
    (found,), links = detrun.record(partial(shift, look=cut), plan).result
    assert links == {"a->b", "b->a"}  # to c it talks on, and to itself, too
    assert found["victim"] == "a"


def test_links_from_a_role_stay_those_of_the_node_that_had_it():
    def lossy(world):
        return {link.name for link in world.network.links.values() if link.loss}

    plan = w.FaultPlan((w.Loss(source="@watch", destination="*", rate=0.5, at=0.5),))
    (found,), links = detrun.record(partial(shift, look=lossy), plan).result
    assert links == {"a->b", "a->c", "a->driver"}
    assert found["changes"] > 0


def test_one_of_several_holders_is_drawn():
    async def main(plan):
        async with detrun.World() as world:
            world.role("any", lambda node: node.name != "c")
            for name in "abc":
                world.node(name).start(trio.sleep_forever)
            async with w.inject(plan, world) as injection:
                await trio.sleep(1.0)
            return injection.outcomes[0].victim

    plan = w.FaultPlan((w.Pause(node="@any", at=0.5),))
    assert {detrun.record(main, plan, seed=seed).result for seed in range(40)} == {"a", "b"}


def test_a_run_with_roles_is_its_own_replay_and_a_fault_that_is_left_out_changes_no_other():
    plan = w.FaultPlan(
        (w.Crash(node="@watch", between=(0.0, 0.9)), w.Crash(node="c", between=(0.0, 0.9), name="other"))
    )
    run = detrun.record(shift, plan, seed=3)
    assert detrun.replay(shift, plan, recording=run.recording).digest == run.digest
    alone = detrun.record(shift, plan.without(0), seed=3)
    assert alone.result[0][0]["begun"] == run.result[0][1]["begun"]


def test_a_role_that_no_node_comes_to_have_is_a_fault_without_effect():
    plan = w.FaultPlan((w.Crash(node="@watch", at=0.1),))
    with pytest.raises(
        w.FaultWithoutEffectError, match=r"crash\[0\], which from 0\.1 s on found no node with the role"
    ):
        detrun.record(shift, plan, ())
    detrun.record(partial(shift, allow_no_effect=True), plan, ())


def test_a_role_that_was_not_declared_is_named():
    plan = w.FaultPlan((w.Crash(node="@leader", at=0.1),))
    with pytest.raises(w.FaultPlanError, match=r"@leader is no role of this world, which has watch; declare it"):
        detrun.record(shift, plan)


@pytest.mark.parametrize("name", ["", "@leader", 3])
def test_what_cannot_name_a_role_is_refused(name):
    async def main():
        async with detrun.World() as world:
            world.role(name, lambda node: True)

    with pytest.raises(detrun.UsageError, match="cannot name a role"):
        detrun.record(main)


def test_a_plan_with_roles_is_read_back_from_its_text():
    plan = w.FaultPlan((w.Partition(groups=(("@leader",), ("s*",)), at=1.0), w.Clog(source="@leader", at=1.0)))
    assert w.plan_from_toml(plan.to_toml()) == plan
    assert [fault.roles for fault in plan] == [("leader",), ("leader",)]
    assert w.Crash(node="a", at=1.0).roles == ()
