"""What planned faults do to links: which they strike, and that ends in any order leave a link as it was."""

from __future__ import annotations

import pytest
import trio

import detrun
from detrun import world as w

NODES = ("a", "b", "c", "d", "e")


async def echo():
    while True:
        envelope = await detrun.this_node().receive_envelope()
        detrun.this_node().send(envelope.sender, envelope.message)


def test_a_planned_partition_cuts_the_driver_off_if_it_is_named_and_only_then():
    async def main(groups):
        seen = []
        async with detrun.World(latency=0.01) as world:
            for name in ("a", "b"):
                world.node(name).start(echo)
            plan = w.FaultPlan((w.Partition(groups=groups, at=0.0, lasts_seconds=1.0, allow_no_effect=True),))
            async with w.inject(plan, world):
                await trio.sleep(0.1)
                for name in ("a", "b"):
                    world.driver.send(name, name)
                with trio.move_on_after(0.5):
                    while True:
                        seen.append(await world.driver.receive())
        return sorted(seen)

    assert detrun.record(main, (("driver",), ("a",))).result == ["b"]
    assert detrun.record(main, (("driver",), ("*",))).result == []
    assert detrun.record(main, (("a",), ("*",))).result == ["a", "b"]


def test_overlapping_faults_of_one_link_end_in_any_order():
    plan = w.FaultPlan(
        (
            w.Loss(rate=0.1, at=1.0, lasts_seconds=1.0),
            w.Loss(rate=0.2, at=1.2, lasts_seconds=2.0),
            w.Loss(rate=0.3, at=1.1, lasts_seconds=0.2),
            w.Partition(groups=(("a",), ("b",)), at=1.0, lasts_seconds=1.0),
            w.Partition(groups=(("a",), ("b", "c")), at=1.3, lasts_seconds=1.7),
        )
    )

    async def main():
        seen = []
        async with w.World() as world:
            for name in NODES:
                world.node(name).start(trio.sleep_forever)
            link = world.link("a", "b")
            async with w.inject(plan, world, allow_no_effect=True):
                for moment in (0.5, 1.5, 2.5, 3.5):
                    await trio.sleep_until(moment)
                    seen.append((link.loss, link.partitioned))
        return seen

    assert detrun.record(main).result == [(0.0, False), (0.2, True), (0.2, True), (0.0, False)]


def test_a_one_way_partition_cuts_now_the_one_direction_now_the_other():
    """By a fair coin of the seed: forty seeds agree by chance once in 10**11."""

    async def main():
        async with w.World(latency=0.01) as world:
            for name in "ab":
                world.node(name).start(trio.sleep_forever)
            links = [world.link("a", "b"), world.link("b", "a")]
            cut = w.FaultPlan((w.Partition(shape="halves", one_way=True, at=0.5, lasts_seconds=2.0),))
            async with w.inject(cut, world, allow_no_effect=True):
                await trio.sleep(1.0)
                during = tuple(bool(link.partitioned) for link in links)
                await trio.sleep(2.0)
                assert not any(link.partitioned for link in links)
                return during

    assert {detrun.record(main, seed=seed).result for seed in range(40)} == {(True, False), (False, True)}


async def partitioned(plan, seconds, by_hand=()):
    """The links that are cut in the middle of a plan and after it, of five nodes and the driver."""
    async with w.World() as world:
        for name in NODES:
            world.node(name).start(trio.sleep_forever)
        for one, other in by_hand:
            world.partition([one], [other])
        async with w.inject(plan, world, allow_no_effect=True):
            await trio.sleep(seconds)
            during = {link.name for link in world.network.links.values() if link.partitioned}
        return during, {link.name for link in world.network.links.values() if link.partitioned}


@pytest.mark.parametrize(("shape", "cut"), [("isolate", 4), ("halves", 6), ("bridge", 4), ("majorities ring", 5)])
@pytest.mark.parametrize("seed", range(3))
def test_a_shape_cuts_as_many_pairs_as_its_name_says(shape, cut, seed):
    plan = w.FaultPlan((w.Partition(shape=shape, at=0.5, lasts_seconds=1.0),))
    during, after = detrun.record(partitioned, plan, 1.0, seed=seed).result
    assert len(during) == 2 * cut
    assert after == set()


def test_a_planned_partition_leaves_alone_what_the_program_has_cut():
    plan = w.FaultPlan((w.Partition(groups=(("a",), ("c",), ("d",)), at=0.5, lasts_seconds=1.0),))
    during, after = detrun.record(partitioned, plan, 1.0, [("a", "b")]).result
    by_hand = {"a->b", "b->a"}
    assert during == by_hand | {"a->c", "c->a", "a->d", "d->a", "c->d", "d->c"}
    assert after == by_hand


def test_a_partition_of_a_node_from_itself_is_refused():
    plan = w.FaultPlan((w.Partition(groups=(("a",), ("a",)), at=0.5),))
    with pytest.raises(w.FaultPlanError, match="cuts no link"):
        detrun.record(partitioned, plan, 1.0)


def test_a_fault_strikes_links_of_nodes_that_are_named_later_until_it_ends():
    plan = w.FaultPlan(
        (
            w.Clog(source="a", at=0.5, lasts_seconds=1.0),
            w.LinkLatency(mean_seconds=0.25, source="late*", destination="a", at=0.5, lasts_seconds=1.0),
        )
    )

    async def main():
        def look():
            return {
                (one, other): (world.link(one, other).clogs, len(world.link(one, other).rules))
                for one, other in [("a", "late"), ("late", "a"), ("late", "b")]
            }

        async with w.World(latency=0.01) as world:
            for name in ("a", "b"):
                world.node(name).start(trio.sleep_forever)
            # Without `late` no link matches the second fault when it begins.
            world.node("late0")
            async with w.inject(plan, world, allow_no_effect=True):
                await trio.sleep(1.0)
                world.node("late")
                during = look()
                await trio.sleep(1.0)
                world.node("later")
                after = look()
                return during, after, world.link("a", "later").clogs, len(world.network.on_new_link)

    during, after, clogs, watchers = detrun.record(main).result
    assert during == {("a", "late"): (1, 0), ("late", "a"): (0, 1), ("late", "b"): (0, 0)}
    assert set(after.values()) == {(0, 0)}
    assert clogs == 0
    assert watchers == 0
