"""The run queue, to which trio appends the tasks that become runnable, and which numbers them."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Container

from trio.lowlevel import Task


class RunQueue:
    """The runnable tasks, by the numbers that it gives them in the order of spawning.

    It has no length of its own: `Runner.reschedule` asks for its truth each time, on behalf of guest mode only.

    Args:
        on_spawn: called with (task, number, parent task or None) for each new task.
        abandoned: tasks that are gone without having ended, and get no number.

    Invariants: ``numbers`` is sorted and distinct; ``woken`` holds the numbers appended since the loop last looked,
    first steps of new tasks excepted; ``number_of`` and ``by_number`` are each other's inverse, of living tasks.
    """

    __slots__ = ("abandoned", "by_number", "number_of", "numbers", "on_spawn", "spawned", "woken")

    def __init__(self, on_spawn: Callable[[Task, int, Task | None], None], abandoned: Container[Task]) -> None:
        self.on_spawn = on_spawn
        self.abandoned = abandoned
        self.number_of: dict[Task, int] = {}
        self.by_number: dict[int, Task] = {}
        self.spawned = 0  # the next number
        self.numbers: list[int] = []
        self.woken: list[int] = []

    def append(self, task: Task) -> None:
        """Called by trio's ``reschedule``."""
        number = self.number_of.get(task)
        if number is not None:
            insort(self.numbers, number)
            self.woken.append(number)
        elif task not in self.abandoned:
            number = self.spawned
            self.spawned = number + 1
            self.number_of[task] = number
            self.by_number[number] = task
            task._counter = number
            nursery = task._parent_nursery
            self.on_spawn(task, number, nursery._parent_task if nursery is not None else None)
            self.numbers.append(number)

    def _check(self) -> None:
        """Assert the invariants that hold between two steps."""
        assert all(one < next for one, next in zip(self.numbers, self.numbers[1:], strict=False)), self.numbers
        assert set(self.woken) <= set(self.numbers), (self.woken, self.numbers)
