"""The programs of the kept recordings. A change of what one of them does makes its recording useless.

They use only what detrun documents, so that they run however its code is laid out. A program that is to be kept as well
gets a new function here and a recording of its own; those that are here stay as they are, whitespace included, because
a recording knows the lines of its program.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import trio

import detrun
from detrun.world import (
    Clog,
    Crash,
    DiskFault,
    Duplication,
    Exponential,
    FaultPlan,
    Loss,
    Partition,
    Pause,
    PowerLoss,
    Reordering,
    Uniform,
    inject,
)


async def atomics(step: float = 0.5) -> Any:
    """Every operation of an `Atomic`, a `Shared`, and who came when."""
    cell = detrun.Atomic(3.0, name="cell")
    other = detrun.Atomic(1.0)
    words = detrun.Shared(["start"], name="words")

    async def adds() -> None:
        for turn in range(3):
            await trio.lowlevel.checkpoint()
            cell.fetch_add(turn + step)
            cell.fetch_sub(0.25)
            words.value = [*words.value, f"add {turn}"]

    async def multiplies() -> None:
        for _ in range(3):
            cell.fetch_mul(2.0)
            await trio.lowlevel.checkpoint()
            other.fetch_max(cell.load())
            cell.fetch_min(40.0)

    async def exchanges() -> None:
        for turn in range(3):
            await trio.lowlevel.checkpoint()
            old = cell.load()
            await trio.lowlevel.checkpoint()
            swapped = cell.compare_exchange(old, old + 1.0)
            other.store(other.exchange(float(turn)) + 0.125)
            words.value = [*words.value, f"swap {swapped}"]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(adds)
        nursery.start_soon(multiplies)
        nursery.start_soon(exchanges)
    return cell.load(), other.load(), words.value


async def channels() -> Any:
    """Producers and consumers over one channel, whose messages are packed bytes."""
    send, receive = trio.open_memory_channel[bytes](1)
    got: list[Any] = []

    async def produce(name: str, sender: trio.MemorySendChannel[bytes]) -> None:
        async with sender:
            for number in range(3):
                await sender.send(detrun.pack({"from": name, "number": number * 0.1, "list": [1, None, True]}))

    async def consume(name: str, receiver: trio.MemoryReceiveChannel[bytes]) -> None:
        async with receiver:
            async for data in receiver:
                got.append((name, len(data), detrun.unpack(data)))
                await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery, send, receive:
        for name in "ab":
            nursery.start_soon(produce, name, send.clone())
            nursery.start_soon(consume, name.upper(), receive.clone())
    return got


async def locks() -> Any:
    """Trio's locks, semaphores, limiters, events and conditions."""
    lock, semaphore, limiter = trio.Lock(), trio.Semaphore(2), trio.CapacityLimiter(1)
    event, condition = trio.Event(), trio.Condition()
    log: list[Any] = []

    async def worker(number: int) -> None:
        await event.wait()
        async with lock:
            log.append(("lock", number))
            await trio.lowlevel.checkpoint()
        async with semaphore:
            log.append(("semaphore", number, semaphore.value))
            await trio.lowlevel.checkpoint()
        async with limiter:
            log.append(("limiter", number))
        async with condition:
            log.append(("condition", number))
            if number == 2:
                condition.notify_all()
            elif ("condition", 2) not in log:
                await condition.wait()
        log.append(("out", number))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(worker, number, name=f"worker {number}")
        await trio.lowlevel.checkpoint()
        event.set()
    return log


async def timeouts() -> Any:
    """Deadlines in virtual time, cancellation, shielded clean-up."""
    log: list[Any] = []

    async def attempt(number: int, seconds: float) -> None:
        for turn in range(3):
            with trio.move_on_after(0.05) as scope:
                await trio.sleep(detrun.exponential(seconds))
                log.append((number, turn, "done", trio.current_time()))
            if scope.cancelled_caught:
                log.append((number, turn, "late", trio.current_time()))

    async def cleans_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await detrun.sleep(0.5)
                log.append(("clean", trio.current_time(), time.monotonic(), time.time()))

    async with trio.open_nursery() as nursery:
        for number, seconds in enumerate((0.02, 0.05, 0.2)):
            nursery.start_soon(attempt, number, seconds)
        nursery.start_soon(cleans_up)
        await trio.sleep(0.3)
        nursery.cancel_scope.cancel()
    return log


async def draws() -> Any:
    """Every distribution, with keys and without."""
    found: list[Any] = []

    async def one(name: str) -> None:
        for turn in range(3):
            found.append((name, detrun.uniform(), detrun.uniform(-1.0, 2.0, key=("k", turn)), detrun.exponential(0.5)))
            found.append((detrun.normal(1.0, 2.0), detrun.lognormal(-1.0, 0.5), detrun.poisson(3.5)))
            found.append((detrun.bernoulli(0.3), detrun.choice(["a", "b", "c"]), detrun.choice(7, key="shared")))
            found.append(detrun.choice(["x", "y"], weights=[1.0, 2.0]))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "left")
        nursery.start_soon(one, "right")
    return found


