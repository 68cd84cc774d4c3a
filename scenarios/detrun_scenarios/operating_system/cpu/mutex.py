"""`Mutex`: one thread holds it; those who wait donate their claims on cores to the one that does.

Without donations a thread of little claim that holds a mutex is kept from its core by those of middling claim, and they
by way of it keep off the most urgent one: priority inversion.

Source: Sha, Rajkumar and Lehoczky, "Priority inheritance protocols", IEEE Transactions on Computers 1990; Linux,
`kernel/locking/rtmutex.c`. A mutex goes from hand to hand: the next holder is the most urgent of those who wait.
"""

from __future__ import annotations

import errno

import trio

from detrun_scenarios.operating_system.cpu.scheduler import Scheduler
from detrun_scenarios.operating_system.cpu.threads import Thread


class Mutex:
    """See the module.

    Attributes:
        holder: None while it is free.
        waiting: those who want it, in the order in which they came, each with what wakes it.
    """

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.scheduler = scheduler
        self.name = name
        self.holder: Thread | None = None
        self.waiting: dict[Thread, trio.Event] = {}

    async def lock(self, thread: Thread) -> None:
        """Return when the thread holds it.

        Raises:
            OSError: EDEADLK, the holder waits for the thread, at once or by way of others.
        """
        holder = self.holder
        if holder is None:
            self.holder = thread
            await trio.lowlevel.checkpoint()
            return
        if _depends_on(thread, holder):
            raise OSError(errno.EDEADLK, f"{thread} waits for {self.name}, whose holder waits for it")
        has_it = self.waiting[thread] = trio.Event()
        self.scheduler.contended[self] = None
        self.donate(thread)
        async with self.scheduler.off_core(thread, f"the mutex {self.name}"):
            await has_it.wait()

    def unlock(self, thread: Thread) -> None:
        """Give it to the next.

        Raises:
            OSError: EPERM, the thread does not hold it.
        """
        if self.holder is not thread:
            raise OSError(errno.EPERM, f"{thread} does not hold {self.name}")
        for waiter in self.waiting:
            self.withdraw(waiter, thread)
        self.holder = None
        if self.waiting:
            self.holder = max(self.waiting, key=lambda one: (one.priority, -one.level))
            self.waiting.pop(self.holder).set()
            for waiter in self.waiting:
                self.donate(waiter)
        if not self.waiting:
            self.scheduler.contended.pop(self, None)
        self.scheduler.settle(thread)

    def donate(self, waiter: Thread) -> None:
        """The claim of one who waits is the holder's, too; it may be enough for a core at once."""
        holder = self.holder
        assert holder is not None
        holder.donors.append(waiter)
        self.scheduler.urge(holder)

    def withdraw(self, waiter: Thread, holder: Thread) -> None:
        """The holder is done; others may be more urgent now."""
        if waiter in holder.donors:
            holder.donors.remove(waiter)


def _depends_on(thread: Thread, other: Thread) -> bool:
    """Whether `other` waits for something that the thread holds."""
    return other is thread or any(_depends_on(donor, other) for donor in thread.donors)
