"""Nursery exit race: the body cancels its background task while that still has something in hand.

Source: written for this benchmark; a common way to stop a background task is to cancel the nursery at the end of its
body. The bug: the writer has taken the last entry from the channel but not stored it when the body cancels, or has not
taken it at all.
"""

import trio

ENTRIES = 3


async def write_all(receive: trio.MemoryReceiveChannel[int], stored: list[int]) -> None:
    async for entry in receive:
        await trio.lowlevel.checkpoint()  # the disk
        stored.append(entry)


async def buggy() -> None:
    stored: list[int] = []
    send, receive = trio.open_memory_channel[int](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_all, receive, stored)
        for entry in range(ENTRIES):
            await send.send(entry)
        for _ in range(6):  # time enough, surely
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert stored == list(range(ENTRIES)), f"stored {stored}"


async def fixed() -> None:
    stored: list[int] = []
    send, receive = trio.open_memory_channel[int](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_all, receive, stored)
        async with send:
            for entry in range(ENTRIES):
                await send.send(entry)
    assert stored == list(range(ENTRIES)), f"stored {stored}"


BUGGY, FIXED = buggy, fixed
