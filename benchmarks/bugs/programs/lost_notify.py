"""Lost notify: a one-shot event is set and replaced, and a task that looks late waits for the new one.

Source: written for this benchmark; trio's events cannot be cleared, so people replace them. The bug: the consumer finds
the list empty, reports that, and waits; meanwhile the producer has appended, set the event, and put a fresh one in its
place, which is never set.
"""

import trio


class Box:
    """Items, and an event for "there is one"."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.arrived = trio.Event()

    def put(self, item: str) -> None:
        self.items.append(item)
        self.arrived.set()
        self.arrived = trio.Event()


async def consume(box: Box) -> None:
    while not box.items:
        await trio.lowlevel.checkpoint()  # reports that it is idle
        await box.arrived.wait()
    box.items.pop()


async def consume_rightly(box: Box) -> None:
    while not box.items:
        arrived = box.arrived
        await trio.lowlevel.checkpoint()
        await arrived.wait()
    box.items.pop()


async def produce(box: Box) -> None:
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    box.put("item")


async def buggy() -> None:
    box = Box()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume, box)
        nursery.start_soon(produce, box)


async def fixed() -> None:
    box = Box()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume_rightly, box)
        nursery.start_soon(produce, box)


BUGGY, FIXED = buggy, fixed
