"""One piece of a campaign: a stretch of schedules of one program, run as cheaply as can be.

A piece is a function of the program, the strategy, what the strategy was told, the campaign's seed and the schedules'
indices; where it runs, in this process or in a worker, makes no difference to its report. It ends at its first failure.

The collector is off inside a piece: what exists when it begins is frozen, and after every few hundred schedules the
garbage that the program itself made in cycles is collected. Journals keep choices only. Whatever fails is run again
with everything on, by whoever reads the report.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import outcome

from detrun.ad.tensor_parameters import TensorParameters
from detrun.checkers.assertions import Tally, tallying
from detrun.execution.execute import execute
from detrun.execution.options import Options, preemption_of
from detrun.execution.program import Main
from detrun.explore.campaign.coverage import Coverage
from detrun.explore.campaign.schedules import ScheduleJournal
from detrun.explore.failures.signatures import leaves
from detrun.gradients.local import WholeTape, loss_of
from detrun.races.watch import CurrentObserver, RaceWatch
from detrun_scheduler.choices import Oracle
from detrun_scheduler.clock import primal_of
from detrun_scheduler.environment.replaced_names import StayingReplaced
from detrun_scheduler.environment.seeding import PreservedGenerators
from detrun_scheduler.errors import HiddenStateError, NondeterminismError, UsageError
from detrun_scheduler.footprints.footprints import OBSERVED_ACCESSES
from detrun_scheduler.strategies import PartialOrderReduction, PartialOrderSampling
from detrun_scheduler.strategies.campaigns import Learning, RedundantScheduleError, Search, schedule_seed
from detrun_scheduler.threads.kept_greenlets import KeptStacks
from detrun_scheduler.threads.preemption import Preemption

# Python 3.12 begins with some hundred of its own objects frozen, which unfreezing does no harm to.
FROZEN_BY_PYTHON = 1_000 if sys.version_info[:2] == (3, 12) else 0
COLLECT_EVERY, COLLECT_EVERY_MOST = 500, 8_000  # schedules; seldom if the program makes no garbage


@dataclass(frozen=True, slots=True)
class Program:
    """What is explored: ``main(*args)`` and what surrounds its runs."""

    main: Main
    args: Sequence[object]
    options: Options
    gradient_of: Mapping[str, float] | None = None  # differentiate every schedule with respect to these

    def with_faults(self, lengths: Mapping[str, float]) -> Program:
        """The same, with planned faults left out or shortened; see `Options.fault_lengths`."""
        return replace(self, options=replace(self.options, fault_lengths=lengths)) if lengths else self


@dataclass(frozen=True, slots=True)
class Sample:
    """The value and the gradient of one schedule."""

    schedule: bytes
    seed: int
    value: float
    grads: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule that failed."""

    index: int  # in the campaign
    seed: int  # of the run
    schedule: bytes
    error: str  # the exception's type and message, for when it cannot be had again
    steps: int
    fault_lengths: Mapping[str, float] = field(default_factory=dict)  # of one that was kept; see `Options`


@dataclass(slots=True)
class Report:
    """What a piece of a campaign showed."""

    first: int  # index of its first schedule
    schedules: int = 0  # run, those that turned out redundant apart
    redundant: int = 0
    steps: int = 0
    choices_most: int = 0
    found: Found | None = None
    coverage: Coverage = field(default_factory=Coverage)
    samples: list[Sample] = field(default_factory=list)
    assertions: Tally = field(default_factory=Tally)
    knowledge: Any = None
    exhausted: bool = False  # a search has nothing left
    stopped: bool = False  # by whoever watched

    def include(self, later: Report) -> None:
        """Add the report of the piece that follows."""
        self.schedules += later.schedules
        self.redundant += later.redundant
        self.steps += later.steps
        self.choices_most = max(self.choices_most, later.choices_most)
        self.found = self.found or later.found
        self.coverage.include(later.coverage)
        self.samples += later.samples
        self.assertions.include(later.assertions)
        self.exhausted = later.exhausted
        self.stopped = self.stopped or later.stopped


@contextmanager
def prepared(program: Program, oracle: Oracle | None = None) -> Iterator[Program]:
    """Everything that many runs of ``program`` under ``oracle`` share, set up once; the program to run meanwhile."""
    options = program.options
    preemption = preemption_of(program.main, options)
    if preemption is not None and isinstance(oracle, PartialOrderReduction | PartialOrderSampling):
        if preemption.by_opcode:
            # The accesses of threads to plain attributes and elements have footprints, too.
            preemption = Preemption("opcode", preemption.include, preemption.exclude, OBSERVED_ACCESSES)
            oracle.observing = True
        elif isinstance(oracle, PartialOrderReduction):
            raise UsageError(
                "dpor needs to see what threads access, which it does at opcodes: choose preemption='opcode', or a "
                "strategy that does not ask, such as 'bounded'"
            )
    if preemption is not None and preemption.by_opcode and isinstance(options.watch, RaceWatch):
        observer: Any = CurrentObserver(preemption.observer)
        preemption = Preemption("opcode", preemption.include, preemption.exclude, observer)
    with ExitStack() as stack:
        stack.enter_context(quiet_collector())
        if isinstance(oracle, AbstractContextManager):
            stack.enter_context(oracle)
        if preemption is None:
            yield program
        else:
            stack.enter_context(preemption)
            yield replace(program, options=replace(options, preemption=preemption, include=(), exclude=()))


