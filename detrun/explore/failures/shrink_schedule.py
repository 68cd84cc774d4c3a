"""Shrinking a failing schedule: fewest preemptions, fewest faults, then fewest tasks, then fewest turns and steps.

The failing schedule is written as turns (`trials.py`). Then, while there is budget, turns are taken away, keeping
whatever fails in the same way (`signatures.py`) at no higher cost: all preemptions, those of one task, those in favour
of one task, then chunks of them by delta debugging, and the free turns after that. Where single turns cannot go,
stretches of one task are *merged*: the later one is moved up to the earlier, which saves two preemptions at once. What
remains is *1-minimal*: without any one of its turns the program does not fail in that way. Each turn is then moved as
early in its task as it can come.

After that the simplest schedules of all are tried, those of a single turn and those with fewer preemptions than are
left, since a failure found by chance may be of a kind that a quite different and simpler schedule shows, too. Random
draws stay those of the run's seed: they are keyed by task and index, so a shorter schedule draws less without drawing
otherwise. If faults of a `detrun.world` plan begin in the run, they are shrunk next (`shrink_faults.py`), and then the
turns once more.

The result is a function of the failing schedule and of the budget in trials. A budget in seconds is a second bound, for
slow programs; `Shrunk` says if it cut the search short.

Source: delta debugging is `detrun.checkers.ddmin`, which names it. Merging: Jalbert and Sen, "A trace simplification
technique for effective debugging of concurrent programs", FSE 2010. Departure: a candidate also replaces the schedule
if it costs less without having fewer turns of its own choosing, since taking a turn away changes which others come to
apply.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from detrun.checkers.ddmin import ddmin
from detrun.explore.campaign.pieces import run_piece
from detrun.explore.failures.shrink_faults import shrink_faults
from detrun.explore.failures.time_limit import TimeLimit
from detrun.explore.failures.trials import LimitedTrials, Trial, TrialRunner, Turn
from detrun_scheduler.strategies.bounded import PreemptionBounded

DEFAULT_TRIALS = 2_000
DEFAULT_SECONDS = 30.0
SINGLE_SHARE = 4  # one trial in so many of the budget may go to schedules of a single turn
FAULT_TRIALS = 200  # for leaving faults out, and as many for the turns after it
SIMPLEST_TRIALS = 300  # beside these, for the schedules with fewest preemptions
SIMPLEST_AT_ONCE = 50


@dataclass(slots=True)
class Shrunk:
    """What shrinking achieved.

    Attributes:
        before, after: (preemptions, tasks, turns, steps) of the schedule.
        trials: schedules tried.
        complete: the result is 1-minimal; False if the budget was used up first.
        seconds: the budget in seconds if that ended the search, else None.
        trial: the schedule as it is now.
        faults_before: how many planned faults and `buggify` sites took part.
        fault_lengths: those left out (0), or the share of its time that each lasts; see `Options.fault_lengths`.
    """

    before: tuple[int, int, int, int]
    after: tuple[int, int, int, int]
    trials: int
    complete: bool
    trial: Trial
    faults_before: int = 0
    fault_lengths: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """The planned faults and `buggify` sites that it still takes to fail."""
        return tuple(self.trial.faults)

    def __str__(self) -> str:
        def described(cost: tuple[int, int, int, int]) -> str:
            return f"{_counted(cost[0], 'preemption')}, {_counted(cost[2], 'turn')}, {_counted(cost[3], 'step')}"

        cut = "" if self.complete else " (stopped early)"
        if self.seconds is not None:
            cut = f" (stopped early, after {self.seconds:g} s)"
        text = (
            f"shrunk from {described(self.before)} to {described(self.after)} in {_counted(self.trials, 'trial')}{cut}"
        )
        return text if not self.faults_before else f"{text}; {self._described_faults()}"

    def _described_faults(self) -> str:
        def described(name: str) -> str:
            share = self.fault_lengths.get(name, 1.0)
            return name if share == 1.0 else f"{name} for {share:g} of its time"

        if not self.faults:
            return f"fails without any of its {_counted(self.faults_before, 'fault')}"
        takes = f"it takes {_counted(len(self.faults), 'fault')}"
        if len(self.faults) <= self.faults_before:
            takes = f"of {_counted(self.faults_before, 'fault')} {takes}"
        else:  # a simpler schedule may be a longer run
            takes += f", where {self.faults_before} had begun in the schedule that was found"
        return f"{takes}: {', '.join(map(described, self.faults))}"


def shrink(
    runner: TrialRunner, original: Trial, trials: int = DEFAULT_TRIALS, seconds: float = DEFAULT_SECONDS
) -> Shrunk:
    """The simplest schedule to be had that fails as ``original`` does, a trial of ``runner`` that failed.

    Args:
        trials: at most so many different ones; with faults, some more for these.
        seconds: after which no further trial begins, see `TimeLimit`.
    """
    limit = TimeLimit(seconds)
    runner = runner.not_much_longer_than(original)
    limited = LimitedTrials(runner, trials, limit)
    shrinker = _Shrinker(limited, original)
    shrinker.minimize()
    shrinker.single(trials // SINGLE_SHARE)
    complete = not limited.is_used_up
    simplest = None if limited.is_cut else _simplest(runner, shrinker.best, min(SIMPLEST_TRIALS, trials), limit)
    if simplest is not None and simplest.cost < shrinker.best.cost:
        limited.budget += trials // 2
        shrinker.best = simplest
        shrinker.minimize()
        complete = not limited.is_used_up
    best = shrinker.best
    cut = seconds if limited.is_cut else None
    if not original.faults:
        return Shrunk(original.cost, best.cost, limited.used, complete, best, seconds=cut)
    budget = min(FAULT_TRIALS, trials)
    fewer = shrink_faults(runner.program, runner.seed, best, budget, limit)
    after = LimitedTrials(TrialRunner(runner.program.with_faults(fewer.lengths), runner.seed), budget, limit)
    shrinker = _Shrinker(after, fewer.trial)
    shrinker.minimize()
    complete = complete and fewer.trials < budget and not after.is_used_up
    tried = limited.used + fewer.trials + after.used
    best = shrinker.best
    cut = seconds if limited.is_cut or after.is_cut else None
    return Shrunk(original.cost, best.cost, tried, complete, best, len(original.faults), fewer.lengths, cut)


def _simplest(runner: TrialRunner, best: Trial, trials: int, limit: TimeLimit) -> Trial | None:
    """A trial that fails in the same way with fewer preemptions, if the search meets one soon."""
    preemptions = best.cost[0]
    if not preemptions:
        return None
    oracle = PreemptionBounded(preemptions - 1)
    seed = runner.seed
    done = 0
    while done < trials and not limit.is_over:
        count = min(trials - done, SIMPLEST_AT_ONCE)
        report = run_piece(runner.program, oracle, None, seed, done, count, run_seed=seed)
        if report.found is None:
            if report.exhausted or report.stopped:
                return None
            done += count
            continue
        trial = runner.try_schedule(report.found.schedule)
        if trial.signature == best.signature:
            return trial
        done = report.found.index + 1
    return None


class _Shrinker:
    """Holds the simplest failing trial so far."""

    def __init__(self, trials: LimitedTrials, original: Trial) -> None:
        self.trials = trials
        self.signature = original.signature
        self.best = original

    def minimize(self) -> None:
        """Take turns away until none can go."""
        # The same schedule by its turns alone, which is what the rest works on.
        self.better(self.best.turns)
        self.remove_groups()
        while True:
            cost = self.best.cost
            self.remove(lambda trial: [index for index, preempts in enumerate(trial.preemptions) if preempts])
            self.remove(lambda trial: list(range(len(trial.turns))))
            self.merge()
            self.shorten()
            if self.best.cost >= cost:
                return

    def remove_groups(self) -> None:
        """Take out all preemptions, all of one task, all in favour of one task: large programs have many of each."""
        self.better([turn for turn, preempts in self.turns_of(self.best) if not preempts])
        for end in ("then", "task"):
            names = Counter(getattr(turn, end) for turn, preempts in self.turns_of(self.best) if preempts)
            for name, count in names.most_common():
                if count > 1:
                    kept = [
                        turn
                        for turn, preempts in self.turns_of(self.best)
                        if not preempts or getattr(turn, end) != name
                    ]
                    self.better(kept)

    @staticmethod
    def turns_of(trial: Trial) -> list[tuple[Turn, bool]]:
        """The turns, and whether each is a preemption."""
        return list(zip(trial.turns, trial.preemptions, strict=True))

    def merge(self) -> None:
        """Join stretches of one task, the later moved up or the earlier moved down, where that costs less."""
        refused: set[tuple[str, ...]] = set()
        index = 0
        while self.best.cost[0] and index < len(stretches := _stretches(self.best.order)):
            if not any(self.joined(order, refused) for order in _joined(stretches, index)):
                index += 1
            if self.trials.is_used_up:
                return

    def joined(self, order: tuple[str, ...], refused: set[tuple[str, ...]]) -> bool:
        """Take over this order of steps if it is new and costs less."""
        if order in refused:
            return False
        refused.add(order)
        return self.better_order(order)

    def single(self, trials: int) -> None:
        """Try schedules of one turn: each place of each task, and each task that took a turn so far."""
        trial = self.best
        if len(trial.turns) < 2:
            return
        end = self.trials.used + trials
        thens = list(dict.fromkeys(turn.then for turn in reversed(trial.turns)))
        lengths = Counter(trial.order)
        # Where the failing schedule has turns is the likeliest place for the one that matters.
        likely = [(turn.task, turn.steps) for turn in trial.turns]
        places = [(task, taken) for task, steps in lengths.items() for taken in range(1, steps)]
        for task, taken in dict.fromkeys([*likely, *places]):
            for then in thens:
                if self.trials.used >= end:
                    return
                if task != then and self.better([Turn(task, taken, then)]):
                    return

    def better(self, turns: Sequence[Turn]) -> bool:
        """Take over these turns if the program still fails in the same way at no higher cost."""
        trial = self.trials.try_turns(turns)
        if trial is None or trial.signature != self.signature or trial.cost > self.best.cost:
            return False
        improved = trial.cost < self.best.cost or len(trial.turns) < len(self.best.turns)
        self.best = trial
        return improved

    def better_order(self, order: Sequence[str]) -> bool:
        """Take over the schedule with this order of steps if it fails in the same way at a lower cost."""
        trial = self.trials.try_order(order, self.best.turns)
        if trial is None or trial.signature != self.signature or trial.cost >= self.best.cost:
            return False
        return self.better(trial.turns)

    def remove(self, candidates: Callable[[Trial], list[int]]) -> None:
        """Take out what can go of the turns with these indices."""

        def turns() -> list[tuple[int, Turn]]:
            return [(index, self.best.turns[index]) for index in candidates(self.best)]

        def without(chunk: Sequence[tuple[int, Turn]]) -> bool:
            taken = {index for index, _ in chunk}
            return self.better([turn for index, turn in enumerate(self.best.turns) if index not in taken])

        ddmin(turns, without, first_size=max(1, len(turns()) // 2))

    def shorten(self) -> None:
        """Let each turn come as early in its task as it can: at once, or by halves of the way there."""
        index = 0
        while index < len(self.best.turns):
            least = 1
            while index < len(self.best.turns) and least < (steps := self.best.turns[index].steps):
                turns = list(self.best.turns)
                turns[index] = turns[index]._replace(steps=least)
                if self.better(turns):
                    break
                least = (least + steps + 1) // 2 if least > 2 or steps > 8 else least + 1
            index += 1


def _stretches(order: Sequence[str]) -> list[tuple[str, int]]:
    """An order of steps as tasks with how many steps each takes in a row."""
    return [(task, sum(1 for _ in steps)) for task, steps in groupby(order)]


def _joined(stretches: Sequence[tuple[str, int]], index: int) -> Iterator[tuple[str, ...]]:
    """The orders in which a stretch and the next one of the same task are one."""
    task = stretches[index][0]
    later = next((at for at in range(index + 1, len(stretches)) if stretches[at][0] == task), -1)
    if later > 0:
        head, between, tail = stretches[:index], stretches[index + 1 : later], stretches[later + 1 :]
        both = [stretches[index], stretches[later]]
        for moved in ([*head, *both, *between, *tail], [*head, *between, *both, *tail]):
            yield tuple(one for name, count in moved for one in [name] * count)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