@detrun.external
def read_sensor(channel: int) -> dict[str, Any]:
    """When it was recorded this gave a reading; a replay must take that from the recording and not come here."""
    raise AssertionError(f"a replay has read channel {channel} of the sensor")


@detrun.external(name="refusal")
def refuse(what: str) -> None:
    """When it was recorded this raised a ValueError."""
    raise AssertionError(f"a replay has asked for {what}")


@detrun.external(replay="rerun")
def triple(x: float) -> float:
    """An effect that is run again."""
    return x * 3


async def effects() -> Any:
    """Effects, recorded and run again, and one that failed."""
    log: list[Any] = []

    async def uses(channel: int) -> None:
        for _ in range(2):
            log.append(read_sensor(channel))
            await trio.lowlevel.checkpoint()
            log.append(triple(channel))
        try:
            refuse("sensor")
        except ValueError as error:
            log.append(str(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(uses, 1)
        nursery.start_soon(uses, 2)
    return log


async def buffers() -> Any:
    """A buffer, a view of it, writes that are rolled back."""
    grid = detrun.Buffer([[float(3 * row + column) for column in range(3)] for row in range(3)], name="grid")
    column = grid[:, 1]
    seen: list[Any] = []

    async def scales() -> None:
        for row in range(3):
            column[row] *= 1.5
            await trio.lowlevel.checkpoint()
            seen.append(grid[row, 1])

    async def adds() -> None:
        for row in range(3):
            await trio.lowlevel.checkpoint()
            grid.fetch_add((row, 1), 0.5)
            with grid.rolled_back():
                grid[...] = 0.0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scales)
        nursery.start_soon(adds)
    return grid.tolist(), seen


async def failing() -> None:
    """Ends with a group of exceptions."""

    async def fails(number: int) -> None:
        for _ in range(detrun.choice(4)):
            await trio.lowlevel.checkpoint()
        raise ValueError(f"worker {number}")

    async def waits() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise KeyError("on the way out") from None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, 1)
        nursery.start_soon(fails, 2)
        nursery.start_soon(waits)


async def deadlock() -> None:
    """Ends with two tasks that wait for each other."""
    first, second = trio.Lock(), trio.Lock()

    async def takes(one: trio.Lock, other: trio.Lock) -> None:
        async with one:
            await trio.sleep(0.1)
            async with other:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(takes, first, second)
        nursery.start_soon(takes, second, first)


def threads() -> Any:
    """Simulated threads: locks, conditions, queues, a pool, time."""
    lock, condition = threading.Lock(), threading.Condition()
    work: queue.Queue[int | None] = queue.Queue(maxsize=2)
    counter = detrun.Shared(0, name="counter")
    log: list[Any] = []

    def worker(number: int) -> None:
        counter.value += 1
        with lock:
            log.append(("lock", number))
        time.sleep(0.1 * (number + 1))
        with condition:
            log.append(("ready", number, time.monotonic()))
            condition.notify()

    def feed() -> None:
        for number in range(3):
            work.put(number)
        work.put(None)

    started = [threading.Thread(target=worker, args=(number,)) for number in range(2)]
    started.append(threading.Thread(target=feed))
    for thread in started:
        thread.start()
    with condition:
        while sum(entry[0] == "ready" for entry in log) < 2:
            condition.wait(1.0)
    taken = []
    while (item := work.get()) is not None:
        taken.append(item)
    for thread in started:
        thread.join()
    with ThreadPoolExecutor(max_workers=2) as executor:
        squares = list(executor.map(lambda number: number * number, range(3)))
    return log, taken, squares, counter.value


class Counter:
    """Not safe for threads."""

    def __init__(self) -> None:
        self.value = 0
        self.log: list[int] = []

    def add(self) -> None:
        """Lose an update, if interrupted."""
        seen = self.value
        self.log.append(seen)
        self.value = seen + 1


