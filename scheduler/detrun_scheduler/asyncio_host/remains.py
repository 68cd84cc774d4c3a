"""What is left of an event loop whose process was killed, or that was closed with open transports.

In life the operating system takes the memory of a killed process back. Here none of the code that would take tasks and
transports apart runs, so they stand still for the rest of the run. They form cycles: a task refers to its coroutine,
whose variables mostly lead to the task, and a transport and its protocol refer to each other. Campaigns keep the
garbage collector off, so the cycles are broken here, at the end of the run.
"""

from __future__ import annotations

import asyncio
from typing import Any

from detrun_scheduler.asyncio_host.private import HELD, LEADING_BACK, PARTS


class Remains:
    """Of one event loop, which is over.

    Args:
        loop: it.
        timers: what was set in it and is not due any more.
        is_killed: its process was killed; in life that leaves no transport to be warned of.
    """

    def __init__(self, loop: Any, timers: list[Any], is_killed: bool = False) -> None:
        self._loop = loop
        self._timers = timers
        self._is_killed = is_killed
        self._tasks: list[Any] = []
        loop.run.threads.at_end.insert(0, self._let_go)  # after the network, in which sockets can be closed then

    def add(self, task: Any) -> None:
        """A task that had not ended when the process was killed."""
        task._log_destroy_pending = False
        if isinstance(task, asyncio.Task):  # a factory may have made something of its own
            self._tasks.append(task)

    def _let_go(self) -> None:
        loop = self._loop
        made = vars(loop)  # the rest is made when something asks for it
        selector = made.get("_selector")
        for task in self._tasks:
            _take_from(task)
        for timer in self._timers:
            timer._callback = timer._args = None
        children = list(made.get("subprocesses", ()))
        transports = list(made.get("_transports", {}).values())
        for transport in (*transports, *_pipes_of(children, selector)):
            if self._is_killed:  # or it would warn that it has not been closed, and so would its stream
                transport._closing = True
                vars(transport).update(dict.fromkeys(HELD))
            _take_apart(transport)
        for transport in children:
            transport._closed = True  # or it would close pipes of a process that is over
            transport._pipes.clear()
            transport._proc = None
            _take_apart(transport)
        if selector is not None:
            selector.close()
        loop.forget_run()
        self._tasks.clear()
        self._timers.clear()


def _pipes_of(children: list[Any], selector: Any) -> list[Any]:
    """Transports of pipes, to subprocesses and others."""
    of_children = [one.pipe for child in children for one in child._pipes.values()]
    keys = () if selector is None else selector.get_map().values()
    handles = [handle for key in keys for handle in key.data if handle is not None]
    registered = [getattr(handle._callback, "__self__", None) for handle in handles]
    return [one for one in (*of_children, *registered) if isinstance(one, asyncio.BaseTransport)]


def _take_apart(transport: Any) -> None:
    waiting = [transport]
    while waiting:
        one = waiting.pop()
        known = vars(one) if type(one).__module__.startswith("asyncio.") else {}
        for name in LEADING_BACK:
            if known.get(name) is not None:
                if name in PARTS:
                    waiting.append(known[name])
                known[name] = None


def _take_from(task: Any) -> None:
    """Let ``task`` refer to its coroutine and to what it waits for no more."""
    waits_for = task._fut_waiter
    _TASK.__init__(task, _ENDED, loop=_NO_LOOP, name=task.get_name())
    task._log_destroy_pending = False
    if waits_for is not None:
        for callback, _ in waits_for._callbacks or ():
            waits_for.remove_done_callback(callback)


_TASK: Any = asyncio.Task


async def _ends() -> None:
    """What such a task has in place of its coroutine."""


_ENDED: Any = _ends()
_ENDED.close()


class _NoLoop:
    """What such a task has in place of its loop."""

    def get_debug(self) -> bool:
        """It is not on."""
        return False

    def call_soon(self, *_: Any, **__: Any) -> None:
        """Nothing is called."""


_NO_LOOP: Any = _NoLoop()
