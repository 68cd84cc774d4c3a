"""`SampledProgram`: the program whose gradient is sampled, and one light run of it.

Runs are kept as their choices alone, and what surrounds them is set up once for many (`prepared`): a run costs about a
fourth of one that is recorded. A run whose program raises says in a note which seed and parameters it had, and the
command that repeats it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from detrun.ad.tensor_numbers import TensorNumbers
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
from detrun.gradients.parameters import check_params
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies import make, name_of

NUMBERS_MAX = 100_000
Bounds = Mapping[str, tuple[float | None, float | None]]


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
    """``main(params)`` with its parameters, what surrounds its runs, and what chooses in them.

    Attributes:
        params: all numbers by name: those among the parameters, and those of tensors (`detrun.ad.tensor_numbers`).
        tensors: the tensors and modules among the parameters.
        bounds: by name, the least and the greatest that a parameter may be moved to; None: no bound.
    """

    main: Main
    params: Mapping[str, float]
    options: Options
    strategy: str | Oracle = "random"
    tensors: TensorNumbers = field(default_factory=lambda: TensorNumbers({}))
    bounds: Bounds = field(default_factory=dict)

    def is_within_bounds(self, params: Mapping[str, float]) -> bool:
        """Whether no parameter is beyond its bounds."""
        return all(
            (low is None or low <= params[name]) and (high is None or params[name] <= high)
            for name, (low, high) in self.bounds.items()
        )

    @classmethod
    def of(cls, main: Main, params: Mapping[str, Any], options: Options, strategy: str | Oracle) -> SampledProgram:
        """With numbers, tensors and modules for parameters.

        Raises:
            UsageError: as `check_params`; or there are more numbers in the tensors than are averaged one by one.
        """
        numbers = check_params(params)
        tensors = TensorNumbers(params)
        of_tensors = tensors.numbers()
        if len(of_tensors) > NUMBERS_MAX:
            raise UsageError(
                f"gradient: the tensors of the parameters have {len(of_tensors):,} numbers, and samples are averaged "
                f"for {NUMBERS_MAX:,} at most; freeze some (requires_grad_(False)), or take the gradient of one run, "
                "kind='local'"
            )
        for name in numbers.keys() & of_tensors.keys():
            raise UsageError(f"gradient: {name!r} is a parameter, and also the name of a number in a tensor; rename it")
        return cls(main, {**numbers, **of_tensors}, options, strategy, tensors)

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers that are parameters themselves."""
        if not self.tensors:
            return dict(self.params)
        inside = {one for by_key in self.tensors.names.values() for names in by_key.values() for one in names}
        return {name: number for name, number in self.params.items() if name not in inside}

    @property
    def names(self) -> dict[str, list[str]]:
        """The numbers of each parameter, by its name."""
        found = {name: [name] for name in self.numbers}
        for name, by_key in self.tensors.names.items():
            found[name] = [one for names in by_key.values() for one in names]
        return found

    def flat(self, grads: Mapping[str, Any]) -> dict[str, float]:
        """Derivatives by number, of derivatives by parameter."""
        found = {name: one for name, one in grads.items() if name not in self.tensors.given}
        return {**found, **self.tensors.flat(grads)} if self.tensors else found

    def shaped(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse."""
        if not self.tensors:
            return dict(numbers)
        return {**{name: numbers[name] for name in self.numbers}, **self.tensors.shaped(numbers)}

    def spread(self, by_parameter: Mapping[str, Any]) -> dict[str, Any]:
        """What is given by parameter, for each number; a name that is no parameter stays."""
        found: dict[str, Any] = {}
        for name, one in by_parameter.items():
            inside = self.tensors.names.get(name)
            found.update({name: one} if inside is None else {each: one for names in inside.values() for each in names})
        return found

    def handed(self, params: Mapping[str, float]) -> dict[str, Any]:
        """What the program gets, where the numbers are these."""
        if not self.tensors:
            return dict(params)
        return {**{name: params[name] for name in self.numbers}, **self.tensors.handed(params)}

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
        args = (self.handed(params) if scope is None else {},)
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
        finally:
            self.tensors.restore()

    def recorded(self, seed: int, params: Mapping[str, float] | None = None) -> tuple[Finished, float]:
        """A run, recorded, and its loss; with the parameters as they are, or with these numbers.

        Raises:
            As `run`.
        """
        params = self.params if params is None else params
        numbers = {name: params[name] for name in self.numbers}
        try:
            new = NewRun(seed, self.strategy, params=numbers)
            finished = new.execute(self.main, (self.handed(params),), self.options)
            loss = loss_of(self.main, finished.outcome)
        except Exception as error:
            self._explain(error, params, seed)
            raise
        finally:
            self.tensors.restore()
        return finished, float(primal_of(loss))

    def _oracle(self) -> Oracle:
        oracle = make(self.strategy)
        # Asked for, since to compare with a protocol takes 20 µs in each run on Python 3.11.
        tell = getattr(oracle, "tell", None)
        if tell is not None:
            tell(None)
        return oracle

    def _explain(self, error: Exception, params: Mapping[str, float], seed: int) -> None:
        error.add_note(f"in the run with seed {seed}; to run it again: {self.command(params, seed)}")

    def command(self, params: Mapping[str, float], seed: int) -> str:
        """The command that repeats a run."""
        words = ["detrun", "record", target_of(self.main), "--seed", str(seed)]
        for name in self.numbers:
            number = params[name]
            words += ["--param", f"{name}={number!r}"]
        if self.strategy != "random":
            words += ["--strategy", name_of(self.strategy)]
        preemption = self.options.preemption
        if preemption is not None and preemption != "sync":
            words += ["--preemption", preemption if isinstance(preemption, str) else preemption.granularity]
        return shlex.join(words)
