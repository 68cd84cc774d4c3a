"""Shrinking a failing schedule: fewest preemptions, fewest faults, then fewest tasks, then fewest turns and steps.

The failing schedule is written as turns (`trials.py`). Then, while there is budget: turns are taken away by delta
debugging, preemptions before the free ones, keeping whatever fails in the same way (`signatures.py`) at no higher cost;
what remains is *1-minimal*: without any one of its turns the program does not fail in that way. After that the simplest
schedules of all are tried, those of a single turn and those with fewer preemptions than are left, since a failure found
by chance may be of a kind that a quite different and simpler schedule shows, too. Random draws stay those of the run's
seed: they are keyed by task and index, so a shorter schedule draws less without drawing otherwise. If faults of a
`detrun.world` plan begin in the run, they are shrunk next (`shrink_faults.py`), and then the turns once more.

Delta debugging is `detrun.checkers.ddmin`, which names the source. One departure: a candidate also replaces the
schedule if it costs less without having fewer turns of its own choosing, since taking a turn away changes which others
come to apply.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from detrun.checkers.ddmin import ddmin
from detrun.explore.campaign.pieces import run_piece
from detrun.explore.failures.shrink_faults import shrink_faults
from detrun.explore.failures.trials import LimitedTrials, Trial, TrialRunner, Turn
from detrun_scheduler.strategies.bounded import PreemptionBounded

DEFAULT_TRIALS = 500
FAULT_TRIALS = 200  # for leaving faults out, and as many for the turns after it
SIMPLEST_TRIALS = 300  # of these, for the schedules with fewest preemptions


@dataclass(slots=True)
class Shrunk:
    """What shrinking achieved.

    Attributes:
        before, after: (preemptions, tasks, turns, steps) of the schedule.
        trials: schedules tried.
        complete: the result is 1-minimal; False if the budget was used up first.
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

    @property
    def faults(self) -> tuple[str, ...]:
        """The planned faults and `buggify` sites that it still takes to fail."""
        return tuple(self.trial.faults)

    def __str__(self) -> str:
        def described(cost: tuple[int, int, int, int]) -> str:
            return f"{_counted(cost[0], 'preemption')}, {_counted(cost[2], 'turn')}, {_counted(cost[3], 'step')}"

        cut = "" if self.complete else " (stopped early)"
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
        left = ", ".join(map(described, self.faults))
        return f"of {_counted(self.faults_before, 'fault')} it takes {_counted(len(self.faults), 'fault')}: {left}"


def shrink(runner: TrialRunner, original: Trial, trials: int = DEFAULT_TRIALS) -> Shrunk:
    """The simplest schedule to be had that fails as ``original`` does, a trial of ``runner`` that failed."""
    limited = LimitedTrials(runner, trials)
    shrinker = _Shrinker(limited, original)
    shrinker.minimize()
    shrinker.single()
    complete = limited.used < limited.budget
    simplest = _simplest(runner, shrinker.best, min(SIMPLEST_TRIALS, trials))
    if simplest is not None and simplest.cost < shrinker.best.cost:
        limited.budget += trials // 2
        shrinker.best = simplest
        shrinker.minimize()
    best = shrinker.best
    if not original.faults:
        return Shrunk(original.cost, best.cost, limited.used, complete, best)
    budget = min(FAULT_TRIALS, trials)
    fewer = shrink_faults(runner.program, runner.seed, best, budget)
    limited_after = LimitedTrials(TrialRunner(runner.program.with_faults(fewer.lengths), runner.seed), budget)
    shrinker = _Shrinker(limited_after, fewer.trial)
    shrinker.minimize()
    complete = complete and fewer.trials < budget and limited_after.used < budget
    tried = limited.used + fewer.trials + limited_after.used
    best = shrinker.best
    return Shrunk(original.cost, best.cost, tried, complete, best, len(original.faults), fewer.lengths)


def _simplest(runner: TrialRunner, best: Trial, trials: int) -> Trial | None:
    """A trial that fails in the same way with fewer preemptions, if the search meets one soon."""
    preemptions = best.cost[0]
    if not preemptions:
        return None
    oracle = PreemptionBounded(preemptions - 1)
    seed = runner.seed
    done = 0
    while done < trials:
        report = run_piece(runner.program, oracle, None, seed, done, trials - done, run_seed=seed)
        if report.found is None:
            return None
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
        while True:
            cost = self.best.cost
            self.remove(lambda trial: [index for index, preempts in enumerate(trial.preemptions) if preempts])
            self.remove(lambda trial: list(range(len(trial.turns))))
            self.shorten()
            if self.best.cost >= cost:
                return

    def single(self) -> None:
        """Try schedules of one turn: each place of each task, and each task that took a turn so far."""
        trial = self.best
        if len(trial.turns) < 2:
            return
        thens = list(dict.fromkeys(turn.then for turn in reversed(trial.turns)))
        lengths = Counter(trial.order)
        for then in thens:
            for task, steps in lengths.items():
                for taken in range(1, steps) if task != then else ():
                    if self.better([Turn(task, taken, then)]):
                        return

    def better(self, turns: Sequence[Turn]) -> bool:
        """Take over these turns if the program still fails in the same way at no higher cost."""
        trial = self.trials.try_turns(turns)
        if trial is None or trial.signature != self.signature or trial.cost > self.best.cost:
            return False
        improved = trial.cost < self.best.cost or len(trial.turns) < len(self.best.turns)
        self.best = trial
        return improved

    def remove(self, candidates: Callable[[Trial], list[int]]) -> None:
        """Take out what can go of the turns with these indices."""

        def turns() -> list[tuple[int, Turn]]:
            return [(index, self.best.turns[index]) for index in candidates(self.best)]

        def without(chunk: Sequence[tuple[int, Turn]]) -> bool:
            taken = {index for index, _ in chunk}
            return self.better([turn for index, turn in enumerate(self.best.turns) if index not in taken])

        ddmin(turns, without, first_size=max(1, len(turns()) // 2))

    def shorten(self) -> None:
        """Let each turn come as early in its task as it can."""
        index = 0
        while index < len(self.best.turns):
            turn = self.best.turns[index]
            for steps in range(1, turn.steps):
                turns = list(self.best.turns)
                turns[index] = turn._replace(steps=steps)
                if self.better(turns):
                    break
            index += 1


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
