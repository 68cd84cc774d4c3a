"""A task and a worker thread count in one dictionary, and only the thread takes the lock.

Source: written for this benchmark. The bug: the thread counts between the task's read and its write, which an await
keeps apart; the thread's count is lost. Without the thread, and without the await, the task's code is right.
"""

import threading

import trio


class Counts:
    """Words by the number of their occurrences."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.words = {"the": 0}

    def count(self) -> None:
        with self.lock:
            self.words["the"] += 1


async def count_here(counts: Counts) -> None:
    for _ in range(2):
        seen = counts.words["the"]
        await trio.lowlevel.checkpoint()  # looks the word up elsewhere
        counts.words["the"] = seen + 1


async def count_rightly(counts: Counts) -> None:
    for _ in range(2):
        await trio.lowlevel.checkpoint()
        counts.count()


async def buggy() -> None:
    counts = Counts()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, counts.count)
        nursery.start_soon(count_here, counts)
    assert counts.words["the"] == 3, f"counted {counts.words['the']} of 3"


async def fixed() -> None:
    counts = Counts()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, counts.count)
        nursery.start_soon(count_rightly, counts)
    assert counts.words["the"] == 3, f"counted {counts.words['the']} of 3"


BUGGY, FIXED = buggy, fixed
