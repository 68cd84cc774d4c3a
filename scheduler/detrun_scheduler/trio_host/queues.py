"""The run queue, to which trio appends the tasks that become runnable, and which numbers them.

The runnable numbers are a list, in which taking one out of the middle moves those behind it: among a few thousand the
fastest way there is, among a hundred thousand 36 µs a step. From ``CROWD`` on they are a `SortedList`, which takes 5 µs
however many there are (measured on 2026-11-28, CPython 3.11; the two are equal at 16,000).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Container

from sortedcontainers import SortedList
from trio.lowlevel import Task

CROWD = 20_000  # runnable tasks


class RunQueue:
    """The runnable tasks, by the numbers that it gives them in the order of spawning.

    It has no length of its own: `Runner.reschedule` asks for its truth each time, on behalf of guest mode only.

    Args:
        on_spawn: called with (task, number, parent task or None) for each new task.
        abandoned: tasks that are gone without having ended, and get no number.

    Attributes:
        numbers: of the runnable tasks; a list, or a `SortedList`, which has what is used of a list but ``insert``.
        put: ``put(numbers, number)`` adds one.

    Invariants: ``numbers`` is sorted and distinct; ``woken`` holds the numbers appended since the loop last looked,
    first steps of new tasks excepted; ``number_of`` and ``by_number`` are each other's inverse, of living tasks.
    """

    __slots__ = ("abandoned", "by_number", "number_of", "numbers", "on_spawn", "put", "spawned", "woken")

    def __init__(self, on_spawn: Callable[[Task, int, Task | None], None], abandoned: Container[Task]) -> None:
        self.on_spawn = on_spawn
        self.abandoned = abandoned
        self.number_of: dict[Task, int] = {}
        self.by_number: dict[int, Task] = {}
        self.spawned = 0  # the next number
        self.numbers: list[int] = []
        self.put: Callable[[list[int], int], None] = insort
        self.woken: list[int] = []

    def begin(self, on_spawn: Callable[[Task, int, Task | None], None]) -> None:
        """Serve a run from here on; every task of the last has ended."""
        self.on_spawn = on_spawn
        self.spawned = 0
        self.numbers, self.woken = [], []
        self.put = insort

    def append(self, task: Task) -> None:
        """Called by trio's ``reschedule``."""
        number = self.number_of.get(task)
        if number is not None:
            self.put(self.numbers, number)
            self.woken.append(number)
        elif task not in self.abandoned:
            self.append_new(task)

    def append_new(self, task: Task) -> None:
        """As `append`, for a task that has just been made."""
        number = self.spawned
        self.spawned = number + 1
        self.number_of[task] = number
        self.by_number[number] = task
        task._counter = number
        nursery = task._parent_nursery
        self.on_spawn(task, number, nursery._parent_task if nursery is not None else None)
        self.put(self.numbers, number)

    def fit(self) -> bool:
        """Keep the numbers in the way that suits how many they are; True: ``numbers`` and ``put`` are others now."""
        if self.put is insort:
            if len(self.numbers) <= CROWD:
                return False
            self.numbers, self.put = SortedList(self.numbers), SortedList.add
        else:
            if len(self.numbers) > CROWD // 4:  # well below, so that a run does not go to and fro
                return False
            self.numbers, self.put = list(self.numbers), insort
        return True

    def _check(self) -> None:
        """Assert the invariants that hold between two steps."""
        assert list(self.numbers) == sorted(set(self.numbers)), self.numbers
        assert set(self.woken) <= set(self.numbers), (self.woken, self.numbers)
