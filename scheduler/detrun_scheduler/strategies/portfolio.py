"""A portfolio: several strategies share the schedules, and those that keep showing something new get more of them.

No strategy finds every bug soonest: a random walk is good at shallow orders among few steps, PCT at a few well-placed
preemptions in long runs, POS and URW in between, and a walk among a subset of the tasks finds what the many others
would hide. Every schedule is given to one *arm*, drawn with probability proportional to the share of its schedules that
showed something new, but never less than ``SHARE_LEAST``. One arm follows a schedule that showed something new up to a
random choice and walks at random from there.

Of a program whose runs set timers a share of the schedules, whichever arm has them, lets some fire early; of one that
has finalizers of its own a share collects garbage (`planned_actions.py`). The shares follow what those schedules show.

What counts as new is *interleaving coverage*: the pairs of steps between which some schedule switched tasks, a step
being a task and how many choices fell on it (grouped in powers of two beyond the first eight). Small programs soon show
no new pair, large ones do for long, so the measure does not saturate where it is needed.

Source: Wolff, Zheng, Duck, Mathur, Roychoudhury, "Greybox fuzzing for concurrency testing", ASPLOS 2024, whose fuzzer
varies schedules that showed something new. Departures: switches stand in for their reads-from pairs, since not all
memory accesses of a task are seen; whole strategies compete, not only variations; and knowledge moves once an epoch, so
that the result does not depend on the number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.footprints.watch import Watch
from detrun_scheduler.randomness import seed_again
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.strategies.campaigns import Learning
from detrun_scheduler.strategies.fifo import Fifo
from detrun_scheduler.strategies.finalizers import has_finalizers
from detrun_scheduler.strategies.pct import ProbabilisticConcurrencyTesting, spanning
from detrun_scheduler.strategies.planned_actions import PlannedActions
from detrun_scheduler.strategies.pos import PartialOrderSampling
from detrun_scheduler.strategies.random_walk import RandomWalk
from detrun_scheduler.strategies.subset import SubsetWalk
from detrun_scheduler.strategies.urw import UniformRandomWalk

SHARE_LEAST = 0.08
CORPUS_MAX = 64  # schedules kept for the arm that varies them, the latest to show something new
CORPUS_CHOICES_MAX = 10_000
ACTING_LEAST = 0.1  # of the schedules have early timers, if there are timers; and collections, if there are finalizers
ACTIONS_OF_RUN = (1, 1, 2, 3)
# A step is not taken to last longer than this: a time-out that only guards a test against hanging never strikes.
EARLY_SECONDS_MAX = 1.0


@dataclass(slots=True)
class _Shown:
    """What one run showed that neither the told knowledge nor an earlier run of the same piece had."""

    arm: int
    switches: tuple[int, ...]
    choices: tuple[int, ...]  # kept only if there are new switches
    steps: int
    acted: tuple[bool, bool]  # which actions were planned: early timers, collections
    could_act: tuple[bool, bool]  # of which there is a use


@dataclass(slots=True)
class Knowledge:
    """What the schedules so far showed."""

    switches: set[int] = field(default_factory=set)
    tries: list[int] = field(default_factory=list)  # by arm
    news: list[int] = field(default_factory=list)  # by arm: tries that showed something new
    corpus: list[tuple[int, ...]] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)  # by arm: its own knowledge
    shown: list[_Shown] = field(default_factory=list)  # by the runs of a piece, to be counted when it is merged
    steps: tuple[int, int] = (0, 0)  # fewest and most of a run
    could_act: tuple[bool, bool] = (False, False)  # some run has set timers; has finalizers
    acted: tuple[int, int] = (0, 0)  # schedules with early timers, with collections
    acted_news: tuple[int, int] = (0, 0)  # of those: that showed something new


class Portfolio(KeyedDraws):
    """Arms: first in first out once, then random, PCT of depths 2 and 4, POS, URW, subset, and varied schedules."""

    def __init__(self, watch: Watch | None = None) -> None:
        self.watch = watch if watch is not None else Watch()
        self.varied = VariedSchedule()
        self.sampling = PartialOrderSampling(self.watch)
        self.arms: list[Learning] = [
            RandomWalk(),
            ProbabilisticConcurrencyTesting(2),
            ProbabilisticConcurrencyTesting(4),
            self.sampling,
            UniformRandomWalk(),
            SubsetWalk(),
            self.varied,
        ]
        self.first = Fifo()
        self.knowledge = Knowledge()
        self.shown: list[_Shown] = []
        self.known: set[int] = set()  # switches that are no longer new in this piece
        self.arm = -1
        self.deciding: Any = self.first
        self.looking: Any = None  # the arm's `step_closed`, if it has one
        self.looks = False  # in this run
        self.choices: list[int] = []
        self.switches: set[int] = set()
        self.counts: dict[int, int] = {}
        self.started = False
        self.run: Any = None
        # How many early timers and collections every schedule has; None: as many as prove useful.
        self.fixed: tuple[int | None, int | None] = (None, None)
        self.plan = PlannedActions()
        self.acted = (False, False)
        self.is_first = False

    def __enter__(self) -> Portfolio:
        self.watch.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.watch.__exit__(*exception)

    def tell(self, knowledge: Knowledge | Mapping[str, Any] | None) -> None:
        """Start a piece of a campaign."""
        self.knowledge = _restored(knowledge)
        self.known = set(self.knowledge.switches)
        self.shown = []
        self.started = False
        told = self.knowledge.told or [None] * len(self.arms)
        for arm, its_own in zip(self.arms, told, strict=True):
            arm.tell(its_own)
        self.varied.corpus = self.knowledge.corpus

    def sibling(self) -> Portfolio:
        """Another for runs of the same program elsewhere; footprints are watched once in a process."""
        other = Portfolio(self.watch)
        other.fixed = self.fixed
        return other

    def consider(self, knowledge: Knowledge | Mapping[str, Any] | None) -> None:
        """Take over what runs of the program can do by themselves from what a sibling knows."""
        could_act = _both(lambda one, other: one or other, self.knowledge.could_act, _restored(knowledge).could_act)
        self.knowledge = replace(self.knowledge, could_act=could_act)

    def learnt(self) -> Knowledge:
        """What the runs since `tell` showed."""
        self._end_run()
        return Knowledge(told=[arm.learnt() for arm in self.arms], shown=self.shown)

    def merged(self, first: Knowledge | Mapping[str, Any] | None, second: Knowledge | None) -> Knowledge:
        """``first``, with the runs that ``second`` lists counted in their order."""
        base, new = _restored(first), _restored(second)
        count = len(self.arms)
        merged = Knowledge(
            set(base.switches),
            list(base.tries) or [0] * count,
            list(base.news) or [0] * count,
            list(base.corpus),
            steps=base.steps,
            could_act=base.could_act,
            acted=base.acted,
            acted_news=base.acted_news,
        )
        for shown in new.shown:
            fresh = [switch for switch in shown.switches if switch not in merged.switches]
            merged.tries[shown.arm] += 1
            merged.steps = spanning(merged.steps, (shown.steps, shown.steps))
            merged.could_act = _both(lambda one, other: one or other, merged.could_act, shown.could_act)
            merged.acted = _both(lambda count, acted: count + acted, merged.acted, shown.acted)
            if fresh:
                merged.acted_news = _both(lambda count, acted: count + acted, merged.acted_news, shown.acted)
                merged.switches.update(fresh)
                merged.news[shown.arm] += 1
                merged.corpus.append(shown.choices)
        merged.corpus = merged.corpus[-CORPUS_MAX:]
        nothing = [None] * count
        merged.told = [
            arm.merged(one, other)
            for arm, one, other in zip(self.arms, base.told or nothing, new.told or nothing, strict=True)
        ]
        return merged

    def shares(self) -> list[float]:
        """By arm: the probability of getting a schedule."""
        tries, news = self.knowledge.tries, self.knowledge.news
        if not tries:
            return [1 / len(self.arms)] * len(self.arms)
        # As if each arm had shown something new in one of two tries before: none is favoured or written off at first.
        scores = [(new + 1) / (tried + 2) for new, tried in zip(news, tries, strict=True)]
        total = sum(scores)
        free = 1 - SHARE_LEAST * len(self.arms)
        return [SHARE_LEAST + free * score / total for score in scores]

    def new_run(self, run: RunView) -> None:
        """Give the run to an arm."""
        self._end_run()
        self.started = True
        # Apart from the arm's own generator, which is seeded with the run's seed.
        random = Random(f"{run.seed} arm")
        self.arm = random.choices(range(len(self.arms)), self.shares())[0]
        if self.arms[self.arm] is self.varied and not self.varied.corpus:
            self.arm = 0
        is_first = run.seed & 0xFFFFFFFF == 0
        self.deciding = self.first if is_first else self.arms[self.arm]
        self.choices = []
        self.switches = set()
        self.counts = {}
        if self.deciding is not self.sampling:
            self.watch.step.forget()
        self.looking = getattr(self.deciding, "step_closed", None)
        self.looks = self.looking is not None
        self.watch.attend(self.deciding is self.sampling)
        self.deciding.new_run(run)
        self.run = run
        self.is_first = is_first
        self._plan_actions(run)

    # What runs do by themselves.

    decides_actions = False  # a plan that comes with the run has the first word

    @property
    def attends(self) -> bool:
        """Whether early timers are planned for this run."""
        return self.plan.attends

    @property
    def collects(self) -> bool:
        """Whether collections are planned for this run."""
        return self.plan.collects

    def next_action(self, steps: int) -> float:
        """The plan's answer."""
        return self.plan.next_action(steps)

    def action(self, steps: int, has_timers: bool) -> int:
        """The plan's answer."""
        return self.plan.action(steps, has_timers)

    def _plan_actions(self, run: RunView) -> None:
        """Plan early timers and collections for a share of the schedules of programs in which they can matter."""
        known = self.knowledge
        random = Random(f"{run.seed} acting") if any(known.could_act) else None
        counts = [0, 0]
        for kind, fixed in enumerate(self.fixed):
            share = max(ACTING_LEAST, 0.5 * (known.acted_news[kind] + 1) / (known.acted[kind] + 2))
            if fixed is not None:
                counts[kind] = fixed
            elif random is not None and known.could_act[kind] and not self.is_first and random.random() < share:
                counts[kind] = random.choice(ACTIONS_OF_RUN)
        self.acted = (counts[0] > 0, counts[1] > 0)
        far = EARLY_SECONDS_MAX if self.fixed[0] is None else math.inf
        self.plan = PlannedActions(counts[0], counts[1], far)
        self.plan.horizons = known.steps
        self.plan.new_run(run)

    def _end_run(self) -> None:
        if self.started:
            self.started = False
            run = self.run
            could_act = (run.timers.sequence > 0, self.is_first and has_finalizers())
            new = self.switches - self.known
            self.known |= new
            choices = tuple(self.choices[:CORPUS_CHOICES_MAX]) if new else ()
            steps = run.steps_at_end
            self.shown.append(_Shown(self.arm, tuple(sorted(new)), choices, steps, self.acted, could_act))

    def arrivals(self) -> list[int] | None:
        """What the arm wants to be told."""
        arrivals = getattr(self.deciding, "arrivals", None)
        told: list[int] | None = None if arrivals is None else arrivals()
        return told

    def draw(self, stream: bytes, index: int) -> int:
        """The arm's answer."""
        bits: int = self.deciding.draw(stream, index)
        return bits

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The arm's answer; a switch counts."""
        index: int = self.deciding.next_task(runnable, current)
        chosen, counts = runnable[index], self.counts
        self.choices.append(index)
        taken = counts[chosen] = counts.get(chosen, 0) + 1
        if chosen != current:
            self.switches.add(_packed(current, counts.get(current, 0), chosen, taken))
        return index

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Some arms look at every step."""
        if self.looking is not None:
            self.looking(run, task, outcome_byte, record)


def _both(function: Callable[[Any, Any], Any], first: Sequence[Any], second: Sequence[Any]) -> tuple[Any, Any]:
    return function(first[0], second[0]), function(first[1], second[1])


def _restored(knowledge: Knowledge | Mapping[str, Any] | None) -> Knowledge:
    if isinstance(knowledge, Knowledge):
        return knowledge
    return Knowledge(**(knowledge or {}))  # its fields, from a file


def _packed(task: int, count: int, other: int, other_count: int) -> int:
    return ((task + 1) << 48) | (_grouped(count) << 40) | ((other + 1) << 8) | _grouped(other_count)


def _grouped(count: int) -> int:
    return count if count < 8 else min(255, 5 + count.bit_length())


class VariedSchedule(KeyedDraws):
    """Follows a schedule of the corpus up to a random choice, then walks at random."""

    def __init__(self) -> None:
        self.corpus: list[tuple[int, ...]] = []
        self.random = Random(0)
        self.prefix: tuple[int, ...] = ()
        self.position = 0

    def tell(self, knowledge: None) -> None:
        """The portfolio sets the corpus itself."""

    def learnt(self) -> None:
        """Nothing of its own."""

    def merged(self, first: None, second: None) -> None:
        """Nothing of its own."""

    def new_run(self, run: RunView) -> None:
        """Draw a schedule and where to leave it."""
        random = self.random
        seed_again(random, run.seed)
        schedule = random.choice(self.corpus)
        self.prefix = schedule[: random.randrange(len(schedule))] if schedule else ()
        self.position = 0

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The schedule's choice, or a uniform one."""
        position = self.position
        self.position = position + 1
        if position < len(self.prefix) and self.prefix[position] < len(runnable):
            return self.prefix[position]
        return int(self.random.random() * len(runnable))
