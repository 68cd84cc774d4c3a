"""`Core`: what one core does now: the thread that runs, since when, and how much of its slice is left."""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.operating_system.cpu.queues import RunQueue
from detrun_scenarios.operating_system.cpu.threads import Thread

ROUNDING = 1e-12  # seconds that are no work: what is left where a clock of 64 bits is added to


class Core:
    """See the module.

    Attributes:
        queue: of those that wait for it.
        current: the thread that runs; None for the idle thread.
        last: the thread that ran before, whose registers and cache lines it has.
        must_switch: the one that runs is to give way as soon as it looks.
        is_asleep: the idle thread is about to halt it, or has; `kick` wakes it then.
        is_halted: it has.
        slice_left: of the current thread.
        busy: seconds for which it had threads; a Value.
        switches, migrations: how often it took up another thread, and one from elsewhere.
    """

    __slots__ = (
        "_began",
        "busy",
        "current",
        "idles",
        "index",
        "is_asleep",
        "is_halted",
        "kick",
        "last",
        "lot",
        "migrations",
        "must_switch",
        "queue",
        "slice_left",
        "switches",
    )

    def __init__(self, index: int, queue: RunQueue) -> None:
        self.index = index
        self.queue = queue
        self.current: Thread | None = None
        self.last: Thread | None = None
        self.must_switch = False
        self.is_asleep = False
        self.is_halted = False
        self.slice_left: Any = 0.0
        self.busy: Any = 0.0
        self.switches = 0
        self.migrations = 0
        self.idles = trio.Event()  # set when the idle thread has the core
        self.kick = trio.Event()
        self.lot = trio.lowlevel.ParkingLot()
        self._began: Any = 0.0
        self.idles.set()

    @property
    def is_idle(self) -> bool:
        """No thread runs here, and none waits."""
        return self.current is None and not self.queue.threads

    @property
    def load(self) -> Any:
        """The weights of all who want this core."""
        found: Any = 0.0
        for thread in self.queue.threads:
            found = found + thread.weight
        return found if self.current is None else found + self.current.weight

    def begin(self, thread: Thread, slice_seconds: Any) -> None:
        """A thread has the core from now on."""
        self.current, self.must_switch, self.slice_left = thread, False, slice_seconds
        self._began = trio.current_time()

    def account(self) -> None:
        """Charge the thread that runs for the time since this was last called, as far as it wanted it and had it.

        What is beyond that is the time of no thread: a virtual machine's host takes some, and so do the schedules of an
        exploration, in which a task that could go on is kept waiting.
        """
        thread, now = self.current, trio.current_time()
        assert thread is not None
        seconds = detrun.minimum(now - self._began, detrun.minimum(thread.left, self.slice_left))
        self._began = now
        if seconds > 0.0:
            thread.left = thread.left - seconds
            thread.ran = thread.ran + seconds
            self.busy = self.busy + seconds
            self.slice_left = self.slice_left - seconds
            self.queue.charge(thread, seconds)

    async def execute(self) -> None:
        """The thread that has the core computes until it has what it wanted, its slice ends, or it must give way."""
        self.account()
        thread = self.current
        assert thread is not None
        planned: Any = detrun.minimum(thread.left, self.slice_left)
        if planned > 0.0 and not self.must_switch:
            with trio.move_on_after(planned):
                await self.lot.park()
            self.account()
        if thread.left < ROUNDING:
            thread.left = 0.0
        if self.slice_left < ROUNDING:
            self.slice_left = 0.0

    def interrupt(self) -> None:
        """The thread that runs gives way at once."""
        self.must_switch = True
        self.lot.unpark_all()
