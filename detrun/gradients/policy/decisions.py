"""`DecisionLog`: the scored decisions of one run apart, with what was known before each came out.

It is kept where decisions are to be told apart: where the program declares costs, so that each decision answers for
what comes after it, or where a baseline predicts them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detrun_scheduler.clock import primal_of
from detrun_scheduler.run import ActiveRun

SCHEDULER = "scheduler"  # the stream of its choices
KNOWN = ("decision", "step", "time")  # before each decision: how many came before it, the step, and virtual seconds


@dataclass(frozen=True, slots=True)
class Decision:
    """One scored decision.

    Attributes:
        stream: of a draw that of its address; of choices `SCHEDULER`, of effects one for each task.
        index: in the stream: with it, what the decisions of other samples are compared by.
        task: the number of the task that decided; None: the scheduler.
        path: of that task.
        epoch: of the task in its own count, see `detrun.races.detector`; 0 where nothing is watched.
        seeds: ids with the derivatives of the log-probability by them.
        tag: what the log was told to call the decisions of this part of the program.
        features: what was known before it came out: `KNOWN`, and what the program says by `detrun.baseline`.
    """

    stream: str
    index: int
    task: int | None
    path: str
    epoch: int
    seeds: Sequence[tuple[int, float]]
    features: dict[str, float]
    tag: str = ""


class DecisionLog:
    """The decisions of a run, in order.

    Attributes:
        epoch_of: the epoch of a task; None: nothing is watched.
        broadcast: the decisions before this one affect everything that comes, since a task has set weights of the
            scheduler after them.
        placed: the costs of the run; `reach` says how.
        tag: see `Decision`.
    """

    run: ActiveRun

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.epoch_of: Callable[[int], int] | None = None
        self.broadcast = 0
        self.placed: Any = None
        self.tag = ""
        self._weights_seen = 0
        self._of_stream: dict[str, int] = {}
        self._features: Mapping[str, float] = {}  # as they were when the running step began

    def begin(self, run: ActiveRun) -> None:
        """A run begins."""
        self.run = run

    @property
    def path(self) -> str:
        """Of the running task."""
        return self.run.paths.get(self.run.current, "")

    def look(self) -> None:
        """Notice that the program has set weights."""
        weights = self.run.weights
        if weights is not None and weights.version != self._weights_seen:
            self._weights_seen = weights.version
            self.broadcast = len(self.decisions)

    def add(self, stream: str, index: int | None, seeds: Sequence[tuple[int, float]]) -> None:
        """The running task has decided; ``index`` None: the next one of its stream."""
        self.look()
        task = self.run.current
        epoch = self.epoch_of(task) if self.epoch_of is not None else 0
        features = self._features_at(len(self.decisions), self.run.features)
        number = self._next(stream) if index is None else index
        self.decisions.append(Decision(stream, number, task, self.path, epoch, seeds, features, self.tag))

    def add_choice(self, seeds: Sequence[tuple[int, float]]) -> None:
        """The scheduler had chosen the step that is just over: the choice comes before all that the step has done."""
        self.look()
        step = float(self.run.step_index)
        place = len(self.decisions)
        while place and self.decisions[place - 1].features["step"] == step:
            place -= 1
        features = self._features_at(place, self._features)
        self.decisions.insert(place, Decision(SCHEDULER, self._next(SCHEDULER), None, "", 0, seeds, features))
        if self.broadcast >= place:
            self.broadcast += 1
        if self.placed is not None:
            self.placed.shift(self.run.step_index, place)

    def step_over(self) -> None:
        """A step is over."""
        self._features = self.run.features

    def _features_at(self, place: int, named: Mapping[str, float]) -> dict[str, float]:
        run = self.run
        return {**named, "decision": float(place), "step": float(run.step_index), "time": float(primal_of(run.time))}

    def _next(self, stream: str) -> int:
        number = self._of_stream[stream] = self._of_stream.get(stream, -1) + 1
        return number
