"""One piece of a campaign: a stretch of schedules of one program, run as cheaply as can be.

A piece is a function of the program, the strategy, what the strategy was told, the campaign's seed and the schedules'
indices; where it runs, in this process or in a worker, makes no difference to its report. It ends at its first failure,
unless the program's `FailurePolicy` passes that over or keeps going.

The collector is off inside a piece: what exists when it begins is frozen, and after every few hundred schedules the
garbage that the program itself made in cycles is collected. Journals keep choices only. A schedule that fails is run
again with everything on, by the reader of the report.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import outcome

from detrun.ad.tensor_parameters import TensorParameters
from detrun.checkers.assertions import Tally, tallying
from detrun.execution.execute import ControlledProgram
from detrun.execution.schedules import ScheduleJournal
from detrun.explore.campaign.coverage import Coverage
from detrun.explore.campaign.failed_schedule import FailedSchedule, FailureKind, described
from detrun.explore.campaign.interruptibility import Interruptibility
from detrun.explore.campaign.mixture import Mixture
from detrun.explore.campaign.program import Program
from detrun.explore.campaign.signatures import FailurePolicy, signature_of, text_of_signature
from detrun.gradients.loss import loss_of
from detrun.gradients.whole_tape import WholeTape
from detrun_scheduler.choices import Oracle
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import HiddenStateError, NondeterminismError, StalledError, UsageError
from detrun_scheduler.strategies.campaigns import Learning, RedundantScheduleError, Search, schedule_seed

ENDING = UsageError | HiddenStateError | NondeterminismError | KeyboardInterrupt  # of the campaign
COLLECT_EVERY, COLLECT_EVERY_MOST = 500, 8_000  # schedules; seldom if the program makes no garbage


@dataclass(frozen=True, slots=True)
class Sample:
    """The value and the gradient of one schedule."""

    schedule: bytes
    seed: int
    value: float
    grads: Mapping[str, float]


@dataclass(slots=True)
class Report:
    """What a piece of a campaign showed.

    Reports are added up in the order of their pieces; with ``exhausted`` set, or with ``found`` unless the campaign
    keeps going, no later piece is added.
    """

    first: int  # index of its first schedule
    schedules: int = 0  # run, those that turned out redundant apart; as many as `coverage` has
    redundant: int = 0
    steps: int = 0
    choices_most: int = 0
    kinds: dict[str, FailureKind] = field(default_factory=dict)  # by signature, in the order of their first schedules
    coverage: Coverage = field(default_factory=Coverage)
    samples: list[Sample] = field(default_factory=list)
    assertions: Tally = field(default_factory=Tally)
    interrupted: Interruptibility = field(default_factory=Interruptibility)
    knowledge: Any = None
    exhausted: bool = False  # a search has nothing left
    stopped: bool = False  # by what watched
    stalled: str = ""  # what ended the last schedule, of which a step did not end

    @property
    def found(self) -> FailedSchedule | None:
        """The first failure that is not passed over."""
        return next((kind.first for kind in self.kinds.values() if not kind.is_ignored), None)

    def add_failure(self, found: FailedSchedule, policy: FailurePolicy) -> None:
        """Count a failed schedule."""
        kind = self.kinds.get(found.signature)
        if kind is None:
            self.kinds[found.signature] = FailureKind(found, 1, policy.ignores(found.signature))
        else:
            kind.count += 1

    def include(self, later: Report) -> None:
        """Add the report of the piece that follows."""
        self.schedules += later.schedules
        self.redundant += later.redundant
        self.steps += later.steps
        self.choices_most = max(self.choices_most, later.choices_most)
        for signature, kind in later.kinds.items():
            known = self.kinds.setdefault(signature, replace(kind, count=0))
            known.count += kind.count
        self.coverage.include(later.coverage)
        self.samples += later.samples
        self.assertions.include(later.assertions)
        self.interrupted.include(later.interrupted)
        self.exhausted = later.exhausted
        self.stopped = self.stopped or later.stopped
        self.stalled = self.stalled or later.stalled


Watch = Callable[[Report], bool]


def never(report: Report) -> bool:
    """The watch of a piece without one: go on."""
    return False


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
    mixture = oracle if isinstance(oracle, Mixture) else None
    main, args, options, policy = program.main, program.args, program.options, program.policy
    controlled = ControlledProgram(main, options)
    counting = tallying(report.assertions)
    collect_every = collect_at = COLLECT_EVERY
    journal = ScheduleJournal()
    while report.schedules < count:
        if is_search and not oracle.advance():  # type: ignore[attr-defined]
            report.exhausted = True
            break
        index = first + report.schedules
        # A search varies the schedule alone: draws stay those of the campaign's first run.
        one_seed = run_seed if run_seed is not None else schedule_seed(seed, 0 if is_search else index)
        deciding = oracle
        if mixture is not None:
            options = mixture.schedule(seed, index)
            deciding = mixture.deciding
        verifier: Any = deciding if hasattr(deciding, "step_closed") else None
        scope = None if program.gradient_of is None else _taped(program.gradient_of)
        report.assertions.begin(index)
        with counting:
            while True:
                if controlled.options is not options:
                    controlled = ControlledProgram(main, options)
                loop, ended = controlled.execute(
                    args, oracle=deciding, seed=one_seed, journal=journal, verifier=verifier, scope=scope
                )
                error = ended.error if type(ended) is outcome.Error else None
                if error is None or mixture is None or not mixture.is_observing or isinstance(error, ENDING):
                    break
                # What fails has to fail without being observed, which keeps objects alive.
                options, journal = mixture.unobserved(), ScheduleJournal()
        if isinstance(error, StalledError):
            report.stalled, report.stopped = f"schedule {index:,} was ended: {error}", True
            break
        if isinstance(error, RedundantScheduleError):
            report.redundant += 1
        else:
            report.schedules += 1
            report.steps += loop.steps_at_end
            report.choices_most = max(report.choices_most, len(journal.schedule))
            report.coverage.add(journal.behaviour, journal.operations)
            report.interrupted.add(loop, options)
            if mixture is not None:
                mixture.ran(loop, journal.behaviour)
            if error is not None:
                if isinstance(error, ENDING):
                    raise error
                signature = text_of_signature(signature_of(error))
                report.add_failure(
                    FailedSchedule(
                        index,
                        one_seed,
                        journal.schedule,
                        described(error),
                        loop.steps_at_end,
                        signature,
                        grain=None if mixture is None else mixture.place(),
                    ),
                    policy,
                )
                if not policy.keep_going and report.found is not None:
                    break
            elif scope is not None:
                loss = loss_of(main, ended)
                report.samples.append(Sample(journal.schedule, one_seed, float(primal_of(loss)), scope.grads))
        if error is None:
            journal.begin_anew()
        else:  # what a failed run leaves suspended may still refer to it
            journal = ScheduleJournal()
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
