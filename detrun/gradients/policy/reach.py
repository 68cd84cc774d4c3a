"""Which costs a decision answers for: those that it may affect.

A cost before the decision cannot depend on it, so by default a decision's score is multiplied with the sum of the costs
that come after it in the run (reward-to-go). That is unbiased for every program.

More may be left out where tasks go separate ways, but what a run shows is not enough for it: a task that waits in vain
for a message is affected by the draw that decided against sending it, and nothing in the run connects the two. So the
program says which tasks can affect a cost (``depends_on``), and a decision of a task counts if its path matches, or if
it *happened before* the cost: the task went on to it, or synchronized with what did (`detrun.races.happens_before`).
Here writes of `Shared` and `Buffer` release and their reads acquire, since values flow there. Choices of the scheduler
affect everything that comes after them, and so do decisions before a task sets weights of the scheduler.

What one task draws may change how many steps it takes, and so the scheduler's choices among others. Under a walk that
chooses each time in proportion to fixed weights the order of the others keeps its distribution: each task steps at the
ticks of a clock of its own (competing exponential clocks, see `detrun_scheduler.strategies.task_clocks`). Under other
strategies, and where the run acts by itself at counted steps, ``depends_on`` is not used.

Source: Schulman et al., "Gradient estimation using stochastic computation graphs", NeurIPS 2015, whose graph is known
beforehand; Peters and Schaal, "Reinforcement learning of motor skills with policy gradients", Neural Networks 21 (2008)
for costs before a decision.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from detrun.gradients.policy.decisions import DecisionLog
from detrun.primitives.costs import Cost
from detrun.races.detector import Clock
from detrun.races.happens_before import HappensBefore
from detrun_scheduler.clock import primal_of
from detrun_scheduler.task_weights import matching as pattern_of


class Affecting(HappensBefore):
    """Happens-before with plain cells as channels: a read follows every write before it."""

    def operated(self, number: int, code: int, value: Any) -> None:
        """See `HappensBefore`."""
        if self.kinds.get(number) in ("Shared", "Buffer"):
            self.published.acquire(number)
            self.published.release(number, "wrote")
        else:
            super().operated(number, code, value)

    def epoch_of(self, task: int) -> int:
        """Of a task, in its own count."""
        return self.detector.clock_of(task).get(task, 0)

    def access(self, *place: Any) -> None:
        """No races are looked for."""


class PlacedCosts(list[Cost]):
    """The costs of a run, with their places among its decisions.

    Args:
        log: the decisions.
        watching: what happens before what; None: nothing is watched.

    Attributes:
        before: for each cost, how many decisions came before it.
        clocks: for each, what its task had seen of others; empty if nothing is watched.
        broadcasts: for each, `DecisionLog.broadcast`.
    """

    def __init__(self, log: DecisionLog, watching: Affecting | None = None) -> None:
        super().__init__()
        self.log, self.watching = log, watching
        self.before: list[int] = []
        self.clocks: list[Clock] = []
        self.broadcasts: list[int] = []
        log.placed = self

    def append(self, cost: Cost) -> None:
        """The next one."""
        super().append(cost)
        self.log.look()
        self.before.append(len(self.log.decisions))
        self.broadcasts.append(self.log.broadcast)
        clock: Clock = {}
        if self.watching is not None and cost.depends_on is not None:
            clock = dict(self.watching.detector.clock_of(self.log.run.current))
        self.clocks.append(clock)

    def shift(self, step: int, place: int) -> None:
        """The scheduler's choice of a step has got this place among the decisions: the step's costs follow it."""
        for number in range(len(self) - 1, -1, -1):
            if self[number].step != step:
                break
            self.before[number] += 1
            self.broadcasts[number] += self.broadcasts[number] >= place

    @property
    def is_restricted(self) -> bool:
        """Whether some cost says what it depends on."""
        return any(cost.depends_on is not None for cost in self)

    def to_go(self, rest: float) -> list[float]:
        """For each decision, the costs that it answers for, and the ``rest`` of the loss, which comes last."""
        decisions = self.log.decisions
        after = [0.0] * (len(decisions) + 1)  # by how many decisions came before: what those of all answer for
        scheduler = list(after)  # the same of costs that the choices of the scheduler answer for, and some tasks
        own: dict[int, list[float]] = {}  # by task: by how many of its decisions count
        places: dict[int, list[int]] = {}  # by task: its decisions
        for place, decision in enumerate(decisions):
            if decision.task is not None:
                places.setdefault(decision.task, []).append(place)
        epochs = {task: [decisions[place].epoch for place in mine] for task, mine in places.items()}
        matching: dict[tuple[str, ...], set[int]] = {}
        for cost, before, clock, broadcast in zip(self, self.before, self.clocks, self.broadcasts, strict=True):
            value = float(primal_of(cost.value))
            if cost.depends_on is None or self.watching is None:
                after[before] += value
                continue
            scheduler[before] += value
            if cost.depends_on not in matching:
                matching[cost.depends_on] = {
                    task for task, mine in places.items() if _matches(decisions[mine[0]].path, cost.depends_on)
                }
            named = matching[cost.depends_on]
            for task in places if broadcast else named | (clock.keys() & places.keys()):
                mine = places[task]
                count = bisect_left(mine, before)
                if task not in named:
                    seen = bisect_right(epochs[task], clock.get(task, 0))
                    count = min(count, max(seen, bisect_left(mine, broadcast)))
                own.setdefault(task, [0.0] * (len(mine) + 1))[count] += value
        found = [rest + one for one in _beyond(after)]
        of_scheduler = _beyond(scheduler)
        for place, decision in enumerate(decisions):
            if decision.task is None:
                found[place] += of_scheduler[place]
        for task, counted in own.items():
            for place, part in zip(places[task], _beyond(counted), strict=True):
                found[place] += part
        return found


def _beyond(numbers: Sequence[float]) -> list[float]:
    """For each place but the last, the sum of what lies beyond it."""
    return list(accumulate(reversed(numbers[1:])))[::-1]


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(pattern_of(pattern).fullmatch(path) is not None for pattern in patterns)
