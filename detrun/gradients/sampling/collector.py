"""The collector: seeds become samples, here or in other processes, so many as asked for or until an error is small.

Sample ``i`` has the seed of schedule ``i`` of a campaign: with seed 0 it is ``i`` itself. Samples are used in the order
of their seeds, whichever process took them.

``samples="auto"`` looks at what it has after 32 samples and then after half as many again each time, and stops where
the confidence interval of every derivative is at most ``target_error`` of it to either side. Stopping at a lucky moment
would make such an interval too narrow. So the chance of error is shared among all looks that there can be (Bonferroni):
the interval that is returned holds with the stated confidence at whichever look it was. The mean itself is biased by
stopping, by less than the half width of that interval. A derivative that is 0 in truth never gets a small relative
error; the bound ``samples_max`` ends that, and the result says so.
"""

from __future__ import annotations

import copy
import gc
import math
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from detrun.execution.interruption import Interruption
from detrun.execution.worker_processes import WorkerProcesses, working
from detrun.gradients.sampling.sample import Estimates, Estimator, Sample
from detrun_scheduler.errors import DetrunError, UsageError, text_of
from detrun_scheduler.strategies.campaigns import schedule_seed

AUTO = "auto"
FIRST_LOOK = 32
LOOK_GROWTH = 1.5
PIECES_PER_WORKER = 4
COLLECT_EVERY = 500  # samples; the collector is off meanwhile


class SampleFailedError(DetrunError):
    """A sample's run failed in another process, with an exception that cannot be sent between processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How samples are taken; the fields are keyword arguments of `detrun.gradient`, but for ``first``.

    Attributes:
        first: index of the first sample.
    """

    seed: int = 0
    first: int = 0
    samples: int | str = AUTO
    samples_max: int = 10_000
    target_error: float = 0.05
    confidence: float = 0.95
    executor: Executor | None = None
    workers: int = 1
    progress: Callable[[SoFar], None] | None = None

    def __post_init__(self) -> None:
        samples = self.samples
        if samples != AUTO and not _is_count(samples, 2):
            raise UsageError(
                f"gradient: samples={samples!r} is not valid; give a whole number of at least 2 (a standard error "
                "needs two), or 'auto' for as many as target_error asks for"
            )
        for name, count, least in (("samples_max", self.samples_max, 2), ("workers", self.workers, 1)):
            if not _is_count(count, least):
                raise UsageError(f"gradient: {name}={count!r} must be a whole number of at least {least}")
        for name, share in (("target_error", self.target_error), ("confidence", self.confidence)):
            if not isinstance(share, int | float) or not 0.0 < share < 1.0:
                raise UsageError(f"gradient: {name}={share!r} must be a number between 0 and 1")
        if not isinstance(self.seed, int):
            raise UsageError(f"gradient: seed={self.seed!r} is not an integer")

    @property
    def first_seed(self) -> int:
        """Of the first sample."""
        return schedule_seed(self.seed, self.first)

    @property
    def looks(self) -> list[int]:
        """Numbers of samples after which to look whether they are enough."""
        if isinstance(self.samples, int):
            return [self.samples]
        found = [min(FIRST_LOOK, self.samples_max)]
        while found[-1] < self.samples_max:
            found.append(min(math.ceil(found[-1] * LOOK_GROWTH), self.samples_max))
        return found

    @property
    def confidence_of_look(self) -> float:
        """That of the intervals at one look, so that all of them hold together with ``confidence``."""
        return 1.0 - (1.0 - self.confidence) / len(self.looks)


@dataclass(frozen=True, slots=True)
class SoFar:
    """What is known while sampling goes on.

    Attributes:
        samples: taken.
        samples_max: that will be taken at most.
        relative_error: the largest half width of an interval as a share of its derivative; None before the first look.
        target_error: what it is to become; None where the number of samples is fixed.
    """

    samples: int
    samples_max: int
    relative_error: float | None = None
    target_error: float | None = None


