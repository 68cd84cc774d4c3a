"""Paths of tasks that mean the same in every run of a process, for trials and narrations of one program.

A path has the name that the program gave the thread, and some programs count in a variable of the process: the pool of
psycopg calls its threads ``pool-1-worker-0`` in the first run and ``pool-2-worker-0`` in the next. A turn that names
the one does not apply to the other. So a schedule whose threads have numbers in their names is run twice. Where the
same task has two names its *shape* drifts (``main/pool-#-worker-#``), and from then on tasks of that shape are told
apart by the order in which their parent made them, and called as in the first run. All others have their own paths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_NUMBER = re.compile(r"\d+")
_SIBLING = re.compile(r"\[\d+\]$")


@dataclass(slots=True)
class SteadyPaths:
    """What is known of the paths of a program.

    Attributes:
        first: by shape and place among the tasks of that shape, the path in the first run that had it.
        drifting: shapes of paths that differ from run to run.
    """

    first: dict[tuple[str, int], str] = field(default_factory=dict)
    drifting: set[str] = field(default_factory=set)

    def of_run(self, run: Any) -> RunPaths:
        """The paths of a run that begins."""
        return RunPaths(self, run)

    def compare(self, one: RunPaths, other: RunPaths) -> None:
        """Learn from two runs of the same schedule."""
        for number, path in one.own.items():
            if other.own.get(number, path) != path:
                self.drifting.add(one.shapes[number][0])


class RunPaths:
    """The paths of the tasks of one run; each has to be asked for before its task ends.

    Attributes:
        own: by number, what the run itself calls the tasks.
        shapes: by number, the shape and the place among those of that shape.
    """

    def __init__(self, steady: SteadyPaths, run: Any) -> None:
        self.steady = steady
        self.run = run
        self.own: dict[int, str] = {}
        self.shapes: dict[int, tuple[str, int]] = {}
        self.found: dict[int, str] = {}
        self.steadied: dict[str, str] = {}  # by the run's own path
        self.counts: dict[str, int] = {}
        self.next = 0  # the tasks before it were found, as far as they had a path

    def of(self, task: int) -> str:
        """The path of a task."""
        path = self.found.get(task)
        if path is None:
            # In the order in which they were made. What has ended has stepped, and was asked for.
            for number in range(self.next, task + 1):
                if number in self.run.paths:
                    self._find(number)
            self.next = max(self.next, task + 1)
            path = self.found[task]
        return path

    def _find(self, task: int) -> None:
        own = self.own[task] = self.run.path_of(task)
        parent, slash, name = own.rpartition("/")
        above = self.steadied.get(parent, parent)
        shape = f"{above}{slash}{_NUMBER.sub('#', _SIBLING.sub('', name))}"
        place = self.counts.get(shape, 0)
        self.counts[shape] = place + 1
        self.shapes[task] = shape, place
        first = self.steady.first.setdefault((shape, place), f"{above}{slash}{name}")
        self.found[task] = self.steadied[own] = first if shape in self.steady.drifting else f"{above}{slash}{name}"

    @property
    def may_drift(self) -> bool:
        """Whether a task has a number in its name."""
        return any("#" in shape for shape, _ in self.shapes.values())