def preempted() -> Any:
    """Simulated threads that are interrupted between instructions."""
    counter = Counter()
    started = [threading.Thread(target=counter.add, name=f"adder {number}") for number in range(3)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return counter.value, counter.log


async def streams(payload: bytes = b"hello;") -> Any:
    """TCP over a link that loses and is cut for a while, datagrams over one that doubles."""
    log: list[Any] = []

    async def shout(stream: trio.abc.Stream) -> None:
        async with stream:
            async for data in stream:
                await trio.sleep(detrun.exponential(0.002))
                await stream.send_all(bytes(data).upper())

    async def reverse() -> None:
        sock = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        await sock.bind(("0.0.0.0", 7000))
        while True:
            data, address = await sock.recvfrom(1000)
            await sock.sendto(data[::-1], address)

    latency = Exponential(0.005, minimum=0.001)
    async with detrun.World(latency=latency, loss=0.05, duplication=0.2, bandwidth=1e5) as world:
        world.node("server").start(trio.serve_tcp, shout, 8000)
        world.node("server").start(reverse)
        await trio.sleep(0.01)

        async def client(number: int) -> None:
            async with await trio.open_tcp_stream("server", 8000) as stream:
                for turn in range(2):
                    await stream.send_all(payload * 40)
                    received = 0
                    while received < len(payload) * 40:
                        received += len(await stream.receive_some())
                    log.append((number, turn, received, trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client, 0)
            nursery.start_soon(client, 1)
            await trio.sleep(0.05)
            world.partition("driver", "server")
            await trio.sleep(0.3)
            world.heal()
        sock = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        await sock.bind(("0.0.0.0", 0))
        for number in range(4):
            await sock.sendto(payload + str(number).encode(), ("server", 7000))
        with trio.move_on_after(1.0):
            while True:
                log.append(await sock.recvfrom(1000))
    return log, dict(world.faults)


PLAN = FaultPlan(
    (
        Crash(node="n0", at=0.2, down_seconds=0.3),
        PowerLoss(node="n1", between=(0.2, 0.6), down_seconds=0.2),
        Pause(node="n2", at=0.4, lasts_seconds=0.3),
        Partition(shape="halves", at=0.9, lasts_seconds=0.2),
        Loss(source="driver", rate=0.3, at=0.0, lasts_seconds=1.0),
        Duplication(rate=0.4, at=0.5, lasts_seconds=1.0),
        Reordering(rate=0.5, at=0.7, lasts_seconds=0.5, delay_seconds=0.2),
        Clog(source="n2", at=1.1, lasts_seconds=0.2),
        DiskFault(node="n0", fault="slow", rate=0.5, slow_seconds=0.02, at=0.6),
    )
)


async def cluster() -> Any:
    """Three nodes that count on their disks, under a plan of faults; rare branches, mailboxes, restarts."""
    got: list[Any] = []

    async def counts() -> None:
        node = detrun.this_node()
        path = trio.Path("/number")
        number = int(await path.read_text() or 0) if await path.exists() else 0
        while True:
            question = await node.receive()
            number += 1
            if detrun.buggify("answers twice"):
                node.send("driver", (node.name, question, number))
            async with await trio.open_file("/number", "w") as file:
                await file.write(str(number))
                await file.fsync()
            node.send("driver", (node.name, question, number))

    async def listen(world: detrun.World) -> None:
        while True:
            got.append((await world.driver.receive(), trio.current_time()))

    async with detrun.World(latency=Uniform(0.001, 0.02)) as world, trio.open_nursery() as nursery:
        nursery.start_soon(listen, world)
        for number in range(3):
            world.node(f"n{number}").start(counts)
        async with inject(PLAN, world, allow_no_effect=True):
            for turn in range(30):
                world.driver.send(f"n{turn % 3}", turn)
                await trio.sleep(0.05)
        await detrun.liveness(lambda: all(node.is_running for node in world.nodes), within=5.0)
        nursery.cancel_scope.cancel()
    return got, dict(world.faults)


async def disks() -> Any:
    """A log through crashes, power losses, torn sectors and flipped bits, on a machine whose clock is wrong."""
    log: list[Any] = []

    async def writes(name: str) -> None:
        node = detrun.this_node()
        try:
            before: Any = await trio.Path("/log").read_bytes()
        except OSError as error:
            before = str(error)
        log.append((before, node.starts, node.clock.monotonic(), node.clock.now(), time.time()))
        async with await trio.open_file("/log", "ab") as file:
            for number in range(20):
                await file.write(f"{name} {number}|".encode() * 30)
                await file.flush()
                if number % 2:
                    await file.fsync()
                    await node.disk.fsync_directory("/")
                await trio.sleep(0.01)

    async with detrun.World() as world:
        node = world.node("db")
        node.disk.faults.set(torn_sector=0.3, slow=0.1)
        node.disk.faults.slow_seconds = 0.003
        node.clock.set_drift(0.1)
        node.clock.step(-3.0)
        node.start(writes, "first")
        await trio.sleep(0.115)
        node.crash()
        node.restart()
        await trio.sleep(0.06)
        node.disk.faults.lose_next_fsync()
        await trio.sleep(0.055)
        node.power_loss()
        await trio.sleep(0.5)
        node.restart(writes, "second")
        await trio.sleep(0.06)
        node.disk.faults.order("bit_flip_at_rest", "/log")
        await trio.sleep(0.05)
        node.power_loss()
        node.restart()
        await trio.sleep(0.05)
    return log, dict(world.faults), node.disk.tree(), node.disk.durable_tree()


async def differentiated(params: dict[str, Any]) -> Any:
    """A program of parameters; its recording is differentiated as well as replayed."""
    total = detrun.Atomic(params["start"])

    async def grows() -> None:
        for _ in range(3):
            await trio.sleep(detrun.exponential(params["mean"]))
            total.fetch_mul(params["rate"])

    async def adds() -> None:
        for _ in range(3):
            with trio.move_on_after(params["timeout"]):
                await trio.sleep(detrun.exponential(params["mean"]))
                total.fetch_add(detrun.sin(params["start"]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(grows)
        nursery.start_soon(adds)
    return total.load() + trio.current_time()
