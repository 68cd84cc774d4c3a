"""`HeldLocks`: which task had a lock from which step to which, and which waited for it.

A recording has the operations on detrun's own objects and on locks of threads. Of locks of trio and asyncio, and of
what threads build on locks, it says only that a task waited. Here the run is made again, and those objects say when
they are taken, refused and given back (`detrun.reports.lock_listeners`). A lock of trio that is given back goes to the
next in line at once, so the wait of that task ends in the same step; elsewhere it ends when the task goes on. What a
task waited for in vain has no bar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detrun.execution.scope import RunScope
from detrun.pages.timeline import Held, lanes_of_tasks
from detrun.reports.lock_listeners import Listeners
from detrun_recorder.export_tracks import TaskBar
from detrun_scheduler.run import ActiveRun, RunHooks

BARS_MAX = 20_000


@dataclass(slots=True)
class HeldLocks(RunScope):
    """Listens to the locks of one run.

    Attributes:
        bars: what tasks had or waited for, in the order of their ends; of a run that has ended. At most `BARS_MAX`.
        left_out: how many later ones are not kept.
    """

    bars: list[TaskBar] = field(default_factory=list)
    left_out: int = 0
    _run: ActiveRun | None = None
    _latest: int = 0  # step
    _last_steps: dict[int, int] = field(default_factory=dict)  # by task
    _labels: dict[Any, str] = field(default_factory=dict)
    _kinds: Counter[str] = field(default_factory=Counter)
    _holding: dict[Any, list[tuple[int, int]]] = field(default_factory=dict)  # by lock: tasks, steps of their acquires
    _wanting: dict[tuple[Any, int], int] = field(default_factory=dict)  # by lock and task: the step of its call
    _listeners: Listeners | None = None

    def contribute(self, hooks: RunHooks) -> None:
        """Be told of steps."""
        hooks.after_step.append(self._step_taken)

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Put an ear to the locks."""
        self._run = run
        self._listeners = Listeners(self)
        return args

    def close(self) -> None:
        """Give the classes their methods back."""
        if self._listeners is not None:
            self._listeners.close()
        self._run = self._listeners = None

    def all_bars(self) -> list[TaskBar]:
        """`bars`, and after them those that never ended.

        A task that stepped again after it had asked was cancelled, or did not wait.
        """
        bars = [*self.bars]
        bars += [
            TaskBar(task, self._label(lock), since, None)
            for lock, holders in self._holding.items()
            for task, since in holders
        ]
        bars += [
            TaskBar(task, self._label(lock), since, None, waits=True)
            for (lock, task), since in self._wanting.items()
            if self._last_steps.get(task) == since
        ]
        return bars

    def bars_of(self, timeline: Mapping[str, Any]) -> list[list[Any]]:
        """The bars of a page, as its timeline has them (`Timeline.document`)."""
        first, count = timeline["first"], len(timeline["laneOf"])
        lanes = lanes_of_tasks(timeline)
        return [
            Held(lanes[bar.task], bar.label, max(bar.first, first), bar.last, bar.waits).document()
            for bar in self.all_bars()
            if bar.task in lanes and bar.first < first + count and (bar.last is None or bar.last >= first)
        ]

    def cut(self) -> str:
        """What is missing in `bars`, in words; empty where nothing is."""
        if not self.left_out:
            return ""
        count = len(self.bars)
        return f"bars of locks: the first {count:,} of {count + self.left_out:,}, in the order in which they ended"

    def _step_taken(self, run: ActiveRun) -> None:
        self._last_steps[run.current] = run.step_index

    # What listeners say. Each call is of the task that runs, unless it names another.

    def is_over(self) -> bool:
        """Whether the run has ended, and the frames of its tasks are closed, which gives locks back, too."""
        run = self._run
        if run is None or run.step_index < self._latest:
            return True
        self._latest = run.step_index
        return False

    def asks(self, lock: Any) -> None:
        """The task wants it, and may have to wait."""
        if not self.is_over():
            assert self._run is not None
            self._wanting[lock, self._run.current] = self._run.step_index

    def gives_up(self, lock: Any) -> None:
        """It waits no more, and has not got it."""
        if not self.is_over():
            assert self._run is not None
            self._wanting.pop((lock, self._run.current), None)

    def stops_waiting(self, lock: Any, task: int | None = None) -> None:
        """It has what it waited for."""
        if self.is_over():
            return
        assert self._run is not None
        task, now = self._run.current if task is None else task, self._run.step_index
        asked = self._wanting.pop((lock, task), None)
        if asked is not None and asked < now:
            self._keep(TaskBar(task, self._label(lock), asked, now, waits=True))

    def gets(self, lock: Any, task: int | None = None) -> None:
        """The task has it now."""
        if self.is_over():
            return
        assert self._run is not None
        task = self._run.current if task is None else task
        self.stops_waiting(lock, task)
        self._holding.setdefault(lock, []).append((task, self._run.step_index))

    def gives_back(self, lock: Any, task: int | None = None) -> None:
        """The task, or else the first that had it, has it no more; nothing where none had it, as of a signal."""
        holders = self._holding.get(lock)
        if self.is_over() or not holders:
            return
        assert self._run is not None
        task = self._run.current if task is None else task
        at = next((at for at, (holder, _) in enumerate(holders) if holder == task), 0)
        holder, since = holders.pop(at)
        if not holders:
            del self._holding[lock]
        self._keep(TaskBar(holder, self._label(lock), since, self._run.step_index))

    def times_held(self, lock: Any, task: int | None = None) -> int:
        """How often the task has it."""
        assert self._run is not None
        task = self._run.current if task is None else task
        return sum(holder == task for holder, _ in self._holding.get(lock, ()))

    def number_of(self, task: Any) -> int | None:
        """Of a task of trio's; None for anything else."""
        return None if self._run is None else self._run.host.numbers.get(task)

    def _label(self, lock: Any) -> str:
        label = self._labels.get(lock)
        if label is None:
            module = type(lock).__module__.partition(".")[0]
            kind = type(lock).__name__ if module == "trio" else f"{module}.{type(lock).__name__}"
            label = self._labels[lock] = f"{kind}[{self._kinds[kind]}]"
            self._kinds[kind] += 1
        return label

    def _keep(self, bar: TaskBar) -> None:
        if len(self.bars) < BARS_MAX:
            self.bars.append(bar)
        else:
            self.left_out += 1
