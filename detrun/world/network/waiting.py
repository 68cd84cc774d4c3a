"""Calls that wait for a pipe or a process: a simulated thread sleeps, and a task blocks its event loop, as in life."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from greenlet import getcurrent

from detrun.world.network.waiters import Waiters
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads.calling import wait_in_task
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind


class WaitingCall:
    """One call that waits.

    Args:
        run: that it is made in.
        name: of the function, for reports.
        waiters: what is told when it is worth looking again.
        is_ready: whether the call can go on.
        awaited: what lets it go on, for reports.
    """

    __slots__ = ("_awaited", "_is_ready", "_name", "_run", "_waiters")

    def __init__(
        self, run: ActiveRun, name: str, waiters: Waiters, is_ready: Callable[[], bool], awaited: Callable[[], str]
    ) -> None:
        self._run, self._name, self._waiters = run, name, waiters
        self._is_ready, self._awaited = is_ready, awaited

    def wait(self, deadline: Any = None) -> None:
        """Return when the call can go on, or at the virtual time ``deadline``."""
        thread = getcurrent()
        if type(thread) is not SimulatedThread:
            if not self._is_ready():
                wait_in_task(self._run, self._is_ready, self, deadline)
            return
        self._waiters.watch(thread.wake)
        try:
            while not self._is_ready():
                if not thread.wait(_kind(self._name), self, deadline):
                    return
        finally:
            self._waiters.unwatch(thread.wake)

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """What reports say of the thread that waits."""
        return f"{self._name}: {self._awaited()}", ()


@lru_cache(maxsize=64)
def _kind(name: str) -> WaitKind:
    return WaitKind(name)
