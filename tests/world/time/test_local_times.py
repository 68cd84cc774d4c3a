"""Local times: code on a node reads the node's clocks through the functions that it would use anywhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
import trio

import detrun
from detrun.world.time.clocks import NodeClock


def in_world(program, *, drift=0.25, skew=0.0, driver=None):
    async def main():
        found = []
        async with detrun.World(clock=lambda node: NodeClock(node.name, drift=drift, skew=skew)) as world:
            node = world.node("fast")
            assert node.clock.drift == drift

            async def run():
                found.append(await program())

            node.start(run)
            if driver is not None:
                await driver(node)
            await node.ended()
            return found[0], trio.current_time(), time.monotonic()

    return detrun.record(main).result


@pytest.mark.parametrize("sleep", [trio.sleep, detrun.sleep])
def test_a_sleep_takes_as_long_as_the_node_believes(sleep):
    async def program():
        await sleep(10.0)
        return trio.current_time(), time.monotonic()

    assert in_world(program) == ((10.0, 10.0), 8.0, 8.0)


def test_deadlines_go_by_the_clock_of_the_node_that_set_them():
    async def program():
        with trio.move_on_after(5.0) as scope:
            await trio.sleep_forever()
        return scope.cancelled_caught, trio.current_time()

    assert in_world(program) == ((True, 5.0), 4.0, 4.0)


def test_the_wall_clock_has_its_skew_and_the_monotonic_one_has_not():
    async def program():
        before = time.time(), time.monotonic(), datetime.now(UTC).timestamp()
        time.sleep(1.0)
        return [after - first for first, after in zip(before, (time.time(), time.monotonic()), strict=False)], before

    (elapsed, before), true, _ = in_world(program, skew=100.0)
    assert elapsed == [1.0, 1.0]
    assert before[0] == before[2] == 946_684_800.0 + 100.0
    assert before[1] == 0.0
    assert true == 0.8


def test_a_change_of_drift_moves_the_deadlines_that_are_set():
    async def program():
        await trio.sleep(4.0)

    async def driver(node):
        await trio.sleep(2.0)
        node.clock.set_drift(1.0)

    assert in_world(program, drift=0.0, driver=driver)[1] == 3.0


def test_a_timeout_against_another_nodes_sleep_is_differentiable_in_both_drifts():
    async def main(params):
        async with detrun.World(clock=lambda node: NodeClock(node.name, drift=params[node.name])) as world:
            for name in ("a", "b"):
                node = world.node(name)
                node.clock.monotonic()
                node.start(trio.sleep, 10.0)
                await node.ended()
            return trio.current_time()

    gradient = detrun.gradient(main, {"a": 0.25, "b": 0.6})
    assert gradient.value == pytest.approx(10 / 1.25 + 10 / 1.6)
    assert gradient.grads["a"] == pytest.approx(-10 / 1.25**2)
    assert gradient.grads["b"] == pytest.approx(-10 / 1.6**2)
