"""`HeldLocks`: which task had a lock of trio from which step to which, and which waited for it.

A recording has the operations on detrun's own objects and on locks of threads, and says of locks of trio only that a
task waited. Here the run is made again, and `trio.Lock` and `trio.StrictFIFOLock` say when they are taken, refused and
given back. A lock that is given back goes to the next in line at once, so the wait of that task ends in the same step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import trio

from detrun.execution.scope import RunScope
from detrun.pages.timeline import Held
from detrun_scheduler.run import ActiveRun

BARS_MAX = 20_000
KINDS = (trio.Lock, trio.StrictFIFOLock)

_Lock: TypeAlias = trio.Lock | trio.StrictFIFOLock


class TaskBar(NamedTuple):
    """A task, by its number, has a lock or waits for it: a `Held` whose lane only a page knows."""

    task: int
    label: str
    first: int
    last: int | None
    waits: bool = False


@dataclass(slots=True)
class HeldLocks(RunScope):
    """Listens to the locks of one run.

    Attributes:
        bars: what tasks had or waited for, in the order of their ends.
    """

    bars: list[TaskBar] = field(default_factory=list)
    _run: ActiveRun | None = None
    _latest: int = 0  # step
    _labels: dict[_Lock, str] = field(default_factory=dict)
    _holding: dict[_Lock, tuple[int, int]] = field(default_factory=dict)  # by lock: the task, the step of its acquire
    _wanting: dict[tuple[_Lock, int], int] = field(default_factory=dict)  # by lock and task: the step of its call
    _replaced: list[tuple[type, str, Any]] = field(default_factory=list)  # what a class had of its own

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Put an ear to the locks."""
        self._run = run
        for kind in KINDS:
            for name, listening in (("acquire_nowait", self._taking), ("release", self._giving_back)):
                original = getattr(kind, name)
                self._replaced.append((kind, name, vars(kind).get(name)))
                wrapped: Any = functools.wraps(original)(listening(original))
                setattr(kind, name, trio.lowlevel.enable_ki_protection(wrapped))
        return args

    def close(self) -> None:
        """Give the classes their methods back."""
        for kind, name, own in reversed(self._replaced):
            if own is None:
                delattr(kind, name)
            else:
                setattr(kind, name, own)
        self._replaced.clear()
        self._run = None

    def bars_of(self, timeline: Mapping[str, Any]) -> list[list[Any]]:
        """The bars of a page, as its timeline has them (`Timeline.document`)."""
        first, count = timeline["first"], len(timeline["laneOf"])
        lanes = {number: at for at, (_, _, _, number) in enumerate(timeline["lanes"])}
        last_steps = {lane: first + at for at, lane in enumerate(timeline["laneOf"])}
        bars = [*self.bars]
        bars += [TaskBar(task, self._label(lock), since, None) for lock, (task, since) in self._holding.items()]
        bars += [  # a task that stepped again after it had asked was cancelled, or did not wait
            TaskBar(task, self._label(lock), since, None, waits=True)
            for (lock, task), since in self._wanting.items()
            if task in lanes and last_steps[lanes[task]] == since
        ]
        return [
            Held(lanes[bar.task], bar.label, max(bar.first, first), bar.last, bar.waits).document()
            for bar in bars
            if bar.task in lanes and bar.first < first + count and (bar.last is None or bar.last >= first)
        ]

    def _running(self) -> ActiveRun | None:
        """The run; None once it has ended and the frames of its tasks are closed, which gives locks back, too."""
        run = self._run
        if run is None or run.step_index < self._latest:
            return None
        self._latest = run.step_index
        return run

    def _label(self, lock: _Lock) -> str:
        return self._labels.setdefault(lock, f"{type(lock).__name__}[{len(self._labels)}]")

    def _taking(self, original: Callable[[_Lock], None]) -> Callable[[_Lock], None]:
        def acquire_nowait(lock: _Lock) -> None:
            run = self._running()
            if run is None:
                original(lock)
                return
            asking = lock, run.current
            try:
                original(lock)
            except trio.WouldBlock:
                self._wanting[asking] = run.step_index
                raise
            self._wanting.pop(asking, None)
            self._holding[lock] = run.current, run.step_index

        return acquire_nowait

    def _giving_back(self, original: Callable[[_Lock], None]) -> Callable[[_Lock], None]:
        def release(lock: _Lock) -> None:
            original(lock)
            run = self._running()
            if run is None:
                return
            now = run.step_index
            task, first = self._holding.pop(lock, (run.current, now))
            self._keep(TaskBar(task, self._label(lock), first, now))
            owner = run.host.numbers.get(lock.statistics().owner)  # type: ignore[arg-type]  # None, without an owner
            if owner is not None:
                asked = self._wanting.pop((lock, owner), None)
                if asked is not None:
                    self._keep(TaskBar(owner, self._label(lock), asked, now, waits=True))
                self._holding[lock] = owner, now

        return release

    def _keep(self, bar: TaskBar) -> None:
        if len(self.bars) < BARS_MAX:
            self.bars.append(bar)
