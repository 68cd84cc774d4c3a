"""A task takes a thread's lock while the thread, holding it, waits for the event loop.

Source: written for this benchmark. The bug: the thread has the lock and asks the event loop to run something; before
the loop comes to that, a task blocks the whole loop in ``lock.acquire()``. If the task comes first, or after, all is
well.
"""

import threading

import trio


class Journal:
    """Entries guarded by a lock that both sides take."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: list[str] = []


def write_from_thread(journal: Journal) -> None:
    with journal.lock:
        name = trio.from_thread.run_sync(lambda: "thread")
        journal.entries.append(name)


def write_rightly(journal: Journal) -> None:
    name = trio.from_thread.run_sync(lambda: "thread")
    with journal.lock:
        journal.entries.append(name)


async def write_from_task(journal: Journal) -> None:
    await trio.lowlevel.checkpoint()
    with journal.lock:
        journal.entries.append("task")


async def buggy() -> None:
    journal = Journal()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, write_from_thread, journal)
        nursery.start_soon(write_from_task, journal)
    assert sorted(journal.entries) == ["task", "thread"]


async def fixed() -> None:
    journal = Journal()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, write_rightly, journal)
        nursery.start_soon(write_from_task, journal)
    assert sorted(journal.entries) == ["task", "thread"]


BUGGY, FIXED = buggy, fixed