Watch = Callable[[Report], bool]


def never(report: Report) -> bool:
    """Nobody watches: go on."""
    return False


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Freeze what exists and switch the collector off, so that schedules pay for their own garbage only."""
    collecting, frozen = gc.isenabled(), gc.get_freeze_count()
    # Nothing is collected first: with a large library loaded that would cost more than a thousand schedules.
    gc.freeze()
    gc.disable()
    try:
        with PreservedGenerators(), StayingReplaced(), KeptStacks():
            yield
    finally:
        if frozen <= FROZEN_BY_PYTHON:  # else somebody froze objects on purpose; there is no telling theirs from ours
            gc.unfreeze()
        if collecting:
            gc.enable()


def run_piece(
    program: Program,
    oracle: Oracle,
    knowledge: Any,
    seed: int,
    first: int,
    count: int,
    watch: Watch = never,
    *,
    run_seed: int | None = None,
) -> Report:
    """Run the schedules ``first`` up to ``first + count`` of the campaign ``seed``, or up to the first failure.

    Args:
        oracle: decides the runs. A `Search` keeps its place between pieces; a `Learning` oracle is told ``knowledge``.
        watch: called after every schedule; True ends the piece.
        run_seed: of every run; by default it follows from ``seed`` and the schedule's index.

    Raises:
        UsageError, HiddenStateError, NondeterminismError: the program cannot be explored.
        KeyboardInterrupt: from outside or from the program: no schedule's own failure.
    """
    report = Report(first)
    is_search = isinstance(oracle, Search)
    if isinstance(oracle, Learning):
        oracle.tell(knowledge)
    verifier: Any = oracle if hasattr(oracle, "step_closed") else None
    main, args, options = program.main, program.args, program.options
    collect_every = collect_at = COLLECT_EVERY
    while report.schedules < count:
        if is_search and not oracle.advance():  # type: ignore[attr-defined]
            report.exhausted = True
            break
        index = first + report.schedules
        # A search varies the schedule alone: draws stay those of the campaign's first run.
        one_seed = run_seed if run_seed is not None else schedule_seed(seed, 0 if is_search else index)
        journal = ScheduleJournal()
        scope = None if program.gradient_of is None else _taped(program.gradient_of)
        report.assertions.begin(index)
        with tallying(report.assertions):
            loop, ended = execute(
                main,
                args,
                oracle=oracle,
                seed=one_seed,
                journal=journal,
                verifier=verifier,
                options=options,
                scope=scope,
            )
        error = ended.error if isinstance(ended, outcome.Error) else None
        if isinstance(error, RedundantScheduleError):
            report.redundant += 1
        else:
            report.schedules += 1
            report.steps += loop.steps_at_end
            report.choices_most = max(report.choices_most, len(journal.schedule))
            report.coverage.add(journal.behaviour)
            if error is not None:
                if isinstance(error, UsageError | HiddenStateError | NondeterminismError | KeyboardInterrupt):
                    raise error
                report.found = Found(index, one_seed, journal.schedule, described(error), loop.steps_at_end)
                break
            if scope is not None:
                loss = loss_of(main, ended)
                report.samples.append(Sample(journal.schedule, one_seed, float(primal_of(loss)), scope.grads))
        if report.schedules >= collect_at:
            collect_every = COLLECT_EVERY if gc.collect() else min(2 * collect_every, COLLECT_EVERY_MOST)
            collect_at = report.schedules + collect_every
        if watch(report):
            report.stopped = True
            break
    if isinstance(oracle, Learning):
        report.knowledge = oracle.learnt()
    return report


def _taped(numbers: Mapping[str, float]) -> WholeTape:
    return WholeTape(dict(numbers), TensorParameters({}), 0)


def described(error: BaseException) -> str:
    """The type and the first line of an exception, or of the only one in a group."""
    found = leaves(error)
    if len(found) > 1:
        kinds = dict.fromkeys(type(leaf).__name__ for leaf in found)
        return f"{type(error).__name__} of {', '.join(kinds)}"
    lines = str(found[0]).splitlines() if found else []
    name = type(found[0] if found else error).__name__
    return f"{name}: {lines[0]}" if lines else name
