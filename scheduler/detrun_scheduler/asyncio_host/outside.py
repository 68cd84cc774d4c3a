"""What an event loop of asyncio cannot do in a run: real sockets and pipes, processes, signal handlers.

Each is refused by name, with the way out.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Any, NoReturn

from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.errors import HiddenStateError

_NETWORK = (
    "streams and sockets of asyncio are not simulated yet; connect tasks by asyncio.Queue, or do the I/O outside the "
    "run"
)
_PROCESS = "other processes are not deterministic; start it outside the run and pass in what it printed"
_SIGNAL = "no signal arrives in a run; call the handler from a task"


class SignalsRefusedError(HiddenStateError, NotImplementedError):
    """A signal handler, refused; programs that go on without on Windows go on without here."""


class ChildWatchersRefusedError(HiddenStateError, NotImplementedError):
    """A watcher of child processes, refused; policies of platforms without one raise `NotImplementedError`, too."""


def refuse_child_watcher(called: str) -> NoReturn:
    """Say that ``called``, a function of asyncio, is refused."""
    raise ChildWatchersRefusedError(f"{called} inside a run: {_PROCESS}")


class NoSelector(selectors.BaseSelector):
    """What asyncio registers its file descriptors with: refused."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> NoReturn:
        refuse("waiting for a file descriptor", _NETWORK)

    def unregister(self, fileobj: Any) -> NoReturn:
        raise KeyError(f"{fileobj!r} is not registered")

    def select(self, timeout: float | None = None) -> list[Any]:
        return []

    def get_map(self) -> dict[Any, Any]:
        return {}


class RefusesTheOutside:
    """The methods of an event loop that reach out of the process."""

    _internal_fds: int

    def _make_self_pipe(self) -> None:
        self._internal_fds += 1

    def _close_self_pipe(self) -> None:
        self._internal_fds -= 1

    def _write_to_self(self) -> None:
        """No selector waits."""

    def add_signal_handler(self, sig: Any, callback: Callable[..., Any], *args: Any) -> NoReturn:
        """Refused."""
        raise SignalsRefusedError(f"loop.add_signal_handler inside a run: {_SIGNAL}")

    def remove_signal_handler(self, sig: Any) -> bool:
        """There are none."""
        return False

    async def subprocess_shell(self, *args: Any, **options: Any) -> Any:
        """Refused."""
        refuse("asyncio.create_subprocess_shell", _PROCESS)

    async def subprocess_exec(self, *args: Any, **options: Any) -> Any:
        """Refused."""
        refuse("asyncio.create_subprocess_exec", _PROCESS)


def _refused(name: str, called: str) -> Any:
    async def refused(self: Any, *args: Any, **options: Any) -> None:
        refuse(called, _NETWORK)

    refused.__name__ = refused.__qualname__ = name
    return refused


for _name, _called in {
    "create_connection": "asyncio.open_connection",
    "create_server": "asyncio.start_server",
    "create_unix_connection": "asyncio.open_unix_connection",
    "create_unix_server": "asyncio.start_unix_server",
    "create_datagram_endpoint": "loop.create_datagram_endpoint",
    "connect_read_pipe": "loop.connect_read_pipe",
    "connect_write_pipe": "loop.connect_write_pipe",
    "getaddrinfo": "loop.getaddrinfo",
    "getnameinfo": "loop.getnameinfo",
}.items():
    setattr(RefusesTheOutside, _name, _refused(_name, _called))
