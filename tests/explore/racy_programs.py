"""Small programs with bugs of known depth, used by several tests; importable by workers."""

from __future__ import annotations

import trio

import detrun

checkpoint = trio.lowlevel.checkpoint


async def lost_update() -> None:
    """One preemption loses an update; 4 of 6 interleavings do."""
    counter = detrun.Shared(0, name="counter")

    async def add() -> None:
        value = counter.value
        await checkpoint()
        counter.value = value + 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        nursery.start_soon(add)
    assert counter.value == 2


async def lost_update_beside_a_timer() -> None:
    """Needs a preemption; the timer, which no update waits for, makes no difference."""
    value = 0

    async def add() -> None:
        nonlocal value
        before = value
        await trio.lowlevel.checkpoint()
        value = before + 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0.5)
        nursery.start_soon(add)
        nursery.start_soon(add)
    assert value == 2


async def correct() -> None:
    """The same with an atomic."""
    counter = detrun.Atomic(0, name="counter")

    async def add() -> None:
        await checkpoint()
        counter.fetch_add(1)
        await checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(add)
    assert counter.load() == 3


async def embrace() -> None:
    """Two locks taken in opposite orders."""
    first, second = trio.Lock(), trio.Lock()

    async def forward() -> None:
        async with first:
            await checkpoint()
            async with second:
                await checkpoint()

    async def backward() -> None:
        async with second:
            await checkpoint()
            async with first:
                await checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(forward)
        nursery.start_soon(backward)


async def rare(steps: int = 12) -> None:
    """Fails if one task takes all of its steps before the other takes its first: 1 in 2 ** steps walks."""
    flag = detrun.Shared(False, name="flag")
    private = detrun.Shared(0, name="private")

    async def slow() -> None:
        for _ in range(steps - 1):
            private.value = 1
            await checkpoint()
        flag.value = True

    async def quick() -> None:
        assert not flag.value

    async with trio.open_nursery() as nursery:
        nursery.start_soon(quick)
        nursery.start_soon(slow)


async def polling() -> None:
    """A task polls for what another does: an unfair strategy never ends it."""
    done = [False]

    async def poll() -> None:
        while not done[0]:
            await checkpoint()

    async def work() -> None:
        for _ in range(3):
            await checkpoint()
        done[0] = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        nursery.start_soon(work)


async def failing_always() -> None:
    """Not a matter of the schedule."""
    raise ValueError("always")


runs = 0


async def different_each_time() -> None:
    """Keeps state between runs, which no schedule explains."""
    global runs
    runs += 1

    async def step() -> None:
        await checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(1 + runs % 2):
            nursery.start_soon(step)
    assert runs % 7


async def several_bugs() -> None:
    """Three failures of different kinds, each in a good part of all schedules."""
    first, second = trio.Lock(), trio.Lock()
    order: list[str] = []

    async def forward() -> None:
        async with first:
            await checkpoint()
            async with second:
                order.append("forward")

    async def backward() -> None:
        async with second:
            await checkpoint()
            async with first:
                order.append("backward")

    async def hurried() -> None:
        await checkpoint()
        if order[:1] == ["backward"]:
            raise ValueError("too late")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(forward)
        nursery.start_soon(backward)
        nursery.start_soon(hurried)
    assert order == ["forward", "backward"]
