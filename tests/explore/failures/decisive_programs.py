"""Small programs that fail by the order of two known operations, with innocent locks and counters around them.

In each, comments mark the lines of which a right explanation names two: ``# A1`` and ``# B1`` are one pair, ``# A2``
and ``# B2`` another that is as good.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import trio

checkpoint = trio.lowlevel.checkpoint


def together(*functions: Callable[[], None]) -> None:
    """Run them in threads and wait for all."""
    threads = [threading.Thread(target=one) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Logged:
    """Innocent: a lock and a counter that every thread uses between the operations that matter."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0

    def note(self) -> None:
        with self.lock:
            self.calls += 1


def check_then_act_on_an_attribute() -> None:
    class Account:
        balance = 100

    account, log = Account(), Logged()

    def withdraw() -> None:
        if account.balance >= 60:  # A1
            log.note()
            account.balance -= 60  # B1
        log.note()

    together(withdraw, withdraw)
    assert account.balance >= 0


def check_then_act_on_a_dictionary() -> None:
    class Cache:
        def __init__(self) -> None:
            self.entries: dict[str, object] = {}
            self.made = 0

    cache, log = Cache(), Logged()

    def get() -> None:
        if "key" not in cache.entries:  # A1
            log.note()
            assert cache.entries.setdefault("key", get) is get  # B1
            cache.made += 1  # A2 B2
            assert cache.made == 1

    together(get, get)


def check_then_act_on_a_list() -> None:
    class Work:
        def __init__(self) -> None:
            self.items = ["only"]

    work, log = Work(), Logged()

    def take() -> None:
        log.note()
        if work.items:  # A1
            log.note()
            work.items.pop()  # B1

    together(take, take)


def check_then_act_on_a_deque() -> None:
    class Pool:
        def __init__(self) -> None:
            self.idle = deque(["only"])

    pool, log = Pool(), Logged()

    def take() -> None:
        if len(pool.idle) > 0:  # A1
            log.note()
            pool.idle.popleft()  # B1

    together(take, take)


def lost_update() -> None:
    class Counter:
        value = 0

    counter, log = Counter(), Logged()

    def add() -> None:
        before = counter.value  # A1
        log.note()
        counter.value = before + 1  # B1
        log.note()

    together(add, add)
    assert counter.value == 2


def lost_update_by_setattr() -> None:
    class Settings:
        level = 0

    settings, log = Settings(), Logged()

    def raise_level() -> None:
        before = getattr(settings, "level")  # noqa: B009  # A1
        log.note()
        setattr(settings, "level", before + 1)  # noqa: B010  # B1

    together(raise_level, raise_level)
    assert settings.level == 2


def iterate_while_changed() -> None:
    class Registry:
        def __init__(self) -> None:
            self.handlers = {"first": 1, "second": 2}

    registry, log = Registry(), Logged()

    def call_all() -> None:
        for _ in registry.handlers:  # A1 B2
            log.note()

    def register() -> None:
        log.note()
        registry.handlers["third"] = 3  # B1 A2

    together(call_all, register)


def closed_flag() -> None:
    class Pool:
        def __init__(self) -> None:
            self.closed = False
            self.lock = threading.Lock()
            self.uses = 0

        def use(self) -> None:
            if self.closed:  # B1
                raise RuntimeError("closed")
            with self.lock:
                self.uses += 1

        def close(self) -> None:
            self.closed = True  # A1
            with self.lock:
                pass

    pool = Pool()
    together(pool.use, pool.close)


def double_initialization() -> None:
    class Lazy:
        def __init__(self) -> None:
            self.value: object = None
            self.made: list[object] = []

    lazy, log = Lazy(), Logged()

    def get() -> None:
        if lazy.value is None:  # A1
            log.note()
            lazy.made.append(object())
            lazy.value = lazy.made[-1]  # B1

    together(get, get)
    assert len(lazy.made) == 1


def used_before_it_is_ready() -> None:
    class Server:
        def __init__(self) -> None:
            self.address: str | None = None

    server, log = Server(), Logged()

    def start() -> None:
        log.note()
        server.address = "localhost"  # B1

    def connect() -> None:
        log.note()
        assert server.address is not None  # A1

    together(start, connect)


def used_after_it_is_closed() -> None:
    class Pool:
        def __init__(self) -> None:
            self.free: list[str] | None = ["connection"]
            self.recent = {"a": 0}  # innocent

        def fetch(self) -> str:
            self.recent["a"] += 1
            log.note()
            try:
                return self.free.pop()  # type: ignore[union-attr] # B1
            except AttributeError:
                raise ValueError("the pool is closed") from None

        def close(self) -> None:
            self.recent["a"] += 1
            log.note()
            self.free = None  # A1

    log = Logged()
    pool = Pool()
    together(pool.fetch, pool.close)


