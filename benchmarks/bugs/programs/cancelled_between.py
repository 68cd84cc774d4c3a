"""Cancellation between acquire and try: the lock that was acquired is never released.

Source: written for this benchmark, after what trio documents of checkpoints: each can raise `Cancelled`. The bug: the
task is cancelled at a checkpoint between the acquisition and the ``try`` that releases it; the next task waits forever.
"""

import trio


class Meter:
    """Counts who came through."""

    def __init__(self) -> None:
        self.slot = trio.Semaphore(1)
        self.served = 0


async def note(meter: Meter) -> None:
    """Something that awaits: a log, a metric."""
    await trio.lowlevel.checkpoint()


async def serve(meter: Meter, scope: trio.CancelScope) -> None:
    with scope:
        await meter.slot.acquire()
        await note(meter)
        try:
            await trio.lowlevel.checkpoint()
            meter.served += 1
        finally:
            meter.slot.release()


async def serve_rightly(meter: Meter, scope: trio.CancelScope) -> None:
    with scope:
        await meter.slot.acquire()
        try:
            await note(meter)
            await trio.lowlevel.checkpoint()
            meter.served += 1
        finally:
            meter.slot.release()


async def give_up(scope: trio.CancelScope) -> None:
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def buggy() -> None:
    meter, first = Meter(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, meter, first)
        nursery.start_soon(serve, meter, trio.CancelScope())
        nursery.start_soon(give_up, first)


async def fixed() -> None:
    meter, first = Meter(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_rightly, meter, first)
        nursery.start_soon(serve_rightly, meter, trio.CancelScope())
        nursery.start_soon(give_up, first)


BUGGY, FIXED = buggy, fixed
