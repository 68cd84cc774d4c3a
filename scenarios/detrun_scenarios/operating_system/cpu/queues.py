"""`RunQueue`: the threads that wait for one core, and the rule by which the next one is taken.

A queue is one list, which is searched. Machines have few threads a core, and the claims of those in a queue change:
by donations, while they wait.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.cpu.threads import Thread


class RunQueue(ABC):
    """What all rules share.

    Attributes:
        threads: those that wait, in the order in which they came. The one that runs is in no queue.
    """

    def __init__(self, settings: CpuSettings) -> None:
        self.settings = settings
        self.threads: list[Thread] = []

    def add(self, thread: Thread, woken: bool) -> None:
        """A thread waits from now on: it has woken, or has lost its core."""
        self.threads.append(thread)

    def remove(self, thread: Thread) -> None:
        """It waits here no longer."""
        self.threads.remove(thread)

    @abstractmethod
    def next(self) -> Thread | None:
        """The one that should run next, still in the queue; None if none waits."""

    @abstractmethod
    def slice_of(self, thread: Thread) -> Any:
        """Seconds that a thread may run now before others have their turn; it is in no queue."""

    @abstractmethod
    def preempts(self, new: Thread, running: Thread) -> bool:
        """Whether one that has just come takes the core from the one that runs."""

    @abstractmethod
    def patience(self, thread: Thread) -> float:
        """Seconds of other threads by which one that waits here is passed over at most."""

    def charge(self, thread: Thread, seconds: Any) -> None:  # noqa: B027  (few rules need it)
        """The one that has the core has run so long."""

    def leaves(self, thread: Thread) -> None:  # noqa: B027  (few rules need it)
        """It goes to the queue of another core, or has gone."""

    def arrives(self, thread: Thread) -> None:  # noqa: B027  (few rules need it)
        """It comes from the queue of another core, or is new."""

    def __len__(self) -> int:
        return len(self.threads)
