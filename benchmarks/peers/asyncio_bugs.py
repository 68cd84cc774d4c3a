"""The task bugs of `benchmarks.bugs`, written for asyncio, so that detangle and frontrun can run them.

Each is the same program with the same bug: a checkpoint is ``asyncio.sleep(0)``, a nursery a gather. The functions that
frontrun needs (state, workers, check) are those of `AsyncProgram`; two of the five lack this form, since frontrun's
workers are fixed tasks that cannot be cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

Worker = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AsyncProgram:
    """Tasks over shared state: ``setup``, a task for each of ``workers``, and ``check``, which may raise."""

    setup: Callable[[], Any]
    workers: Sequence[Worker]
    check: Callable[[Any], None]

    async def __call__(self) -> None:
        """The whole program."""
        state = self.setup()
        await asyncio.gather(*(worker(state) for worker in self.workers))
        self.check(state)


def _nothing_to_check(state: Any) -> None:
    """For bugs that show while the tasks run."""


async def _checkpoint() -> None:
    await asyncio.sleep(0)


class _Account:
    def __init__(self) -> None:
        self.balance = 100


async def _withdraw(account: _Account) -> None:
    await _checkpoint()  # reads the request
    if account.balance >= 60:
        await _checkpoint()  # asks for confirmation
        account.balance -= 60


def _check_account(account: _Account) -> None:
    assert account.balance >= 0, "overdrawn"


class _Box:
    def __init__(self) -> None:
        self.items: list[str] = []
        self.arrived = asyncio.Event()


async def _consume(box: _Box) -> None:
    while not box.items:
        await _checkpoint()  # reports that it is idle
        await box.arrived.wait()
    box.items.pop()


async def _produce(box: _Box) -> None:
    for _ in range(3):
        await _checkpoint()
    box.items.append("item")
    box.arrived.set()
    box.arrived = asyncio.Event()


PAGES, ROWS = 2, 3


async def _rows() -> AsyncIterator[int]:
    for page in range(PAGES):
        await _checkpoint()  # fetches the page
        for row in range(ROWS):
            yield page * ROWS + row


class _Rows:
    def __init__(self) -> None:
        self.source = _rows()
        self.done: list[int] = []


async def _work(rows: _Rows) -> None:
    async for row in rows.source:
        rows.done.append(row)
        await _checkpoint()


async def _work_a_moment_later(rows: _Rows) -> None:
    await _checkpoint()
    await _work(rows)


def _check_rows(rows: _Rows) -> None:
    assert sorted(rows.done) == list(range(PAGES * ROWS))


async def _cancelled_between() -> None:
    slot = asyncio.Semaphore(1)

    async def serve() -> None:
        await slot.acquire()
        await _checkpoint()  # a log, a metric
        try:
            await _checkpoint()
        finally:
            slot.release()

    async def give_up(first: asyncio.Task[None]) -> None:
        for _ in range(3):
            await _checkpoint()
        first.cancel()

    first = asyncio.ensure_future(serve())
    await asyncio.gather(first, serve(), give_up(first), return_exceptions=True)


ENTRIES = 3


async def _nursery_exit() -> None:
    stored: list[int] = []
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def write_all() -> None:
        while True:
            entry = await queue.get()
            await _checkpoint()  # the disk
            stored.append(entry)

    writer = asyncio.ensure_future(write_all())
    for entry in range(ENTRIES):
        await queue.put(entry)
    for _ in range(6):  # time enough, surely
        await _checkpoint()
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    assert stored == list(range(ENTRIES)), f"stored {stored}"


PROGRAMS: dict[str, AsyncProgram | Callable[[], Any]] = {
    "cancelled_between": _cancelled_between,
    "nursery_exit": _nursery_exit,
    "lost_notify": AsyncProgram(_Box, (_consume, _produce), _nothing_to_check),
    "shared_iterator": AsyncProgram(_Rows, (_work, _work_a_moment_later), _check_rows),
    "check_then_await": AsyncProgram(_Account, (_withdraw, _withdraw), _check_account),
}
