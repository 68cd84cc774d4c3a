"""The network of a program that opens no world: one machine, the program's own, called localhost.

A room above simulates it and says so here. The first thing that needs a network opens it: a call of an event loop of
asyncio's, one of the names below, a pipe or a process. It is closed with the run. Tasks of trio do not open it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from detrun_scheduler.environment import process_names
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.threads.calling import threads_in_place
from detrun_scheduler.threads.simulated_thread import SimulatedThread

# Opens it for a run, sees to its end, and returns what gives the names of sockets back.
opener: Callable[[Any], Callable[[], None]] | None = None
_restore: Callable[[], None] | None = None  # of the one that is open
_opened_for = -1  # serial of the run in which it was opened last

# Gives what simulates processes for the code that calls, while a network is open; its methods have the names of `os`.
processes_here: Callable[[], Any] | None = None

_REAL: Any = socket.socket


def is_open(run: Any) -> bool:
    """Whether it has been opened in ``run``."""
    return bool(run.serial == _opened_for)


def _has_network(run: Any) -> bool:
    """Whether it has been opened in ``run``, or a world is open."""
    return run.host.local_time is not None or is_open(run)  # the first is set while a world is open


def open_for(run: Any) -> bool:
    """Open it in ``run`` unless a network is there; whether there is one now."""
    global _opened_for, _restore
    if _has_network(run):
        return True
    if opener is None:
        return False
    _restore = opener(run)
    _opened_for = run.serial
    return True


def is_open_now() -> bool:
    """Whether the caller has a network now, of which the names of ``socket`` then are."""
    threads = threads_in_place()
    if threads is None:
        return False
    run = threads.run
    if type(getcurrent()) is SimulatedThread or run.asyncio is not None:
        return open_for(run)
    return _has_network(run)


class _Opening(type):
    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        if cls is not FirstSocket:
            return super().__call__(*arguments, **options)
        return (socket.socket if is_open_now() else _REAL)(*arguments, **options)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _REAL)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return issubclass(kind, _REAL)


class FirstSocket(_REAL, metaclass=_Opening):  # type: ignore[misc]  # Any
    """``socket.socket`` in a run, until something makes one."""

    __slots__ = ()


def _opening(name: str) -> Callable[..., Any]:
    def opens(*arguments: Any, **options: Any) -> Any:
        return (getattr(socket, name) if is_open_now() else NAMES.originals[name])(*arguments, **options)

    opens.__name__ = opens.__qualname__ = name
    return opens


_FUNCTIONS = (
    *("getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "socketpair"),
    *("if_nameindex", "if_nametoindex", "if_indextoname"),
)

NAMES = ReplacedNames(socket, {name: _opening(name) for name in _FUNCTIONS}, may_stay=True)
# It may not stay between runs: trio asks whether the class of a socket is that of the name.
CLASS = ReplacedNames(socket, {"socket": FirstSocket})


_OPENING_CALLS = frozenset(("fork_exec", "pipe", "pipe2"))  # other calls mean something only where there is a network


def _process_call(name: str) -> Any:
    """What simulates the function ``name`` of `process_names` for the code that calls; None where nothing does."""
    if (name in _OPENING_CALLS and not is_open_now()) or processes_here is None or threads_in_place() is None:
        return None
    return getattr(processes_here(), name, None)


def begin_run() -> None:
    """A run begins without a network."""
    process_names.lead_to(_process_call)


def end_of_run() -> None:
    """Put the names back that an open network has given on top of those above."""
    global _restore
    process_names.lead_to(None)
    if _restore is not None:
        _restore()
        _restore = None
