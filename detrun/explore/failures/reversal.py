"""Reversal of a pair of operations: the failing schedule with the second before the first, all else as it was.

The first task is held back where it would do the first operation, until the other has done the second; or the second
task is let go ahead. As a task may hold a lock there that the other needs, the first is also held back at the beginning
of its turn, and of the turns before. As steps are longer where a task is alone, the other is given more of them, too,
in the end as many as it can take. A task that cannot go on is passed over, and one that is held back goes on when no
other can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from detrun.execution.schedules import unpacked
from detrun.explore.failures.narration import Narration, narrate
from detrun.explore.failures.occurrences import Move, Timeline
from detrun.explore.failures.operations import Pair, reverses
from detrun.explore.failures.time_limit import TimeLimit
from detrun.explore.failures.trials import Trial, TrialRunner, Turn
from detrun_scheduler.run import FaultSpan, RunHooks

_T = TypeVar("_T")

TURNS_BACK = 3
MORE_STEPS = (2, 16)
FAR = 10_000  # steps, more than the other takes
VERIFIED_MAX = 5  # pairs that are compared with each other
MORE_TRIALS = 60  # for others once one is verified
NARRATIONS_MAX = 40  # of schedules that pass


@dataclass(slots=True)
class Reversed:
    """A pair, and the schedule that passes with the two the other way round."""

    pair: Pair
    trial: Trial
    narration: Narration


@dataclass(slots=True)
class Reversals:
    """Tries reversals of one failing schedule, each once.

    Args:
        trials: how many at most.
        seconds: begin no further one after so long, see `TimeLimit`.

    Attributes:
        passing: those that passed, whether or not they had a pair reversed.
        is_cut: time ran out.
    """

    runner: TrialRunner
    failing: Trial
    trials: int
    seconds: float
    passing: list[Trial] = field(default_factory=list)
    is_cut: bool = False
    used: int = 0
    _known: dict[tuple[str, ...], Trial] = field(default_factory=dict)
    _moved: dict[object, Trial] = field(default_factory=dict)
    _retimed: dict[object, tuple[Trial, Timeline]] = field(default_factory=dict)
    _narrated: dict[bytes, Narration] = field(default_factory=dict)
    _moved_narrated: dict[object, Narration] = field(default_factory=dict)
    _made: dict[str, Any] = field(default_factory=dict)
    _time: TimeLimit = field(default_factory=TimeLimit)

    @contextmanager
    def limited(self, share: float) -> Iterator[None]:
        """Within, no more than this share of the trials and of the time that are left."""
        trials, seconds = self.trials, self.seconds
        elapsed = self._time.elapsed()
        self.trials = self.used + math.ceil(share * max(trials - self.used, 0))
        self.seconds = elapsed + share * max(seconds - elapsed, 0.0)
        self.is_cut = elapsed > seconds
        try:
            yield
        finally:
            self.trials, self.seconds = trials, seconds

    def best_verified(self, pairs: Sequence[Pair], absent: bool = False) -> Reversed | None:
        """Of the first few without whose order the schedule passes, the likeliest that no other accounts for.

        Holding a task back reverses more than one pair. Another accounts for one if it was reversed with it, and the
        schedule passes as well when the other is reversed alone.

        Args:
            pairs: the likeliest first.
            absent: be content if the first operation does not come at all.
        """
        found: list[Reversed] = []
        end = self.trials
        for pair in pairs:
            if len(found) >= VERIFIED_MAX or self.used >= end or self.is_cut:
                break
            if found and pair.about != found[0].pair.about:
                break  # locks do not compete with data
            verified = self.verified(pair, absent)
            if verified is not None:
                end = min(end, self.used + MORE_TRIALS) if not found else end
                found.append(verified)
        best = found[0] if found else None
        for other in found[1:]:
            assert best is not None
            if reverses(other.pair, best.narration) and not reverses(best.pair, other.narration):
                best = other
        return best

    def verified(self, pair: Pair, absent: bool = False) -> Reversed | None:
        """The schedule that passes with this pair reversed, None if none of those tried does."""
        for order in reversed_orders(self.failing.order, pair):
            trial = self.try_order(order)
            if trial is None:
                return None
            if trial.error is None:
                narration = self.narration(trial)
                if narration is not None and reverses(pair, narration, absent):
                    return Reversed(pair, trial, narration)
        return None

    def try_order(self, order: Sequence[str]) -> Trial | None:
        """What comes of an order of steps; None if there is no trial left."""
        key = tuple(order)
        trial = self._known.get(key)
        if trial is None:
            if not self.has_left():
                return None
            self.used += 1
            trial = self._known[key] = self.runner.try_order(order, self.failing.turns)
            if trial.error is None:
                self.passing.append(trial)
        return trial

    def has_left(self) -> bool:
        """Whether there is a further trial."""
        if self._time.elapsed() > self.seconds:
            self.is_cut = True
        return not self.is_cut and self.used < self.trials

    def try_moved(self, move: Move, key: object) -> tuple[Trial, Timeline] | None:
        """What comes of the failing schedule with occurrences moved, and when they came; None if no trial is left.

        Args:
            key: of the move, which is run once.
        """
        found = self._retimed.get(key)
        if found is None:
            if not self.has_left():
                return None
            self.used += 1
            timeline = Timeline(move)
            found = self.runner.try_timers(self.failing.turns, timeline.hooks()), timeline
            timeline.close()
            self._retimed[key] = found
        return found

    def without(self, turns: Sequence[Turn]) -> Iterator[Trial]:
        """What comes of fewer turns, by themselves and in the order of steps of the failing schedule."""
        if not self.has_left():
            return
        self.used += 2
        yield self.runner.try_turns(turns)
        yield self.runner.try_order(self.failing.order, turns)

    def try_spans(self, spans: Mapping[str, FaultSpan]) -> Trial | None:
        """What comes of the same turns with planned faults at other times; None if there is no trial left."""
        key = tuple(sorted(spans.items()))
        trial = self._moved.get(key)
        if trial is None:
            if not self.has_left():
                return None
            self.used += 1
            moved = TrialRunner(self.runner.program, self.runner.seed, {**self.runner.spans, **spans})
            trial = self._moved[key] = moved.try_turns(self.failing.turns)
        return trial

    def try_disk(self, changes: Mapping[tuple[str, int], bool]) -> Trial | None:
        """What comes of the same turns if these changes to disks survive power losses, or do not; None as above.

        Args:
            changes: see `RunHooks.disk_changes`.
        """
        key = "disk", tuple(sorted(changes.items()))
        trial = self._moved.get(key)
        if trial is None:
            if not self.has_left():
                return None
            self.used += 1
            trial = self._moved[key] = self.runner.try_timers(self.failing.turns, RunHooks(disk_changes=changes))
        return trial

    def once(self, what: str, make: Callable[[], _T]) -> _T:
        """What several strategies need, made for the first of them."""
        if what not in self._made:
            self._made[what] = make()
        found: _T = self._made[what]
        return found

    def narration(self, trial: Trial) -> Narration | None:
        """What a passing schedule does, step by step; None if too many have been narrated."""
        found = self._narrated.get(trial.schedule)
        if found is None and len(self._narrated) < NARRATIONS_MAX:
            found = narrate(self.runner.program, self.runner.seed, unpacked(trial.schedule))
            self._narrated[trial.schedule] = found
        return found

    def narration_of_moved(self, trial: Trial, spans: Mapping[str, FaultSpan], steps: int, since: float) -> Narration:
        """So many steps of a trial of `try_spans`, with the lines of those from ``since`` on."""
        key = tuple(sorted(spans.items())), steps, since
        found = self._moved_narrated.get(key)
        if found is None:
            hooks = RunHooks(fault_spans={**self.runner.spans, **spans})
            program = self.runner.program.within(steps)
            found = narrate(program, self.runner.seed, unpacked(trial.schedule), hooks, since)
            self._moved_narrated[key] = found
        return found


def reversed_orders(order: Sequence[str], pair: Pair) -> Iterator[list[str]]:
    """Orders of steps in which the second operation's step comes before the first one's."""
    first, second = pair.first.task, pair.second.task
    at, later = pair.first.step, pair.second.step
    head, between, tail = order[:at], order[at : later + 1], order[later + 1 :]
    ahead = [task for task in between if task == second]
    behind = [task for task in between if task != second]
    yield held_back(order, first, at, later + 1)
    yield [*head, *ahead, *behind, *tail]
    for more in MORE_STEPS:
        yield held_back([*order[: later + 1], *[second] * more, *tail], first, at, later + 1 + more)
        yield [*head, *ahead, *[second] * more, *behind, *tail]
    far = [*order, *[second] * FAR]
    yield held_back(far, first, at, len(far))
    beginning = at
    for _ in range(TURNS_BACK):
        beginning = turn_before(order, first, beginning)
        if beginning < 0:
            return
        yield held_back(order, first, beginning, later + 1)
        yield held_back(far, first, beginning, len(far))


def held_back(order: Sequence[str], task: str, at: int, until: int) -> list[str]:
    """The order with all steps of a task from one place on put off to another."""
    between = order[at:until]
    others = [one for one in between if one != task]
    return [*order[:at], *others, *[task] * (len(between) - len(others)), *order[until:]]


def turn_before(order: Sequence[str], task: str, at: int) -> int:
    """Where the turn of the task begins that has the step before ``at``, -1 if it has none."""
    at -= 1
    while at >= 0 and order[at] != task:
        at -= 1
    while at > 0 and order[at - 1] == task:
        at -= 1
    return at
