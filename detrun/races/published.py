"""Clocks that the tasks of a run have published in its objects, for later acquires to take in."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

from greenlet import getcurrent

from detrun.races.detector import Clock, RaceDetector
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.trio_host.private import CONTEXT


class Published:
    """The clocks published in one run, by object, and the names of trio's objects.

    Attributes:
        clocks: what was published in each object.
        messages: what was published with each message that is under way, by channel or queue, oldest first.
    """

    def __init__(self, run: ActiveRun) -> None:
        self.run = run
        self.detector = RaceDetector(run.path_of, lambda: run.step_index)
        self.clocks: dict[Hashable, Clock] = {}
        self.messages: dict[Hashable, deque[Clock]] = {}
        # trio's objects and their labels, by address: kept, so that addresses stay theirs.
        self._kept: dict[int, tuple[Any, str]] = {}
        self._counts: dict[str, int] = {}

    def in_step(self) -> bool:
        """Whether a task is running, and not a timer or the loop itself."""
        return hasattr(CONTEXT, "task") or type(getcurrent()) is SimulatedThread

    def release(self, key: Hashable, what: str) -> None:
        """The running task publishes its past in an object."""
        self.clocks[key] = self.detector.release(self.run.current, self.clocks.get(key), what)

    def acquire(self, key: Hashable) -> None:
        """The running task sees what was published in an object."""
        self.detector.acquire(self.run.current, self.clocks.get(key))

    def label(self, thing: Any) -> str:
        """``Event[0]``: by class and order of first use."""
        found = self._kept.get(id(thing))
        if found is None:
            kind = type(thing).__name__
            index = self._counts.get(kind, 0)
            self._counts[kind] = index + 1
            found = self._kept[id(thing)] = (thing, f"{kind}[{index}]")
        return found[1]
