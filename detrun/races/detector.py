"""Data races: two accesses to one variable, at least one a write, that nothing orders.

Every task has a vector clock: how much of each other task's past it has seen. Where tasks synchronize, clocks flow: a
*release* publishes the clock of a task in an object, an *acquire* takes in what was published. Two accesses race if the
later one's task has not seen the earlier one. That this schedule kept them apart in time does not count, so one run
shows races that it did not suffer from; and a program without races gives none in any schedule. What counts as
synchronization in a run is decided in `happens_before.py`; this file knows clocks and variables only.

Between two tasks a race means that the order of the two accesses is left to the schedule. Code between two awaits is
atomic, so an unordered ``x += 1`` loses nothing, but whether it comes before or after a read elsewhere is not decided.

Source: Flanagan and Freund, "FastTrack: efficient and precise dynamic race detection", PLDI 2009. A variable remembers
its last write and, since the last write, one read of each task, a single one as long as reads are ordered; writes to
volatiles join clocks as in the paper. Departures: a read in the epoch of an earlier one by the same task is not
kept, as there, but a write always is, so that reports name the latest; accesses carry what reports need; and analysis
goes on after a race, with one report for each pair of source lines.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from detrun_scheduler.errors import DetrunError

RACES_MAX = 100  # reported in one run

Clock = dict[int, int]  # by task number: how many of its epochs are in the past; absent tasks count as 0


class DataRaceError(DetrunError):
    """The program has data races; ``races`` are those that this schedule showed."""

    def __init__(self, races: Iterable[Race]) -> None:
        self.races = tuple(races)
        super().__init__("\n".join(map(str, self.races)))


@dataclass(frozen=True, slots=True)
class AccessedPlace:
    """One access to a variable."""

    task: str  # path
    is_write: bool
    step: int
    line: str  # "file:line", empty if no user code was running
    holding: tuple[str, ...]  # locks

    def __str__(self) -> str:
        where = f", {self.line}" if self.line else ""
        holding = ", ".join(self.holding) if self.holding else "no lock"
        return f"{self.task} {'wrote' if self.is_write else 'read'} it at step {self.step}{where}, holding {holding}"


@dataclass(frozen=True, slots=True)
class Race:
    """Two accesses that nothing orders, in the order in which this schedule made them."""

    variable: str
    first: AccessedPlace
    second: AccessedPlace
    missing: str  # what the second task had last seen of the first

    def __str__(self) -> str:
        return f"data race on {self.variable}:\n  {self.first}\n  {self.second}\n  nothing orders them: {self.missing}"


@dataclass(slots=True)
class _Epoch:
    """An access, and when it was in its task's own count."""

    task: int
    epoch: int
    place: AccessedPlace


@dataclass(slots=True)
class _Variable:
    label: str
    write: _Epoch | None = None
    reads: dict[int, _Epoch] = field(default_factory=dict)  # since the write, by task


class RaceDetector:
    """Vector clocks of the tasks of one run, and the races among the accesses they make.

    Args:
        path_of: the path of a task.
        step: the number of the running step.
    """

    def __init__(self, path_of: Callable[[int], str], step: Callable[[], int]) -> None:
        self.path_of = path_of
        self.step = step
        self.clocks: dict[int, Clock] = {}
        # By task: for each of its epochs that is over, the step and what it did then to publish it.
        self.published: dict[int, list[tuple[int, str]]] = {}
        self.variables: dict[Hashable, _Variable] = {}
        self.held: dict[int, list[str]] = {}
        self.races: list[Race] = []
        self.reported: set[tuple[str, tuple[str, bool], tuple[str, bool]]] = set()

    # Synchronization.

    def clock_of(self, task: int) -> Clock:
        """The clock of a task; to be read only."""
        clock = self.clocks.get(task)
        if clock is None:
            clock = self.clocks[task] = {task: 1}
            self.published[task] = []
        return clock

    def acquire(self, task: int, published: Clock | None) -> None:
        """``task`` has seen what was published."""
        if published:
            _join(self.clock_of(task), published)

    def release(self, task: int, published: Clock | None, what: str) -> Clock:
        """``task`` publishes all it has seen, in addition to what was published; ``what`` says by what in reports."""
        clock = self.clock_of(task)
        published = {} if published is None else published
        _join(published, clock)
        clock[task] += 1
        self.published[task].append((self.step(), what))
        return published

    def took(self, task: int, lock: str) -> None:
        """``task`` holds ``lock`` from here on."""
        self.held.setdefault(task, []).append(lock)

    def gave_back(self, lock: str) -> None:
        """``lock`` is free."""
        for held in self.held.values():
            if lock in held:
                held.remove(lock)

    # Accesses.

    def access(self, task: int, key: Hashable, label: str, is_write: bool, line: str) -> None:
        """``task`` reads or writes the variable ``key``."""
        variable = self.variables.get(key)
        if variable is None:
            variable = self.variables[key] = _Variable(label)
        clock = self.clock_of(task)
        epoch = clock[task]
        earlier = variable.reads.get(task)
        if not is_write and earlier is not None and earlier.epoch == epoch:
            return
        place = AccessedPlace(self.path_of(task), is_write, self.step(), line, tuple(self.held.get(task, ())))
        access = _Epoch(task, epoch, place)
        write = variable.write
        if write is not None and clock.get(write.task, 0) < write.epoch:
            self._race(variable, write, access)
        if is_write:
            for read in variable.reads.values():
                if clock.get(read.task, 0) < read.epoch:
                    self._race(variable, read, access)
            variable.write = access
            variable.reads.clear()
            return
        if len(variable.reads) == 1:
            (read,) = variable.reads.values()
            if clock.get(read.task, 0) >= read.epoch:
                variable.reads.clear()  # what is ordered after the new read is ordered after this one, too
        variable.reads[task] = access

    def _race(self, variable: _Variable, first: _Epoch, second: _Epoch) -> None:
        one, other = sorted([(first.place.line, first.place.is_write), (second.place.line, second.place.is_write)])
        key = (variable.label, one, other)
        if key in self.reported or len(self.races) >= RACES_MAX:
            return
        self.reported.add(key)
        missing = self._last_seen(first.place.task, first.task, second.place.task, second.task)
        self.races.append(Race(variable.label, first.place, second.place, missing))

    def _last_seen(self, first_path: str, first: int, second_path: str, second: int) -> str:
        seen = self.clock_of(second).get(first, 0)
        if not seen:
            return f"{second_path} has seen nothing of {first_path}"
        step, what = self.published[first][seen - 1]
        return f"{second_path} has seen nothing of {first_path} since step {step}, when it {what}"


def _join(clock: Clock, other: Clock) -> None:
    """The pointwise maximum of both, in ``clock``."""
    for task, epoch in other.items():
        if epoch > clock.get(task, 0):
            clock[task] = epoch
