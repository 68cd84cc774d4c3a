"""The run queue, to which trio appends the tasks that become runnable."""

from __future__ import annotations

from bisect import insort
from collections.abc import Container, Mapping
from typing import Protocol

from trio.lowlevel import Task


class Numbering(Protocol):
    """What the run queue asks of the host: the numbers of tasks."""

    @property
    def numbers(self) -> Mapping[Task, int]:
        """The number of each living task that has been runnable before."""

    @property
    def abandoned(self) -> Container[Task]:
        """Tasks that are gone without having ended."""

    def adopt(self, task: Task) -> int:
        """Number a new task."""


class RunQueue:
    """The runnable tasks: their spawn numbers in ascending order.

    Invariants: ``numbers`` is sorted and distinct; ``woken`` holds the numbers appended since the loop last looked,
    first steps of new tasks excepted.
    """

    __slots__ = ("host", "numbers", "woken")

    def __init__(self, host: Numbering) -> None:
        self.host = host
        self.numbers: list[int] = []
        self.woken: list[int] = []

    def append(self, task: Task) -> None:
        """Called by trio's ``reschedule``."""
        number = self.host.numbers.get(task)
        if number is None:
            if task not in self.host.abandoned:
                self.numbers.append(self.host.adopt(task))
        else:
            insort(self.numbers, number)
            self.woken.append(number)

    def __len__(self) -> int:
        return len(self.numbers)

    def _check(self) -> None:
        """Assert the invariants that hold between two steps."""
        assert all(one < next for one, next in zip(self.numbers, self.numbers[1:], strict=False)), self.numbers
        assert set(self.woken) <= set(self.numbers), (self.woken, self.numbers)
