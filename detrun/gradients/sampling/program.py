"""`SampledProgram`: the program whose gradient is sampled, and one light run of it.

Runs are kept as their choices alone, and what surrounds them is set up once for many (`prepared`): a run costs about a
fourth of one that is recorded. A run whose program raises says in a note which seed and parameters it had, and the
command that repeats it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from detrun.ad.value import Value, primal_of
from detrun.execution.execute import execute
from detrun.execution.finished import Finished
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options, preemption_of
from detrun.execution.program import Main, target_of
from detrun.execution.quiet_collector import quiet_collector
from detrun.execution.schedules import ScheduleJournal
from detrun.execution.scope import RunScope
from detrun.gradients.loss import loss_of
from detrun_scheduler.choices import Oracle
from detrun_scheduler.strategies import make, name_of
from detrun_scheduler.strategies.campaigns import Learning


@dataclass(frozen=True, slots=True)
class OneRun:
    """A run that ended well.

    Attributes:
        loss: what the program returned: a `Value` of a run that has ended, if a scope gave it Values.
        steps: taken.
        behaviour: equal for runs whose tasks took the same steps in the same order.
    """

    loss: Value | float
    steps: int
    behaviour: int

    @property
    def value(self) -> float:
        """The loss as a plain number."""
        return float(primal_of(self.loss))


@dataclass(frozen=True, slots=True)
class SampledProgram:
    """``main(params)`` with numbers for parameters, what surrounds its runs, and what chooses in them."""

    main: Main
    params: Mapping[str, float]
    options: Options
    strategy: str | Oracle = "random"

    @contextmanager
    def prepared(self) -> Iterator[SampledProgram]:
        """Everything that many runs share, set up once; the program to run meanwhile."""
        preemption = preemption_of(self.main, self.options)
        with quiet_collector():
            if preemption is None:
                yield self
                return
            with preemption:
                options = replace(self.options, preemption=preemption, include=(), exclude=())
                yield replace(self, options=options)

    def run(self, params: Mapping[str, float], seed: int, scope: RunScope | None = None) -> OneRun:
        """Run once. The oracle is made anew each time, so that a run does not depend on those before it.

        Raises:
            Whatever the program raises, or how the run failed (`DeadlockError`, …), with a note on how to repeat it.
        """
        journal = ScheduleJournal()
        args = (dict(params),)
        try:
            loop, ended = execute(
                self.main,
                args,
                oracle=self._oracle(),
                seed=seed,
                journal=journal,
                options=self.options,
                scope=scope,
            )
            return OneRun(loss_of(self.main, ended), loop.steps_at_end, journal.behaviour)
        except Exception as error:
            self._explain(error, params, seed)
            raise

    def recorded(self, seed: int) -> tuple[Finished, float]:
        """A run with the parameters as they are, recorded, and its loss.

        Raises:
            As `run`.
        """
        params = dict(self.params)
        try:
            finished = NewRun(seed, self.strategy, params=params).execute(self.main, (params,), self.options)
            loss = loss_of(self.main, finished.outcome)
        except Exception as error:
            self._explain(error, self.params, seed)
            raise
        return finished, float(primal_of(loss))

    def _oracle(self) -> Oracle:
        oracle = make(self.strategy)
        if isinstance(oracle, Learning):
            oracle.tell(None)
        return oracle

    def _explain(self, error: Exception, params: Mapping[str, float], seed: int) -> None:
        error.add_note(f"in the run with seed {seed}; to run it again: {self.command(params, seed)}")

    def command(self, params: Mapping[str, float], seed: int) -> str:
        """The command that repeats a run."""
        words = ["detrun", "record", target_of(self.main), "--seed", str(seed)]
        for name, number in params.items():
            words += ["--param", f"{name}={number!r}"]
        if self.strategy != "random":
            words += ["--strategy", name_of(self.strategy)]
        preemption = self.options.preemption
        if preemption is not None and preemption != "sync":
            words += ["--preemption", preemption if isinstance(preemption, str) else preemption.granularity]
        return shlex.join(words)