def sampling_of(*, seed: int, samples: int | str | None, target_error: float | None, **given: Any) -> Sampling | None:
    """The `Sampling` that the keyword arguments of `detrun.gradient` ask for; None if they ask for none.

    Raises:
        UsageError: one of them makes no sense, or not without samples.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    if target_error is not None:
        if samples not in (None, AUTO):
            raise UsageError(
                f"gradient: samples={samples!r} fixes the number of samples, and target_error chooses it; leave out "
                "one of them (samples_max= bounds the number)"
            )
        samples, chosen["target_error"] = AUTO, target_error
    if samples is None:
        chosen.pop("progress", None)
        if chosen:
            raise UsageError(f"gradient: {', '.join(chosen)} is about samples; give samples=N or 'auto', too")
        return None
    return Sampling(seed=seed, samples=samples, **chosen)


@dataclass(slots=True)
class Collected:
    """The samples, and what they estimate."""

    samples: list[Sample]
    estimates: Estimates
    interrupted: bool
    is_precise: bool  # False: the target was not reached


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


def _is_count(number: object, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= least


def collect(estimator: Estimator, sampling: Sampling) -> Collected:
    """Take samples.

    Raises:
        Whatever the program raises in the first sample that fails, with a note on how to repeat it.
        SampleFailedError: the same, where the exception cannot be sent from a worker.
        KeyboardInterrupt: Ctrl-C before there were two samples, or twice.
    """
    samples: list[Sample] = []
    interruption = Interruption()
    error: float | None = None
    estimates: Estimates | None = None
    target = sampling.target_error if sampling.samples == AUTO else None
    looks = sampling.looks

    def taken(one: Sample) -> None:
        samples.append(one)
        if sampling.progress is not None:
            sampling.progress(SoFar(len(samples), looks[-1], error, target))

    start = sampling.first
    with interruption, _source(estimator, sampling) as take:
        for look in looks:
            for one in take(start + len(samples), start + look):
                if isinstance(one, _Failed):
                    raise one.error
                taken(one)
                if interruption.requested:
                    break
            if interruption.requested:
                break
            estimates = estimator.estimates(samples)
            error = relative_error(estimator, estimates, sampling.confidence_of_look)
            if target is not None and error <= target:
                break
    if interruption.requested and len(samples) < 2:
        raise KeyboardInterrupt
    if interruption.requested:
        estimates = estimator.estimates(samples)
        error = relative_error(estimator, estimates, sampling.confidence_of_look)
    assert estimates is not None
    assert error is not None
    is_precise = target is None or error <= target
    return Collected(samples, estimates, interruption.requested, is_precise)


def relative_error(estimator: Estimator, estimates: Estimates, confidence: float) -> float:
    """The largest half width of a derivative's interval, as a share of the derivative."""
    return max(relative_errors(estimator, estimates, confidence).values(), default=0.0)


def relative_errors(estimator: Estimator, estimates: Estimates, confidence: float) -> dict[str, float]:
    """By parameter; of a tensor, the norm of the half widths as a share of the norm of the derivatives.

    Infinite for a derivative of 0, also if no sample differed from it.
    """
    found = {}
    for name, numbers in estimator.program.names.items() if estimates.grads else ():
        size = math.hypot(*(estimates.grads[one].mean for one in numbers))
        widths = [estimates.grads[one].half_width(confidence) for one in numbers]
        found[name] = math.inf if size == 0.0 else math.hypot(*widths) / size
    return found


Take = Callable[[int, int], Iterator[Sample | _Failed]]


@contextmanager
def _source(estimator: Estimator, sampling: Sampling) -> Iterator[Take]:
    """What takes the samples from one index up to another, in order; for the length of a block."""
    if sampling.executor is None and sampling.workers == 1:
        with prepared(estimator) as ready:
            yield lambda first, stop: _samples(ready, sampling.seed, first, stop)
        return
    with working(_piece, estimator, sampling.executor, sampling.workers) as processes:
        yield lambda first, stop: _elsewhere(processes, sampling.seed, first, stop)


@contextmanager
def prepared(estimator: Estimator) -> Iterator[Estimator]:
    """What all runs of an estimator's program share, set up once; the estimator to use meanwhile."""
    with estimator.program.prepared() as program:
        ready = copy.copy(estimator)
        ready.program = program
        yield ready


def _samples(estimator: Estimator, seed: int, first: int, stop: int) -> Iterator[Sample | _Failed]:
    for index in range(first, stop):
        if index % COLLECT_EVERY == COLLECT_EVERY - 1:
            gc.collect()
        started = time.process_time()
        try:
            sample = estimator.sample(schedule_seed(seed, index))
        except Exception as error:
            error.add_note(f"sample {index} of the {estimator.kind} gradient")
            yield _Failed(error)
            return
        yield replace(sample, cpu_seconds=time.process_time() - started)


def _piece(estimator: Estimator, seed: int, first: int, stop: int) -> list[Sample | _Failed]:
    """Samples taken in a worker."""
    with prepared(estimator) as ready:
        found = list(_samples(ready, seed, first, stop))
    if isinstance(found[-1], _Failed):
        found[-1] = _Failed(_sendable(found[-1].error))
    return found


def _elsewhere(
    processes: WorkerProcesses[Estimator, list[Sample | _Failed]], seed: int, first: int, stop: int
) -> Iterator[Sample | _Failed]:
    size = max(1, -(-(stop - first) // (processes.count * PIECES_PER_WORKER)))
    calls = [(seed, start, min(start + size, stop)) for start in range(first, stop, size)]
    with closing(processes.in_order(calls)) as pieces:
        for piece in pieces:
            yield from piece


def _sendable(error: Exception) -> Exception:
    """An exception as it may be sent to another process; its notes go with it."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # pickling runs code of the program's own exception; its text is sent instead
        pass
    text = f"{type(error).__name__}: {text_of(error)}"
    return SampleFailedError("; ".join([text, *getattr(error, "__notes__", ())]))
