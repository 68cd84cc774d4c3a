"""What an explanation by an order in virtual time says holds in a program that is written so from the start."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

import trio
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import detrun
from detrun.world import World


@dataclass(frozen=True)
class Writer:
    """Writes its name after a pause: by a message that takes ``latency`` seconds, or by itself where that is None."""

    pause: float
    latency: float | None

    @property
    def comes_at(self) -> float:
        return self.pause + (self.latency or 0.0)


@dataclass(frozen=True)
class Plan:
    """A program that fails where the first writer comes after the last one."""

    writers: tuple[Writer, ...]

    async def __call__(self) -> None:
        store = Store()
        async with World(latency=0.001) as world:
            world.node("store").start(store.live)
            nodes = []
            for number, writer in enumerate(self.writers):
                nodes.append(world.node(f"writer{number}"))
                if writer.latency is not None:
                    world.link(f"writer{number}", "store").latency = writer.latency
                nodes[-1].start(write, writer, number, store)
            for node in nodes:
                await node.ended()
            await trio.sleep(20)
        assert store.order.index(0) < store.order.index(len(self.writers) - 1)


class Store:
    """Keeps the numbers of writers in the order in which they come."""

    def __init__(self) -> None:
        self.order: list[int] = []

    async def live(self) -> None:
        while True:
            number = await detrun.this_node().receive()
            self.order.append(number)


async def write(writer: Writer, number: int, store: Store) -> None:
    await trio.sleep(writer.pause)
    if writer.latency is None:
        store.order.append(number)
    else:
        detrun.this_node().send("store", number)


milliseconds = st.integers(1, 400).map(lambda number: number / 1000)
plans = st.lists(st.builds(Writer, milliseconds, st.none() | milliseconds), min_size=2, max_size=2).map(
    lambda writers: Plan(tuple(writers))
)


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(plans)
def test_a_program_with_the_time_that_is_named_passes_and_the_original_fails(plan: Plan) -> None:
    moments = sorted(writer.comes_at for writer in plan.writers)
    assume(all(later - earlier > 0.0015 for earlier, later in pairwise(moments)))
    if plan.writers[0].comes_at < plan.writers[-1].comes_at:
        plan = Plan(plan.writers[::-1])
    failure = detrun.explore(plan, schedules=1, early_timers=0, directory=None).failure
    assert failure is not None
    text = str(failure.explanation)
    said = re.search(r"(?:message|sleep|time-out).*?writer(\d).* took \S+ s\.\sHad it taken (\S+) s", text)
    assert said is not None, text
    number, seconds = int(said[1]), float(said[2])
    writer = plan.writers[number]
    changed = replace(writer, latency=seconds) if "The message" in text else replace(writer, pause=seconds)
    detrun.record(Plan((*plan.writers[:number], changed, *plan.writers[number + 1 :])), seed=failure.seed)
