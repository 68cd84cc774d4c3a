"""Cost of a simulated world: messages per second as nodes grow, memory per node, simulated against real seconds.

Each figure is CPU seconds of one process, recording included; the median of three runs that alternate. What is unfair
about them: mailboxes carry objects, TCP goes through trio's own stream classes, and SimPy's processes carry nothing at
all, record nothing and can be neither replayed nor differentiated. Setting the nodes up is part of each figure, so a
row gives the cost of that. ``main()`` prints the tables.
"""

from __future__ import annotations

import statistics
import tracemalloc
from collections.abc import Callable
from typing import Any

import trio

import detrun
from benchmarks.measuring import Row, alternating, seconds, show
from detrun.world import Exponential

SIZES = (3, 10, 30, 100, 300)
MESSAGES = 20_000
MEAN_SECONDS = 0.01


async def mailboxes(size: int, messages: int) -> int:
    """Every node sends each message on to the next in a ring, until enough messages have been delivered."""
    delivered = 0
    async with detrun.World(latency=Exponential(MEAN_SECONDS)) as world:
        names = [f"n{index}" for index in range(size)]
        done = trio.Event()

        async def forward(following: str) -> None:
            nonlocal delivered
            node = detrun.this_node()
            while True:
                message = await node.receive()
                delivered += 1
                if delivered == messages:
                    done.set()
                node.send(following, message)

        for name in names:
            world.node(name)
        for index, name in enumerate(names):
            world.node(name).start(forward, names[(index + 1) % size])
            world.driver.send(name, index)
        await done.wait()
    return delivered


async def streams(size: int, messages: int) -> int:
    """Every node but the first keeps a TCP connection to the first and sends a line for each line that it gets."""
    delivered = 0
    async with detrun.World(latency=Exponential(MEAN_SECONDS)) as world:
        done = trio.Event()

        async def echo(stream: trio.SocketStream) -> None:
            async for data in stream:
                await stream.send_all(data)

        async def client() -> None:
            nonlocal delivered
            stream = await trio.open_tcp_stream("n0", 80)
            while True:
                await stream.send_all(b"x" * 100)
                await stream.receive_some()
                delivered += 2
                if delivered >= messages:
                    done.set()

        world.node("n0").start(trio.serve_tcp, echo, 80)
        await trio.sleep(0.001)
        for index in range(1, size):
            world.node(f"n{index}").start(client)
        await done.wait()
    return delivered


async def heartbeats(size: int, simulated_seconds: float, requests_per_second: float) -> None:
    """A cluster in which every node wakes once a second, and works as often as it is told to."""
    async with detrun.World(latency=Exponential(MEAN_SECONDS)) as world:
        names = [f"n{index}" for index in range(size)]

        async def beat(index: int) -> None:
            node = detrun.this_node()
            while True:
                await detrun.sleep(1.0)
                node.send(names[(index + 1) % size], "alive")

        async def listen() -> None:
            while True:
                await detrun.this_node().receive()

        async def work(index: int) -> None:
            node = detrun.this_node()
            while True:
                await detrun.sleep(detrun.exponential(1.0 / requests_per_second))
                node.send(names[(index + 7) % size], "request")

        for name in names:
            world.node(name)
        for index, name in enumerate(names):
            node = world.node(name)
            node.start(beat, index)
            node.start(listen)
            if requests_per_second:
                node.start(work, index)
        await trio.sleep(simulated_seconds)


def simpy_ring(size: int, messages: int) -> int:
    """The ring of `mailboxes` in SimPy: stores for mailboxes, a process for each message in flight."""
    import random

    import simpy

    generator = random.Random(0)
    environment = simpy.Environment()
    stores = [simpy.Store(environment) for _ in range(size)]
    delivered = 0
    done = environment.event()

    def travel(target: int, message: int) -> Any:
        yield environment.timeout(generator.expovariate(1.0 / MEAN_SECONDS))
        yield stores[target].put(message)

    def forward(index: int) -> Any:
        nonlocal delivered
        while True:
            message = yield stores[index].get()
            delivered += 1
            if delivered == messages:
                done.succeed()
            environment.process(travel((index + 1) % size, message))

    for index in range(size):
        environment.process(forward(index))
        environment.process(travel(index, index))
    environment.run(done)
    return delivered


def recorded(main: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """The call that is timed."""
    return lambda: detrun.record(main, *args, seed=1)


def messages_per_second() -> list[Row]:
    """Rows of messages per CPU second, by number of nodes."""
    rows = []
    for size in SIZES:
        contenders = [
            recorded(mailboxes, size, MESSAGES),
            recorded(streams, size, MESSAGES),
            lambda size=size: simpy_ring(size, MESSAGES),  # type: ignore[misc]  # mypy infers no type of a default
        ]
        rates = [MESSAGES / statistics.median(times) for times in alternating(contenders, repetitions=3)]
        rows.append(
            Row(
                f"{size} nodes",
                f"mailbox {rates[0]:,.0f}/s, TCP {rates[1]:,.0f}/s; SimPy's stores {rates[2]:,.0f}/s",
                "–",
                None,
            )
        )
    return rows


def memory_per_node() -> Row:
    """The memory of a node that runs a task and has talked to its neighbour."""

    def peak(size: int) -> int:
        async def main() -> int:
            tracemalloc.start()
            try:
                await mailboxes(size, 2 * size)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        result: int = detrun.record(main, seed=1).result
        return result

    peak(10)  # what is made once for each process
    small, large = peak(50), peak(300)
    return Row("memory per node", f"{(large - small) / 250 / 1024:.1f} KiB", "–", None)


def seconds_per_node() -> Row:
    """The time to make, start and stop a node, with one message each."""
    small, large = alternating([recorded(mailboxes, 30, 30), recorded(mailboxes, 330, 330)], repetitions=5)
    each = statistics.median(more - less for less, more in zip(small, large, strict=True)) / 300
    return Row("setting a node up, one message, taking it down", f"{each * 1e6:,.0f} µs", "–", None)


def simulated_per_real_second() -> list[Row]:
    """Rows of virtual seconds per CPU second, of an idle cluster and of a busy one."""
    rows = []
    for size, rate, virtual in ((5, 0.0, 600.0), (100, 0.0, 60.0), (5, 100.0, 10.0), (100, 100.0, 1.0)):
        times = [seconds(recorded(heartbeats, size, virtual, rate)) for _ in range(3)]
        busy = f"{rate:g} requests/s each" if rate else "heartbeats only"
        rows.append(
            Row(f"{size} nodes, {busy}", f"{virtual / statistics.median(times):,.1f} simulated s per s", "–", None)
        )
    return rows


def main() -> None:
    """Print the tables."""
    show("messages per CPU second while recording", messages_per_second())
    show("size and speed of a cluster", [memory_per_node(), seconds_per_node(), *simulated_per_real_second()])


if __name__ == "__main__":
    main()
