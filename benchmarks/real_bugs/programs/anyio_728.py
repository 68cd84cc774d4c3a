"""anyio's memory object stream gives an item to a receiver that is being cancelled, and the item is gone.

Reported: https://github.com/agronholm/anyio/issues/728; in 4.3.0, fixed in 4.4.0. A lost item, by cancellation.

A receiver gives up waiting. It is cancelled, but has not run since, and still stands in the stream's queue; an item
sent now goes to it, and it leaves with the item. The stream has room for the item: whoever receives next must get it.
"""

import anyio


async def main() -> None:
    send, receive = anyio.create_memory_object_stream[str](1)
    received: list[str] = []
    patience = anyio.CancelScope()

    async def consume() -> None:
        with patience:
            received.append(await receive.receive())

    async def give_up() -> None:
        await anyio.sleep(0)
        patience.cancel()

    async def produce() -> None:
        await anyio.sleep(0)
        await send.send("item")

    async with send, receive:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consume)
            tasks.start_soon(give_up)
            tasks.start_soon(produce)
        if not received:
            received.append(receive.receive_nowait())  # it waits in the stream
    assert received == ["item"]
