"""Simulated sockets as `select.select`, `poll` and `epoll` see them: ready or not, and waited for by threads.

A simulated thread sleeps until a socket that it watches, or the time-out, lets it go on. A task may ask which sockets
are ready; if none is, waiting would stop its event loop and with it whatever could make one ready, so that is refused.
Pipes lead to threads and processes, which go on meanwhile: for these it blocks its event loop, as in life.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from greenlet import getcurrent

from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads.calling import wait_in_task
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind

IN, OUT = select.POLLIN, select.POLLOUT  # epoll has the same numbers
_IN_A_TASK = "no simulated socket is ready, and waiting here would stop the task's event loop; await the socket instead"
_WAIT = WaitKind("select")


class WatchedSockets:
    """Simulated sockets by their numbers, with the events that are waited for."""

    def __init__(self, run: ActiveRun) -> None:
        self._run = run
        self._sockets = run.host.sockets
        self.events: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self.events)

    def ready(self) -> list[tuple[int, int]]:
        """Numbers and events of those that are ready, in the order of registering."""
        return [
            (number, found)
            for number, events in self.events.items()
            if number in self._sockets and (found := _ready(self._sockets[number], events))
        ]

    def _waiters(self) -> Iterator[Any]:
        for number, events in self.events.items():
            socket = self._sockets.get(number)
            if socket is not None:
                if events & IN:
                    yield socket.readers
                if events & OUT:
                    yield socket.writers

    def _are_pipes(self) -> bool:
        return all(getattr(self._sockets.get(number), "is_pipe", False) for number in self.events)

    def wait(self, call: str, ask: Callable[[], Any], deadline: Any, is_something: Callable[[Any], bool]) -> Any:
        """What ``ask()`` gives once there is something, or at the virtual time ``deadline``."""
        thread = getcurrent()
        if type(thread) is not SimulatedThread:
            found = ask()
            if is_something(found):
                return found
            if not self._are_pipes():
                refuse(f"{call} of a simulated socket", _IN_A_TASK)
            wait_in_task(self._run, lambda: is_something(ask()), self, deadline)
            return ask()
        watched = list(self._waiters())
        for waiters in watched:
            waiters.watch(thread.wake)
        try:
            found = ask()
            while not is_something(found) and thread.wait(_WAIT, self, deadline):
                found = ask()
            return found
        finally:
            for waiters in watched:
                waiters.unwatch(thread.wake)

    def blocking_report(self) -> tuple[str, Iterable[int]]:
        """What reports say of a thread that waits here."""
        awaited = [
            self._sockets[number].awaited(bool(events & IN))
            for number, events in self.events.items()
            if number in self._sockets
        ]
        return f"select: {'; '.join(awaited[:3])}", ()


def _ready(socket: Any, events: int) -> int:
    found = IN if events & IN and socket.is_readable() else 0
    return found | OUT if events & OUT and socket.is_writable() else found
