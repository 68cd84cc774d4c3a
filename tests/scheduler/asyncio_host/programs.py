"""Programs of asyncio that several tests run."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncGenerator
from typing import Any

VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("VARIABLE", default=0)


async def broad() -> list[Any]:
    """Uses most of what asyncio has; what it returns is the same in every schedule."""
    loop, found = asyncio.get_running_loop(), []
    queue: asyncio.Queue[int] = asyncio.Queue(2)

    async def produce() -> None:
        for number in range(5):
            await queue.put(number)
            await asyncio.sleep(0.1)

    async def consume() -> int:
        return sum([await queue.get() for _ in range(5)])

    found.append((await asyncio.gather(produce(), consume()))[1])
    try:
        async with asyncio.timeout(1):
            await asyncio.sleep(5)
    except TimeoutError:
        found.append(f"timeout at {loop.time():.2f}")
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.5)
    except TimeoutError:
        found.append(f"wait_for at {loop.time():.2f}")
    found.append(await asyncio.to_thread(lambda: (time.sleep(1), threading.current_thread().name)[1]))
    found.append(await loop.run_in_executor(None, pow, 2, 5))

    event = asyncio.Event()
    thread = threading.Thread(target=lambda: (time.sleep(0.3), loop.call_soon_threadsafe(event.set)))
    thread.start()
    await event.wait()
    thread.join()
    found.append(f"thread at {loop.time():.2f}")

    lock, count = asyncio.Lock(), [0]

    async def add() -> None:
        async with lock:
            before = count[0]
            await asyncio.sleep(0.01)
            count[0] = before + 1

    await asyncio.gather(*(add() for _ in range(4)))
    found.append(count[0])

    async def numbers() -> AsyncGenerator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            await asyncio.sleep(0.01)
            found.append("generator closed")

    async for number in numbers():
        if number == 2:
            break
    await asyncio.sleep(0.1)

    VARIABLE.set(3)

    async def child() -> int:
        VARIABLE.set(4)
        return VARIABLE.get()

    found.append((await asyncio.create_task(child()), VARIABLE.get()))
    loop.call_later(1, found.append, "later")
    loop.call_at(loop.time() + 0.5, found.append, "earlier")
    loop.call_later(0.7, found.append, "never").cancel()
    await asyncio.sleep(2)
    sleeps = [asyncio.create_task(asyncio.sleep(delay, delay)) for delay in (3, 1, 2)]
    done, pending = await asyncio.wait(sleeps, return_when=asyncio.FIRST_COMPLETED)
    found.append([task.result() for task in done])
    for task in pending:
        task.cancel()
    found.append([type(error).__name__ for error in await asyncio.gather(*pending, return_exceptions=True)])
    found.append([await one for one in asyncio.as_completed([asyncio.sleep(0.2, 2), asyncio.sleep(0.1, 1)])])

    async def fail() -> None:
        await asyncio.sleep(0.1)
        raise ValueError("of a child")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(asyncio.sleep(100))
    except* ValueError as errors:
        found.append(str(errors.exceptions[0]))
    condition, barrier = asyncio.Condition(), asyncio.Barrier(2)

    async def wait() -> None:
        async with condition:
            await condition.wait_for(lambda: count[0] == 9)

    waiter = asyncio.create_task(wait())
    await asyncio.gather(barrier.wait(), barrier.wait())
    async with condition:
        count[0] = 9
        condition.notify_all()
    await waiter
    await asyncio.shield(asyncio.sleep(0.1))
    return found


BROAD = [
    *(10, "timeout at 1.50", "wait_for at 2.00", "asyncio_0", 32, "thread at 3.30", 4, "generator closed", (4, 3)),
    *("earlier", "later", [1], ["CancelledError", "CancelledError"], [1, 2], "of a child"),
]


def broad_in_debug_mode() -> list[Any]:
    """The same, as an ordinary function."""
    return asyncio.run(broad(), debug=True)


async def three() -> tuple[int, ...]:
    """The order in which three tasks ran."""
    order: list[int] = []

    async def note(number: int) -> None:
        order.append(number)

    await asyncio.gather(*(note(number) for number in range(3)))
    return tuple(order)


class Account:
    """What tasks share."""

    def __init__(self) -> None:
        self.balance = 0


async def lost_update() -> None:
    """Two tasks read, give way, and write."""
    account = Account()

    async def deposit() -> None:
        before = account.balance
        await asyncio.sleep(0)
        account.balance = before + 1

    await asyncio.gather(deposit(), deposit())
    assert account.balance == 2


async def check_then_await() -> None:
    """A task acts on what it saw before it gave way."""
    stock = Account()
    stock.balance = 1

    async def buy() -> None:
        if stock.balance > 0:
            await asyncio.sleep(0)
            stock.balance -= 1

    await asyncio.gather(buy(), buy())
    assert stock.balance >= 0


async def opposite_locks() -> None:
    """Two tasks take two locks in opposite orders."""
    one, other = asyncio.Lock(), asyncio.Lock()

    async def take(first: asyncio.Lock, second: asyncio.Lock) -> None:
        async with first:
            await asyncio.sleep(0)
            async with second:
                pass

    await asyncio.gather(take(one, other), take(other, one))


async def cancelled_before_try() -> None:
    """A cancellation between ``acquire`` and ``try`` keeps the lock for ever."""
    lock = asyncio.Lock()

    async def work() -> None:
        await lock.acquire()
        await asyncio.sleep(0)
        try:
            await asyncio.sleep(0)
        finally:
            lock.release()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(1), lock:
        pass


async def lost_notify() -> None:
    """A notification comes before the task that looked waits."""
    condition, is_ready = asyncio.Condition(), [False]

    async def wait() -> None:
        if not is_ready[0]:
            await asyncio.sleep(0)
            async with condition:
                await condition.wait()

    async def notify() -> None:
        is_ready[0] = True
        async with condition:
            condition.notify_all()

    await asyncio.gather(wait(), notify())


BUGS = (lost_update, check_then_await, opposite_locks, cancelled_before_try, lost_notify)
