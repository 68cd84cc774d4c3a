"""A mixture: a campaign whose schedules differ in where threads can be interrupted, and that learns which places pay.

The first schedule interrupts threads at synchronization operations alone. If it starts threads, the second counts whose
code runs in them (`CodeCensus`), and the schedules after it are shared among *grains*: synchronization operations, and
the lines and the instructions of each scope that `grains.py` finds: everywhere, and in grains of their own only where
threads meet (`meeting_places.py`). A program without threads has one grain, and its schedules are those of the
strategy.

A grain is drawn in proportion to its weight, to the share of its schedules that showed a new behaviour, and, beyond
`STEPS_AFFORDED` steps a schedule, in inverse proportion to its steps: a large library may not use up the time of all.
Each grain has a strategy of its own, since what one learns of the lengths and switches of runs at lines is wrong of
runs at instructions. The rule of `campaigns.py` holds: what schedule ``i`` does follows from the campaign's seed, from
``i``, and from what was told before its epoch, so the number of workers makes no difference.

Going from one grain to another has the interpreter look at every function anew (1 ms on Python 3.13, next to nothing
on 3.11), so `BLOCK` neighbouring schedules have the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.explore.campaign.grains import INTERRUPTS_MAX, WEIGHT_SYNC, Grain, scopes_for
from detrun.explore.campaign.meeting_places import Include, MeetingPlaces, Places, is_observed, joined
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make
from detrun_scheduler.strategies.campaigns import Learning
from detrun_scheduler.threads.code_census import CodeCensus
from detrun_scheduler.threads.preemption import Preemption

BLOCK = 4
STEPS_AFFORDED = 3_000
SHARE_LEAST = 0.2  # divided among all grains by weight and steps alone

NARROW_SHARE = 0.5  # of a scope's weight: for interrupting threads only where they meet

Drawn = tuple[str, Include, float, bool]
"""A grain: preemption, include, weight, and whether threads are interrupted only where they meet."""
SYNC: Drawn = ("sync", (), WEIGHT_SYNC, False)


@dataclass(slots=True)
class Mixed:
    """What the schedules so far showed; lists are by grain.

    Attributes:
        threads: a schedule has started threads.
        looked: a schedule has counted whose code runs in them.
        grains: the first is `SYNC`, and alone until the threads were looked at.
        observed: a schedule was observed.
        places: where threads meet, as far as is known.
        told: what each strategy has learnt.
        shown: grain, steps and behaviour of the runs of a piece, to be counted when it is merged.
    """

    threads: bool = False
    looked: bool = False
    grains: list[Drawn] = field(default_factory=lambda: [SYNC])
    observed: bool = False
    places: Places = field(default_factory=dict)
    told: list[Any] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)
    news: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    seen: list[set[int]] = field(default_factory=list)
    shown: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let every list have a place for every grain."""
        count = len(self.grains)
        self.told += [None] * (count - len(self.told))
        for numbers in (self.tries, self.news, self.steps):
            numbers += [0] * (count - len(numbers))
        self.seen += [set() for _ in range(count - len(self.seen))]

    def shares(self) -> list[float]:
        """By grain: a number proportional to the probability of getting a block of schedules."""
        floors, scores = [], []
        for grain, tries, news, steps in zip(self.grains, self.tries, self.news, self.steps, strict=True):
            _, include, weight, is_narrow = grain
            afforded = min(1.0, STEPS_AFFORDED * tries / steps) if steps else 1.0
            if is_narrow and include not in self.places:
                afforded = 0.0
            floors.append(weight * afforded)
            # As if one of two schedules had shown something new before: none is favoured or written off at first.
            scores.append(weight * afforded * (news + 1) / (tries + 2))
        floor, total = sum(floors), sum(scores)
        return [
            SHARE_LEAST * least / floor + (1 - SHARE_LEAST) * score / total
            for least, score in zip(floors, scores, strict=True)
        ]


