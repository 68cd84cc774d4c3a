"""Blocking calls on simulated sockets: a simulated thread sleeps until the socket is ready, or its time-out is over.

A task may not: while it blocks its event loop, nothing of its process could go on to send what it waits for. It may
wait for what comes within no time, as when it connects to a port of its own machine.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from greenlet import getcurrent

from detrun_scheduler.errors import HiddenStateError
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind


class BlockingCall:
    """One call of one method of a socket, which may have to wait several times.

    Args:
        socket: a TCP or UDP socket of a simulated machine.
        name: of the method, for reports.
        readable: whether it waits to read; to write otherwise.
        timeout: virtual seconds on the clock of the caller's machine; None for no limit.
    """

    __slots__ = ("_awaited", "_ends_at", "_run", "_socket", "_thread", "name", "readable")

    def __init__(self, socket: Any, name: str, readable: bool, timeout: Any) -> None:
        thread = getcurrent()
        self._thread = thread if type(thread) is SimulatedThread else None
        self.name, self.readable = name, readable
        self._socket, self._run = socket, socket.services.run
        self._awaited = ""
        self._ends_at: Any = None
        if timeout is not None:
            local_time = self._run.host.local_time
            seconds = timeout if local_time is None else local_time.true_seconds(timeout)
            self._ends_at = self._run.virtual_clock.now + seconds

    def wait(self) -> None:
        """Return when it is worth trying again.

        Raises:
            TimeoutError: the time is over.
            HiddenStateError: a task would wait for longer than no time.
        """
        socket, thread = self._socket, self._thread
        waiters = socket.readers if self.readable else socket.writers
        is_ready = socket.is_readable if self.readable else socket.is_writable
        if thread is None:
            timers, now = self._run.timers, self._run.time
            self._run.stand_still(lambda: is_ready() or timers.next_time() > now, self)
            if not is_ready():
                raise HiddenStateError(
                    f"socket.{self.name} would block a task inside a run, and nothing else of its event loop could "
                    "happen meanwhile; use streams of trio or asyncio, setblocking(False) and wait, or call it in a "
                    "thread"
                )
            return
        waiters.watch(thread.wake)
        try:
            while not socket.is_closed and not is_ready():
                self._awaited = socket.awaited(self.readable)
                if not thread.wait(_kind(self.name), self, self._ends_at):
                    raise TimeoutError("timed out")
        finally:
            waiters.unwatch(thread.wake)

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """What reports say of the thread that waits."""
        return f"socket.{self.name}: {self._awaited}", ()


@lru_cache(maxsize=64)
def _kind(name: str) -> WaitKind:
    return WaitKind(f"socket.{name}")
