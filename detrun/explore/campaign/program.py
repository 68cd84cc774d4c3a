"""The program that a campaign explores, and what the many runs of it share.

`Program` is what is run; `prepared` sets up once what all runs of it need: where threads are preempted, what their
accesses are told to, and a quiet garbage collector. What exists when it begins is frozen, so that schedules pay for
their own garbage only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from detrun.execution.options import Options, preemption_of
from detrun.execution.program import Main
from detrun.execution.quiet_collector import quiet_collector
from detrun.explore.campaign.grains import Grain
from detrun.explore.campaign.mixture import Mixture
from detrun.explore.campaign.signatures import FailurePolicy
from detrun.explore.campaign.steady_paths import SteadyPaths
from detrun.races.watch import CurrentObserver, RaceWatch
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.footprints.marks import OBSERVED_ACCESSES
from detrun_scheduler.strategies.dpor import PartialOrderReduction
from detrun_scheduler.strategies.pos import PartialOrderSampling
from detrun_scheduler.threads.preemption import Preemption

SLUG_CHARACTERS_MAX = 160


@dataclass(frozen=True, slots=True)
class Program:
    """What is explored: ``main(*args)`` and what surrounds its runs."""

    main: Main
    args: Sequence[object]
    options: Options
    gradient_of: Mapping[str, float] | None = None  # differentiate every schedule with respect to these
    policy: FailurePolicy = field(default_factory=FailurePolicy)
    paths: SteadyPaths = field(default_factory=SteadyPaths, compare=False)  # what reports of its runs call tasks

    def with_faults(self, lengths: Mapping[str, float]) -> Program:
        """The same, with planned faults left out or shortened; see `Options.fault_lengths`."""
        return replace(self, options=replace(self.options, fault_lengths=lengths)) if lengths else self

    def within(self, steps: int) -> Program:
        """The same, with runs of at most ``steps`` steps, or fewer if it has a lower limit."""
        limit = self.options.max_steps
        return replace(self, options=replace(self.options, max_steps=steps if limit is None else min(steps, limit)))

    def at(self, grain: Grain | None) -> Program:
        """The same, with its threads interrupted elsewhere."""
        if grain is None:
            return self
        options = replace(
            self.options,
            preemption=grain.preemption,
            include=grain.include,
            exclude=grain.exclude,
            only_at=grain.only_at,
            interrupts_max=grain.interrupts_max,
        )
        return replace(self, options=options)


@contextmanager
def prepared(program: Program, oracle: Oracle | None = None) -> Iterator[Program]:
    """Everything that many runs of ``program`` under ``oracle`` share, set up once; the program to run meanwhile."""
    options = program.options
    if isinstance(oracle, Mixture):
        with quiet_collector(), oracle.within(options):
            yield program
        return
    preemption = preemption_of(program.main, options)
    if preemption is not None and isinstance(oracle, PartialOrderReduction | PartialOrderSampling):
        if preemption.by_opcode:
            # The accesses of threads to plain attributes and elements have footprints, too.
            preemption = _observed(preemption, OBSERVED_ACCESSES)
            oracle.observing = True
        elif isinstance(oracle, PartialOrderReduction):
            raise UsageError(
                "dpor needs to see what threads access, which it does at opcodes: choose preemption='opcode', or a "
                "strategy that does not ask, such as 'bounded'"
            )
    if preemption is not None and preemption.by_opcode and isinstance(options.watch, RaceWatch):
        observer: Any = CurrentObserver(preemption.observer)
        preemption = _observed(preemption, observer)
    with ExitStack() as stack:
        stack.enter_context(quiet_collector())
        if isinstance(oracle, AbstractContextManager):
            stack.enter_context(oracle)
        if preemption is None:
            yield program
        else:
            stack.enter_context(preemption)
            yield replace(program, options=replace(options, preemption=preemption, include=(), exclude=()))


def _observed(preemption: Preemption, observer: Any) -> Preemption:
    only_at = None if preemption.only_at is None else preemption.only_at.names
    return Preemption("opcode", preemption.include, preemption.exclude, observer, only_at, preemption.interrupts_max)


def slug(target: str) -> str:
    """A program's name as part of a file's, which may have 255 characters; the middle of a long one is a hash."""
    found = re.sub(r"[^A-Za-z0-9_.]+", "-", target.replace(os.sep, ".")).strip(".-")
    if len(found) <= SLUG_CHARACTERS_MAX:
        return found
    half = SLUG_CHARACTERS_MAX // 2
    return f"{found[:half]}-{blake2b(target.encode(), digest_size=6).hexdigest()}-{found[-half:]}"
