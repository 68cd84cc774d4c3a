"""`SimulatedSelector`: where a simulated event loop registers sockets, as asyncio's own registers them with epoll.

It does not wait. A simulated socket tells its watchers when something has happened to it. If the socket is ready then,
what asyncio has registered for it is queued among the loop's callbacks. It is queued again after it has run, for as
long as the socket stays ready: a level-triggered selector reports a ready socket in every round.

File descriptors of the operating system are refused, since nothing decides when one of them becomes ready.
"""

from __future__ import annotations

import errno
import os
import selectors
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from typing import Any, Protocol

from detrun_scheduler.environment.file_names import is_on_a_disk
from detrun_scheduler.environment.hidden_state import refuse

_REAL = (
    "when a real file descriptor becomes ready is not deterministic; use the sockets and streams of a detrun.World, "
    "connect tasks by asyncio.Queue, or do the I/O outside the run"
)


class ReadyingSocket(Protocol):
    """A simulated socket as a selector sees it."""

    readers: Any  # with ``watch`` and ``unwatch``
    writers: Any
    is_closed: bool

    def is_readable(self) -> bool:
        """Whether a read would not block."""

    def is_writable(self) -> bool:
        """Whether a write would not block."""


class Readiness:
    """One direction of one socket, and what to call when it is ready. Looks like a handle to the lane that runs it."""

    __slots__ = ("_has_come", "_is_queued", "_socket", "_waiters", "handle", "loop")
    _cancelled = False

    def __init__(self, loop: Any, socket: ReadyingSocket, event: int, handle: Any) -> None:
        self.loop = loop
        self.handle = handle
        self._is_queued = False
        reads = event == EVENT_READ
        self._socket = socket
        self._has_come = socket.is_readable if reads else socket.is_writable
        self._waiters = socket.readers if reads else socket.writers
        self._waiters.watch(self.look)
        self.look()

    def look(self) -> None:
        """Something may have changed: queue the handle if the socket is ready."""
        if not self._is_queued and self.handle is not None and not self.loop.is_over and self._is_ready():
            self._is_queued = True
            line = self.loop.line
            if line is None:
                self.loop.push_timer(self)
            else:
                line.put_timer(self, self.loop.push_timer)  # as the stock loop asks its selector between two rounds

    def _run(self) -> None:
        self._is_queued = False
        handle = self.handle
        # Asked again: what ran since it was queued may have read what had come.
        if handle is not None and not handle._cancelled and self._is_ready():
            handle._run()
        self.look()

    def _is_ready(self) -> bool:
        return not self._socket.is_closed and self._has_come()  # epoll forgets what is closed

    def drop(self) -> None:
        """It is watched no more."""
        self.handle = None
        self._waiters.unwatch(self.look)


class SimulatedSelector(selectors.BaseSelector):
    """Simulated sockets of one loop that asyncio watches.

    Args:
        loop: whose it is.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._keys: dict[int, SelectorKey] = {}
        self._watched: dict[tuple[int, int], Readiness] = {}

    @property
    def is_used(self) -> bool:
        """Whether anything is registered."""
        return bool(self._keys)

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Watch a socket, or its number.

        Raises:
            HiddenStateError: it is a file descriptor of the operating system.
            KeyError: it is registered.
        """
        number = _number_of(fileobj)
        if number in self._keys:
            raise KeyError(f"{fileobj!r} is already registered")
        key = self._keys[number] = SelectorKey(fileobj, number, 0, (None, None))
        try:
            return self._change(key, events, data)
        except BaseException:
            del self._keys[number]
            raise

    def unregister(self, fileobj: Any) -> SelectorKey:
        """Watch it no more."""
        key = self._keys.pop(_number_of(fileobj))
        for event in (EVENT_READ, EVENT_WRITE):
            watched = self._watched.pop((key.fd, event), None)
            if watched is not None:
                watched.drop()
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Watch for other events, or call something else."""
        return self._change(self._keys[_number_of(fileobj)], events, data)

    def _change(self, key: SelectorKey, events: int, data: Any) -> SelectorKey:
        socket = self._loop.run.host.sockets.get(key.fd)
        if socket is None and not key.events:  # a simulated socket may have been closed since it was registered
            if is_on_a_disk(key.fd):
                raise OSError(errno.EPERM, os.strerror(errno.EPERM))  # as epoll says of files
            refuse("waiting for a file descriptor", _REAL)
        for event, handle in zip((EVENT_READ, EVENT_WRITE), data, strict=True):
            watched = self._watched.get((key.fd, event))
            if watched is not None and watched.handle is not handle:
                del self._watched[key.fd, event]
                watched.drop()
                watched = None
            if handle is not None and watched is None and socket is not None:
                self._watched[key.fd, event] = Readiness(self._loop, socket, event, handle)
        found = self._keys[key.fd] = SelectorKey(key.fileobj, key.fd, events, data)
        return found

    def select(self, timeout: float | None = None) -> list[Any]:
        """Nothing: sockets tell by themselves."""
        return []

    def get_key(self, fileobj: Any) -> SelectorKey:
        """What is registered for it; `KeyError` if nothing is."""
        return self._keys[_number_of(fileobj)]

    def get_map(self) -> Mapping[Any, SelectorKey]:
        """What is registered, by number."""
        return self._keys

    def close(self) -> None:
        """Watch nothing any more."""
        for key in list(self._keys):
            self.unregister(key)
        self._loop = None


def _number_of(fileobj: Any) -> int:
    number = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
    if number < 0:
        raise ValueError(f"Invalid file descriptor: {number}")
    return number
