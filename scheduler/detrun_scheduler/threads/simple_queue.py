"""`queue.SimpleQueue`, real outside a run; inside a run the real one is never waited in.

It is written in C and waits there, while the other queues of the standard library are Python code on top of locks. This
class takes its place when detrun is imported, since the queue of a module is made at its import.
"""

from __future__ import annotations

import queue
from _queue import Empty
from _queue import SimpleQueue as _RealSimpleQueue
from types import GenericAlias
from typing import Any

from greenlet import getcurrent

from detrun_scheduler import current
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.threads import waiting_threads
from detrun_scheduler.threads.calling import is_of_the_run, wait_in_task
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind
from detrun_scheduler.threads.waiting_threads import WaitingThreads

_PUT, _GET, _WAIT, _READ = (OPERATIONS.index(name) for name in ("put", "get", "wait", "read"))
_GET_WAIT = WaitKind("SimpleQueue.get")


class SimpleQueue:
    """`queue.SimpleQueue`; see the module's opening."""

    __slots__ = ("__weakref__", "_number", "_real", "_serial", "_waiters")

    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(self) -> None:
        self._real: Any = _RealSimpleQueue()
        self._serial = -1  # the run in which the next two were set
        self._number = -1
        self._waiters: WaitingThreads = []

    def _note(self, operation: int) -> None:
        run = current.run
        assert run is not None
        assert run.threads is not None
        if self._serial != run.serial:
            self._serial, self._number, self._waiters = run.serial, run.register("SimpleQueue"), []
            run.threads.touched.append(self)
        run.operation(self._number, operation, 0.0)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """As the real one: never waits."""
        thread = getcurrent()
        if type(thread) is SimulatedThread:
            thread.schedule_point()
        self._real.put(item)
        if is_of_the_run():
            self._note(_PUT)
            self._wake()

    def _wake(self) -> None:
        if self._waiters:
            run = current.run
            assert run is not None
            waiting_threads.wake(self._waiters, run, run.object_labels[self._number])

    def hand_on(self) -> None:
        """One that was woken will not look: wake others in its place."""
        if not self._real.empty():
            self._wake()

    def lost(self, thread: SimulatedThread) -> None:
        """A thread that waits here, or was woken, stands still for a while or for good."""
        if thread.is_over:
            waiting_threads.remove_thread(self._waiters, thread)
        self.hand_on()

    put_nowait = put

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """As the real one; a time-out is virtual."""
        thread = getcurrent()
        if type(thread) is not SimulatedThread:
            if not is_of_the_run():
                return self._real.get(block, timeout)
            if block and (timeout is None or timeout > 0) and self._real.empty():
                run = current.run
                assert run is not None
                self._note(_WAIT)
                until = None if timeout is None else run.virtual_clock.now + timeout
                wait_in_task(run, lambda: not self._real.empty(), self, until)
            self._note(_GET)
            return self._real.get(False)
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        thread.schedule_point()
        deadline: Any = None
        while self._real.empty():
            if not block or timeout == 0:
                self._note(_READ)
                raise Empty
            if timeout is not None and deadline is None:
                deadline = thread.threads.run.virtual_clock.now + timeout
            self._note(_WAIT)
            number = thread.threads.run.current
            waiting_threads.add(self._waiters, number, thread)
            woken = False
            try:
                woken = thread.wait(_GET_WAIT, self, deadline)
            finally:
                if not woken and not waiting_threads.remove(self._waiters, number):
                    self.hand_on()  # killed after an item woke it
            if not woken and self._real.empty():
                raise Empty
        item = self._real.get_nowait()
        self._note(_GET)
        return item

    def get_nowait(self) -> Any:
        """As the real one."""
        return self.get(False)

    def empty(self) -> bool:
        """As the real one."""
        thread = getcurrent()
        if type(thread) is SimulatedThread:
            thread.schedule_point()
            self._note(_READ)
        return bool(self._real.empty())

    def qsize(self) -> int:
        """As the real one."""
        thread = getcurrent()
        if type(thread) is SimulatedThread:
            thread.schedule_point()
            self._note(_READ)
        return int(self._real.qsize())

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """What reports say of a thread that waits here, and the tasks that it needs."""
        run = current.run
        assert run is not None
        return f"{run.object_labels[self._number]}.get (it is empty)", ()

    def end_of_run(self) -> None:
        """Called when the run is over."""
        self._serial = -1
        self._waiters = []


def install() -> None:
    """Take the place of the real one in `queue`, for the rest of the process."""
    queue.SimpleQueue = SimpleQueue  # type: ignore[misc, assignment]  # the real one is a class
