"""Programs that fail by an order which virtual time decides. Comments ``# A1`` and ``# B1`` mark the two operations."""

from __future__ import annotations

import trio

import detrun
from detrun.world import Exponential, World


async def overtaken() -> None:
    """Two clients set one value; the second begins when the first is sure to have asked, and its message overtakes."""

    class Register:
        value = 0

        async def live(self) -> None:
            node = detrun.this_node()
            while True:
                sender, value = await node.receive()
                self.take(sender, value)

        def take(self, sender: str, value: int) -> None:
            self.value = value  # A1 B1
            detrun.this_node().send(sender, "done")

    register = Register()

    async def put(value: int, after: float) -> None:
        await trio.sleep(after)
        node = detrun.this_node()
        node.send("store", (node.name, value))
        await node.receive()

    async with World(latency=0.001) as world:
        world.node("store").start(register.live)
        for name, value, after in (("one", 1, 0.0), ("two", 2, 0.02)):
            client = world.node(name)
            world.link(name, "store").latency = Exponential(0.02, minimum=0.001)
            client.start(put, value, after)
        await world.node("one").ended()
        await world.node("two").ended()
    assert register.value == 2


async def retried() -> None:
    """A client asks again when no answer comes in time, and what it asks for is done twice."""

    class Counter:
        value = 0

        async def live(self) -> None:
            node = detrun.this_node()
            while True:
                sender = await node.receive()
                self.value += 1
                node.send(sender, "done")

    counter = Counter()

    class Client:
        tries = 0

        async def work(self) -> None:
            node = detrun.this_node()
            while True:
                self.tries += 1
                node.send("store", node.name)
                with trio.move_on_after(0.05):
                    await node.receive()
                    self.tries = 0  # B1
                    return
                self.tries += 10  # A1

    async with World(latency=0.001) as world:
        store, client = world.node("store"), world.node("client")
        world.link("store", "client").latency = Exponential(0.03, minimum=0.001)
        store.start(counter.live)
        client.start(Client().work)
        await client.ended()
    assert counter.value == 1


async def timer_against_message() -> None:
    """A server closes after a while and takes no more work; the message may come later."""

    class Server:
        is_open = True

        async def live(self) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.close)
                await detrun.this_node().receive()
                assert self.is_open  # B1

        async def close(self) -> None:
            await trio.sleep(0.03)
            self.is_open = False  # A1

    async with World(latency=0.001) as world:
        server, client = world.node("server"), world.node("client")
        world.link("client", "server").latency = Exponential(0.02, minimum=0.001)
        server.start(Server().live)
        client.start(ask)
        await server.ended()


async def ask() -> None:
    detrun.this_node().send("server", "work")


async def leased() -> None:
    """A holder answers from its copy while it has a lease; the writer does not wait until the lease has run out."""
    newest = [0]

    class Holder:
        copy = 0

        async def live(self) -> None:
            node = detrun.this_node()
            while True:
                message = await node.receive()
                if isinstance(message, int):
                    self.copy = message
                else:
                    node.send("reader", self.copy)  # B1

    async def write() -> None:
        node = detrun.this_node()
        await trio.sleep(0.01)
        newest[0] = 1
        node.send("holder", 1)  # A1

    async def read() -> None:
        node = detrun.this_node()
        await trio.sleep(0.03)
        seen = newest[0]
        node.send("holder", "read")
        answer = await node.receive()
        assert answer >= seen

    async with World(latency=0.001) as world:
        holder, writer, reader = world.node("holder"), world.node("writer"), world.node("reader")
        world.link("writer", "holder").latency = Exponential(0.02, minimum=0.001)
        holder.start(Holder().live)
        writer.start(write)
        reader.start(read)
        await reader.ended()
        await writer.ended()


async def looked_at_unseen() -> None:
    """The check fetches a method and calls it later, so that its look at the list is not heard."""

    class Store:
        def __init__(self) -> None:
            self.order: list[str] = []

        async def live(self) -> None:
            while True:
                name = await detrun.this_node().receive()
                self.order.append(name)  # B1

    store = Store()

    async def write() -> None:
        await trio.sleep(0.256)
        store.order.append("late")  # A1

    async with World(latency=0.3) as world:
        early, late = world.node("early"), world.node("late")
        world.node("store").start(store.live)
        late.start(write)
        early.start(send_name)
        await trio.sleep(1)
    index = store.order.index
    found = index("early"), index("late")
    assert found == (0, 1)


async def send_name() -> None:
    node = detrun.this_node()
    node.send("store", node.name)


async def watched(nap: float = 0.02) -> None:
    """A watcher looks at both doors again and again. One is opened by a relay that takes no time to speak of."""

    class Doors:
        def __init__(self) -> None:
            self.inner_is_open = self.outer_is_open = False

    doors = Doors()
    relay = trio.Event()

    async def close_relay() -> None:
        await trio.sleep(nap)
        relay.set()

    async def open_inner() -> None:
        await relay.wait()
        await trio.sleep(1e-6)
        doors.inner_is_open = True  # A1

    async def open_outer() -> None:
        await trio.sleep(0.035)
        if doors.inner_is_open:  # B1
            doors.outer_is_open = True

    async def watch() -> None:
        for _ in range(15):
            await trio.sleep(0.004)
            detrun.always(not (doors.inner_is_open and doors.outer_is_open), "one door is closed")

    async with trio.open_nursery() as nursery:
        for task in (close_relay, open_inner, open_outer, watch):
            nursery.start_soon(task)


async def added_up(nap: float = 0.305) -> None:
    """What comes while one sleeps: each time a little, and no two operations decide."""

    class Tank:
        def __init__(self) -> None:
            self.level = 0
            self.has_run_over = False

    tank = Tank()

    async def fill() -> None:
        for _ in range(40):
            await trio.sleep(0.01)
            tank.level += 1  # A1

    async def drain() -> None:
        await trio.sleep(nap)
        if tank.level > 12:  # B1
            tank.has_run_over = True
        tank.level = 0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill)
        nursery.start_soon(drain)
    assert not tank.has_run_over


async def overtaken_again(rounds: int = 4) -> None:
    """In every round but the first one message overtakes another, which shows when they are done."""

    class Store:
        def __init__(self) -> None:
            self.waiting: list[int] = []
            self.done = 0

        async def live(self) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.work)
                while True:
                    self.take(await detrun.this_node().receive())

        def take(self, value: int) -> None:
            self.waiting.append(value)  # A1 B1

        async def work(self) -> None:
            while True:
                await trio.sleep(0.05)
                for value in self.waiting:
                    detrun.always(value == self.done, "in order", f"{value} after {self.done}")
                    self.done += 1
                self.waiting.clear()

    async with World(latency=0.001) as world:
        world.node("store").start(Store().live)
        client = world.node("client")
        link = world.link("client", "store")

        async def put() -> None:
            for value in range(0, 2 * rounds, 2):
                for each, latency in ((value, 0.02), (value + 1, 0.01 if value else 0.03)):
                    link.latency = latency
                    detrun.this_node().send("store", each)
                await trio.sleep(0.1)

        client.start(put)
        await client.ended()


OF_TIME = (overtaken, retried, timer_against_message, leased, looked_at_unseen, watched, added_up)
