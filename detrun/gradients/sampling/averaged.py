"""`sampled_gradient`: takes samples and makes the one result of them."""

from __future__ import annotations

import math
from typing import Any

from detrun.ad.torch_bridge import use_one_thread, use_threads
from detrun.gradients.plain_run import RELATIVE
from detrun.gradients.result import Cost, Gradient, RunDiagnostics
from detrun.gradients.sampling.collector import AUTO, Collected, Sampling, collect, relative_errors
from detrun.gradients.sampling.functionals import MEAN, Functional
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Estimates, Estimator
from detrun_scheduler.errors import DivergenceError, UsageError

WARNINGS_MAX = 20


def sampled_gradient(estimator: Estimator, sampling: Sampling, of: Functional | None = None) -> Gradient:
    """The gradient that ``estimator`` gives, with its standard errors; ``of`` what it differentiates, None: the mean.

    The run of the first seed is recorded before the samples are taken: the result holds it, and a program that does
    not work fails at once.

    Raises:
        UsageError: a quantile or a tail that so few samples cannot show.
        As `collect`.
    """
    if of is not None and sampling.looks[-1] < of.samples_min:
        raise UsageError(
            f"gradient: {sampling.looks[-1]:,} samples show too little of {of}; give at least {of.samples_min:,}"
        )
    program = estimator.program
    if program.tensors.on_accelerator and (sampling.executor is not None or sampling.workers > 1):
        raise UsageError(
            "gradient: workers are other processes, which do not share the memory of an accelerator; move the tensors "
            "to the CPU, or leave out workers and executor"
        )
    threads = use_one_thread()
    try:
        first, plain = program.recorded(sampling.first_seed)
        collected = collect(estimator, sampling)
    finally:
        use_threads(threads)
    samples, estimates = collected.samples, collected.estimates
    # What the world answers is no function of the seed: with effects the two runs may well differ.
    is_exact = estimator.uses_values and not samples[0].notes.get("softened")
    if is_exact and not any(chunk.payloads for chunk in first.recording.chunks()):
        _hold(samples[0].value, plain, sampling.first_seed)
    conclusion = estimator.concluded(samples)
    level = sampling.confidence_of_look
    shaped = program.shaped
    found = Gradient(
        value=estimates.value.mean,
        grads=shaped({name: one.mean for name, one in estimates.grads.items()}),
        kind=estimator.kind,
        std_error=shaped({name: one.std_error for name, one in estimates.grads.items()}),
        samples=len(samples),
        bias=conclusion.bias,
        validity={},
        diagnostics=RunDiagnostics(),
        recording=first.recording,
        digest=first.digest,
        warnings=_shortened([*conclusion.warnings, *_of_sampling(estimator, collected, sampling)]),
        value_std_error=estimates.value.std_error,
        interval=_intervals(program, estimates, level),
        confidence=sampling.confidence,
        cost=Cost(
            runs=1 + sum(one.runs for one in samples),
            steps=first.steps + sum(one.steps for one in samples),
            cpu_seconds=math.fsum(one.cpu_seconds for one in samples),
        ),
        details=conclusion.details,
        of=MEAN if of is None else str(of),
    )
    program.tensors.accumulate(found.grads)
    return found


def _intervals(program: SampledProgram, estimates: Estimates, level: float) -> dict[str, Any]:
    """By parameter; of a tensor two tensors, of a module a pair of them by name."""
    both = {name: one.interval(level) for name, one in estimates.grads.items()}
    if not program.tensors:
        return both
    low, high = (program.shaped({name: one[side] for name, one in both.items()}) for side in (0, 1))
    return {
        name: {key: (one[key], high[name][key]) for key in one} if isinstance(one, dict) else (one, high[name])
        for name, one in low.items()
    }


def _shortened(warnings: list[str]) -> list[str]:
    """Numbers of a tensor can all have the same to say."""
    if len(warnings) <= WARNINGS_MAX:
        return warnings
    return [*warnings[:WARNINGS_MAX], f"and {len(warnings) - WARNINGS_MAX:,} more warnings of other parameters"]


def _hold(value: float, plain: float, seed: int) -> None:
    """Raise `DivergenceError` unless the first run with Values returned what it does on plain numbers."""
    if not math.isclose(value, plain, rel_tol=RELATIVE, abs_tol=RELATIVE):
        raise DivergenceError(
            f"with seed {seed} the program returns {plain!r} on plain numbers, as detrun.record runs it, and {value!r} "
            "with Values. Values are no floats: isinstance(x, float), type(x) is float and match tell them apart; ask "
            f"for (float, detrun.Value) there. detrun.gradient(main, params, seed={seed}, verify=True) names the step "
            "from which the two differ"
        )


def _of_sampling(estimator: Estimator, collected: Collected, sampling: Sampling) -> list[str]:
    """What a reader should know of how many samples there are."""
    count = len(collected.samples)
    found = []
    if collected.interrupted:
        found.append(f"interrupted after {count:,} samples: the result is of these")
    if sampling.samples == AUTO and not collected.is_precise:
        found += _not_reached(estimator, collected, sampling)
    if count >= 2:
        for name, numbers in estimator.program.names.items():
            listed = [collected.estimates.grads[one] for one in numbers]
            if all(one.std_error == 0.0 and one.mean == 0.0 for one in listed):
                found.append(
                    f"all {count:,} samples of d/d{name} are 0: it may be 0, or what moves it is rarer than one run in "
                    f"{count:,}"
                )
    return found


def _not_reached(estimator: Estimator, collected: Collected, sampling: Sampling) -> list[str]:
    """The derivatives that are less precise than was asked for, and what they would take."""
    found = []
    count = len(collected.samples)
    for name, error in relative_errors(estimator, collected.estimates, sampling.confidence_of_look).items():
        if error <= sampling.target_error:
            continue
        if error < 1.0:
            needed = math.ceil(count * (error / sampling.target_error) ** 2)
            way_out = f"about {needed:,} samples would reach it (samples_max={needed})"
        else:
            way_out = "it cannot be told from 0, and no relative error of a derivative of 0 is small"
        found.append(
            f"d/d{name} is known to {error:.1%} after {count:,} samples, not to the {sampling.target_error:.1%} asked "
            f"for; {way_out}"
            if error < math.inf
            else f"d/d{name} is 0 after {count:,} samples, so it has no relative error"
        )
    return found
