"""Simulated sockets as `select.select`, `poll` and `epoll` see them: ready or not, and waited for by threads.

A simulated thread sleeps until a socket that it watches, or the time-out, lets it go on. A task may ask which sockets
are ready. If none is, waiting is refused: it would stop the task's event loop, and with it whatever could make a socket
ready. Pipes are another matter. They lead to threads and processes, which go on meanwhile, so a task that waits for one
blocks its event loop, as in life.
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
FAILED, HUNG_UP = select.POLLERR, select.POLLHUP  # told unasked
SHUT: int = getattr(select, "POLLRDHUP", 0)
CLOSED = select.POLLNVAL
ONCE: int = getattr(select, "EPOLLONESHOT", 0)
EDGE: int = getattr(select, "EPOLLET", 0)
_IN_A_TASK = "no simulated socket is ready, and waiting here would stop the task's event loop; await the socket instead"
_WAIT = WaitKind("select")


class WatchedSockets:
    """Simulated sockets by their numbers, with the events that are waited for.

    Of epoll's modes, ``EPOLLONESHOT`` says a socket once until it is watched anew, ``EPOLLET`` when something has come.
    That a number has been closed is said once, too. Linux says it in each call, at once. A loop that leaves the number
    there, as pysyncobj's does, turns without waiting then, and here virtual time would stand still for ever.

    Args:
        run: whose sockets they are.
        closed: the event that tells of a number that has been closed; 0 if it is passed over.
    """

    def __init__(self, run: ActiveRun, closed: int = 0) -> None:
        self._run = run
        self._closed = closed
        self._told: set[int] = set()  # of those that are said once
        self._sockets = run.host.sockets
        self.events: dict[int, int] = {}
        self._edges: dict[int, Edge] = {}

    def watch(self, number: int, events: int) -> None:
        """Watch a socket for events, from now on."""
        self.forget(number)
        self.events[number] = events
        if events & EDGE:
            self._edges[number] = Edge(self._sockets[number])

    def forget(self, number: int) -> bool:
        """Watch it no more; whether it was watched."""
        self._told.discard(number)
        if number in self._edges:
            self._edges.pop(number).end()
        return self.events.pop(number, None) is not None

    def said(self, found: Iterable[tuple[int, int]]) -> None:
        """A call has told the program of these."""
        for number, _ in found:
            events = self.events.get(number, 0)
            if events & ONCE or (number in self.events and number not in self._sockets):
                self._told.add(number)
            if number in self._edges:
                self._edges[number].is_new = False

    def __bool__(self) -> bool:
        return bool(self.events)

    def ready(self) -> list[tuple[int, int]]:
        """Numbers and events of those that are ready, in the order of registering."""
        return [(number, found) for number, events in self.events.items() if (found := self._found(number, events))]

    def _found(self, number: int, events: int) -> int:
        socket = self._sockets.get(number)
        if number in self._told or (number in self._edges and not self._edges[number].is_new):
            return 0
        if socket is None:
            return self._closed
        found: int = socket.polled(events)
        return found & (events | FAILED | HUNG_UP)

    def _waiters(self) -> Iterator[Any]:
        for number, events in self.events.items():
            socket = self._sockets.get(number)
            if socket is not None and number not in self._told:
                if events & (IN | SHUT) or not events & OUT:
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


class Edge:
    """Whether something has come at a socket since the program was told of it."""

    def __init__(self, socket: Any) -> None:
        self.is_new = True
        self._waiters = (socket.readers, socket.writers)
        for one in self._waiters:
            one.watch(self._came)

    def _came(self) -> None:
        self.is_new = True

    def end(self) -> None:
        """It is watched no more."""
        for one in self._waiters:
            one.unwatch(self._came)
