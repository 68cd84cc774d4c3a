"""A worker thread reports its progress into a channel that the task has already closed.

Source: written for this benchmark. The thread sets an ordinary `threading.Event` when its work is done and then
reports once more through `trio.from_thread`; the task closes the channel as soon as the event is set. The bug: the
task looks at the event and closes the channel between the two: BrokenResourceError in the thread.
"""

import threading

import trio


def compute(done: threading.Event, send: trio.MemorySendChannel[str]) -> None:
    trio.from_thread.run_sync(send.send_nowait, "half")
    done.set()
    trio.from_thread.run_sync(send.send_nowait, "all")


def compute_rightly(done: threading.Event, send: trio.MemorySendChannel[str]) -> None:
    trio.from_thread.run_sync(send.send_nowait, "half")
    trio.from_thread.run_sync(send.send_nowait, "all")
    done.set()


async def watch(done: threading.Event, receive: trio.MemoryReceiveChannel[str]) -> None:
    async with receive:
        for _ in range(6):
            if done.is_set():
                return
            await trio.lowlevel.checkpoint()
        async for report in receive:
            if report == "all":
                return


async def buggy() -> None:
    done = threading.Event()
    send, receive = trio.open_memory_channel[str](2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, done, receive)
        nursery.start_soon(trio.to_thread.run_sync, compute, done, send)


async def fixed() -> None:
    done = threading.Event()
    send, receive = trio.open_memory_channel[str](2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, done, receive)
        nursery.start_soon(trio.to_thread.run_sync, compute_rightly, done, send)


BUGGY, FIXED = buggy, fixed