def published_before_it_is_filled() -> None:
    class Columns:
        def __init__(self) -> None:
            self.index: dict[str, int] = {}

    class Table:
        columns: Columns | None = None

    table, log = Table(), Logged()

    def query() -> None:
        if table.columns is None:
            columns = table.columns = Columns()
            log.note()
            total = 0
            for number in range(40):  # steps for a thread beside another, and none for one that is alone
                total += number
            columns.index["id"] = total  # B1
        ready(table.columns)

    def ready(columns: Columns) -> int:
        return columns.index["id"]  # A1

    together(query, query)


def lost_wake_up() -> None:
    class Mailbox:
        def __init__(self) -> None:
            self.ready = False
            self.condition = threading.Condition()

    mailbox, log = Mailbox(), Logged()

    def wait() -> None:
        ready = mailbox.ready  # A1
        log.note()
        if not ready:
            with mailbox.condition:
                mailbox.condition.wait()

    def deliver() -> None:
        mailbox.ready = True  # B1
        with mailbox.condition:
            mailbox.condition.notify_all()

    together(wait, deliver)


def locks_in_two_orders() -> None:
    left, right, log = threading.Lock(), threading.Lock(), Logged()

    def one_way() -> None:
        log.note()
        with left:  # A1 B2
            log.note()
            with right:
                pass

    def other_way() -> None:
        log.note()
        with right:  # B1 A2
            log.note()
            with left:
                pass

    together(one_way, other_way)


async def task_check_then_act() -> None:
    stock = {"apples": 1}
    lock = trio.Lock()

    async def buy() -> None:
        if stock["apples"]:  # A1
            async with lock:
                await checkpoint()
            stock["apples"] -= 1  # B1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(buy)
        nursery.start_soon(buy)
    assert stock["apples"] == 0


async def task_order_of_appends() -> None:
    class Log:
        def __init__(self) -> None:
            self.lines: list[str] = []

    log = Log()

    async def say(word: str) -> None:
        await checkpoint()
        log.lines.append(word)  # A1 B1
        await checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say, "first")
        nursery.start_soon(say, "second")
    assert log.lines == ["first", "second"]


async def task_locks_in_two_orders() -> None:
    left, right = trio.Lock(), trio.Lock()

    async def one_way() -> None:
        async with left:  # A1 B2
            await checkpoint()
            async with right:
                pass

    async def other_way() -> None:
        async with right:  # B1 A2
            await checkpoint()
            async with left:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_way)
        nursery.start_soon(other_way)


async def task_event_before_wait() -> None:
    class Signal:
        def __init__(self) -> None:
            self.event = trio.Event()

        def fire(self) -> None:
            self.event.set()  # A2
            self.event = trio.Event()  # A1

    signal = Signal()

    async def wait() -> None:
        await checkpoint()
        await signal.event.wait()  # B1 B2

    async def fire() -> None:
        await checkpoint()
        signal.fire()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(fire)


async def task_cancelled_before_delivery() -> None:
    send, receive = trio.open_memory_channel[int](0)
    got: list[int] = []
    scope = trio.CancelScope()

    async def consume() -> None:
        with scope:
            got.append(await receive.receive())

    async def deliver() -> None:
        await checkpoint()
        with trio.move_on_after(1):
            await send.send(1)  # B1

    async def cancel() -> None:
        await checkpoint()
        scope.cancel()  # A1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        nursery.start_soon(deliver)
        nursery.start_soon(cancel)
    assert got == [1]


async def task_blocks_the_event_loop() -> None:
    lock = threading.Lock()
    log: list[str] = []

    def write() -> None:
        with lock:  # A1
            log.append(trio.from_thread.run_sync(lambda: "thread"))

    async def write_from_task() -> None:
        log.append("task")
        await checkpoint()
        with lock:  # B1
            log.append("task")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, write)
        nursery.start_soon(write_from_task)


OF_THREADS: list[Callable[[], Any]] = [
    check_then_act_on_an_attribute,
    check_then_act_on_a_dictionary,
    check_then_act_on_a_list,
    check_then_act_on_a_deque,
    lost_update,
    lost_update_by_setattr,
    iterate_while_changed,
    closed_flag,
    double_initialization,
    used_before_it_is_ready,
    used_after_it_is_closed,
    published_before_it_is_filled,
    lost_wake_up,
    locks_in_two_orders,
]
OF_TASKS: list[Callable[[], Any]] = [
    task_check_then_act,
    task_order_of_appends,
    task_locks_in_two_orders,
    task_event_before_wait,
    task_cancelled_before_delivery,
    task_blocks_the_event_loop,
]
