"""Shared iterator: two tasks draw from one async generator.

Source: written for this benchmark; an async generator (PEP 525) that is running must not be asked for more. The
bug: one task waits inside the generator, for the next page, when the other asks for a row: RuntimeError.
"""

from collections.abc import AsyncIterator

import trio

PAGES, ROWS = 2, 3


async def rows() -> AsyncIterator[int]:
    for page in range(PAGES):
        await trio.lowlevel.checkpoint()  # fetches the page
        for row in range(ROWS):
            yield page * ROWS + row


async def work(source: AsyncIterator[int], done: list[int]) -> None:
    async for row in source:
        done.append(row)
        await trio.lowlevel.checkpoint()


async def buggy() -> None:
    source = rows()
    done: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, source, done)
        await trio.lowlevel.checkpoint()
        nursery.start_soon(work, source, done)
    assert sorted(done) == list(range(PAGES * ROWS))


async def feed(send: trio.MemorySendChannel[int]) -> None:
    async with send:
        async for row in rows():
            await send.send(row)


async def fixed() -> None:
    """A task of its own draws from the generator; a channel may have many readers."""
    send, receive = trio.open_memory_channel[int](0)
    done: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed, send)
        nursery.start_soon(work, receive, done)
        await trio.lowlevel.checkpoint()
        nursery.start_soon(work, receive, done)
    assert sorted(done) == list(range(PAGES * ROWS))


BUGGY, FIXED = buggy, fixed