class Mixture:
    """One strategy for each grain; `Learning`, and an oracle by the one that is deciding.

    Args:
        main: the program.
        strategy: the name of a strategy that samples.
        include: watched with the project.
        exclude: not watched.
        max_steps: of a schedule.
    """

    def __init__(
        self, main: Main, strategy: str, include: Sequence[str], exclude: Sequence[str], max_steps: int | None
    ) -> None:
        self.main = main
        self.strategy = strategy
        self.include, self.exclude = tuple(include), tuple(exclude)
        self.interrupts_max = INTERRUPTS_MAX if max_steps is None else min(INTERRUPTS_MAX, max_steps // 2)
        first: Any = make(strategy)
        self.oracles: list[Any] = [first]  # by grain, made when needed
        self.knowledge = Mixed()
        self.was_told: set[int] = set()  # grains whose strategy knows what it may in this piece
        self.shown: list[tuple[int, int, int]] = []
        self.threads = False
        self.found: list[Drawn] = []  # by the census of this piece
        self.meeting = MeetingPlaces()  # of this piece
        self.is_observing = False  # the running schedule
        self.grain = 0  # of the running schedule
        self.deciding: Any = first
        self.options: Options | None = None  # of the program, in `within`
        self.preemptions: dict[tuple[int, bool], Preemption] = {}  # by grain, and whether it observes; of `within`
        self.entered: Preemption | None = None

    # What a campaign learns.

    def tell(self, knowledge: Mixed | Mapping[str, Any] | None) -> None:
        """Start a piece of a campaign."""
        known = self.knowledge
        self.knowledge = _restored(knowledge)
        if (self.knowledge.grains, self.knowledge.places) != (known.grains, known.places):
            self._forget()
        self.was_told.clear()
        self.shown, self.found, self.threads = [], [], False
        self.meeting = MeetingPlaces()
        for (_, observes), preemption in self.preemptions.items():
            if observes:
                preemption.observer = self.meeting.shared
        if isinstance(knowledge, Mapping):  # from a file: wrong or right, it shows now
            for grain in range(len(self.knowledge.grains)):
                self._oracle(grain)

    def learnt(self) -> Mixed:
        """What the runs since `tell` showed."""
        told = [
            oracle.learnt() if grain in self.was_told else None
            for grain, oracle in enumerate(self.oracles[: len(self.knowledge.grains)])
        ]
        grains = self.found or self.knowledge.grains
        places = self.meeting.found(self._scopes(), self.exclude)
        observed = self.meeting.is_used
        return Mixed(self.threads, bool(self.found), grains, observed, places, told, shown=self.shown)

    def merged(self, first: Mixed | Mapping[str, Any] | None, second: Mixed | None) -> Mixed:
        """``first``, with the runs that ``second`` lists counted in their order."""
        base, new = _restored(first), _restored(second)
        merged = self.scouted(base, new)
        for grain in range(len(base.told)):
            merged.told[grain], merged.seen[grain] = base.told[grain], set(base.seen[grain])
            merged.tries[grain], merged.news[grain] = base.tries[grain], base.news[grain]
            merged.steps[grain] = base.steps[grain]
        for grain, its_own in enumerate(new.told):
            if its_own is not None:
                merged.told[grain] = self.oracles[0].merged(merged.told[grain], its_own)
        for grain, steps, behaviour in new.shown:
            merged.tries[grain] += 1
            merged.steps[grain] += steps
            if behaviour not in merged.seen[grain]:
                merged.seen[grain].add(behaviour)
                merged.news[grain] += 1
        return merged

    def scouted(self, first: Mixed | Mapping[str, Any] | None, second: Mixed) -> Mixed:
        """What is known of the threads alone, by ``first`` and, if it is silent, by ``second``."""
        base = _restored(first)
        grains = base.grains if base.looked else second.grains
        places, observed = joined(base.places, second.places), base.observed or second.observed
        return Mixed(base.threads or second.threads, base.looked or second.looked, list(grains), observed, places)

    # What a campaign runs.

    @contextmanager
    def within(self, options: Options) -> Iterator[None]:
        """Many runs of the program with ``options`` follow."""
        with ExitStack() as stack:
            if isinstance(self.oracles[0], AbstractContextManager):
                stack.enter_context(self.oracles[0])
            self.options = options
            try:
                yield
            finally:
                self._forget()
                self.options = None

    def schedule(self, seed: int, index: int) -> Options:
        """Make ready for a schedule of the campaign; the options to run it with."""
        assert self.options is not None
        knowledge = self.knowledge
        self.grain = 0
        if len(knowledge.grains) > 1:
            random = Random(f"{seed} {index // BLOCK} grain")
            self.grain = random.choices(range(len(knowledge.grains)), knowledge.shares())[0]
        self.is_observing = len(knowledge.grains) > 1 and is_observed(index)
        if self.is_observing:
            if not knowledge.observed:
                self.grain = 0
            self.is_observing = knowledge.grains[self.grain][0] != "line"
        self.deciding = self._oracle(self.grain)
        if knowledge.threads and not knowledge.looked:
            self._enter(None)
            return replace(self.options, preemption=CodeCensus())
        return self._entered()

    def unobserved(self) -> Options:
        """Make ready for the same schedule once more, without being observed; the options to run it with."""
        self.is_observing = False
        return self._entered()

    def _entered(self) -> Options:
        assert self.options is not None
        if not self.grain and not self.is_observing:
            self._enter(None)
            return self.options
        self.meeting.is_used = self.meeting.is_used or self.is_observing
        preemption = self.preemptions.get((self.grain, self.is_observing))
        if preemption is None:
            preemption = self.preemptions[self.grain, self.is_observing] = self._preemption()
        self._enter(preemption)
        return replace(self.options, preemption=preemption)

    def _preemption(self) -> Preemption:
        """For schedules of the grain, observed or not."""
        if not self.grain:
            return self.meeting.silent(self._scopes(), self.exclude)
        granularity, include, _, is_narrow = self.knowledge.grains[self.grain]
        observer = self.meeting.shared if self.is_observing else None
        only_at = self.knowledge.places[include] if is_narrow else None
        return Preemption(granularity, include, self.exclude, observer, only_at, self.interrupts_max)

    def _scopes(self) -> list[Include]:
        return list(dict.fromkeys(include for _, include, _, _ in self.knowledge.grains[1:]))

    def ran(self, loop: RunLoop, behaviour: int) -> None:
        """The schedule has run."""
        self.shown.append((self.grain, loop.steps_at_end, behaviour))
        if loop.threads_started:
            self.threads = True
        census = loop.preemption
        if isinstance(census, CodeCensus) and census.threads_of and not self.found:
            scopes = scopes_for(self.main, self.include, self.exclude, census.threads_of)
            self.found = [SYNC]
            for scope in scopes:
                for is_narrow, share in ((False, 1 - NARROW_SHARE), (True, NARROW_SHARE)):
                    weight = scope.weight * share / 2
                    self.found += [(kind, scope.include, weight, is_narrow) for kind in ("line", "opcode")]

    def place(self) -> Grain:
        """Where the threads of the schedule can be interrupted."""
        granularity, include, _, is_narrow = self.knowledge.grains[self.grain]
        if not self.grain:
            return Grain()
        only_at = tuple(self.knowledge.places[include]) if is_narrow else None
        return Grain(granularity, include, self.exclude, only_at, self.interrupts_max)

    def _oracle(self, grain: int) -> Any:
        while len(self.oracles) <= grain:
            first = self.oracles[0]
            self.oracles.append(first.sibling() if hasattr(first, "sibling") else make(self.strategy))
        oracle = self.oracles[grain]
        if grain not in self.was_told:
            self.was_told.add(grain)
            oracle.tell(self.knowledge.told[grain])
            if grain and hasattr(oracle, "consider"):
                oracle.consider(self.knowledge.told[0])
        return oracle

    def _enter(self, preemption: Preemption | None) -> None:
        if preemption is self.entered:
            return
        if self.entered is not None:
            self.entered.__exit__(None, None, None)
        self.entered = preemption
        if preemption is not None:
            preemption.__enter__()

    def _forget(self) -> None:
        self._enter(None)
        self.preemptions.clear()

    # An oracle: the grain's.

    def new_run(self, run: Any) -> None:
        """Give the run to the grain's strategy."""
        self.deciding.new_run(run)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """Its answer."""
        index: int = self.deciding.next_task(runnable, current)
        return index

    def draw(self, stream: bytes, index: int) -> int:
        """Its answer."""
        bits: int = self.deciding.draw(stream, index)
        return bits


def mixture_of(
    main: Main,
    strategy: object,
    include: Sequence[str],
    exclude: Sequence[str],
    max_steps: int | None,
) -> Mixture | None:
    """A mixture of the strategy with this name; None if it is one that cannot be mixed.

    Searches enumerate the schedules of one grain, and an oracle of the user's is one object with one state.
    """
    if not isinstance(strategy, str) or not isinstance(make(strategy), Learning):
        return None
    return Mixture(main, strategy, include, exclude, max_steps)


def _restored(knowledge: Mixed | Mapping[str, Any] | None) -> Mixed:
    if isinstance(knowledge, Mixed):
        return knowledge
    return Mixed(**(knowledge or {}))  # its fields, from a file
