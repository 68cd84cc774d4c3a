"""`sampled_gradient`: takes samples and makes the one result of them."""

from __future__ import annotations

import math

from detrun.gradients.plain_run import RELATIVE
from detrun.gradients.result import Cost, Gradient, RunDiagnostics
from detrun.gradients.sampling.collector import AUTO, Collected, Sampling, collect, relative_error_of
from detrun.gradients.sampling.functionals import MEAN, Functional
from detrun.gradients.sampling.sample import Estimator
from detrun_scheduler.errors import DivergenceError, UsageError


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
    first, plain = estimator.program.recorded(sampling.first_seed)
    collected = collect(estimator, sampling)
    samples, estimates = collected.samples, collected.estimates
    # What the world answers is no function of the seed: with effects the two runs may well differ.
    is_exact = estimator.uses_values and not samples[0].notes.get("softened")
    if is_exact and not any(chunk.payloads for chunk in first.recording.chunks()):
        _hold(samples[0].value, plain, sampling.first_seed)
    conclusion = estimator.concluded(samples)
    level = sampling.confidence_of_look
    return Gradient(
        value=estimates.value.mean,
        grads={name: one.mean for name, one in estimates.grads.items()},
        kind=estimator.kind,
        std_error={name: one.std_error for name, one in estimates.grads.items()},
        samples=len(samples),
        bias=conclusion.bias,
        validity={},
        diagnostics=RunDiagnostics(),
        recording=first.recording,
        digest=first.digest,
        warnings=[*conclusion.warnings, *_of_sampling(collected, sampling)],
        value_std_error=estimates.value.std_error,
        interval={name: one.interval(level) for name, one in estimates.grads.items()},
        confidence=sampling.confidence,
        cost=Cost(
            runs=1 + sum(one.runs for one in samples),
            steps=first.steps + sum(one.steps for one in samples),
            cpu_seconds=math.fsum(one.cpu_seconds for one in samples),
        ),
        details=conclusion.details,
        of=MEAN if of is None else str(of),
    )


def _hold(value: float, plain: float, seed: int) -> None:
    """Raise `DivergenceError` unless the first run with Values returned what it does on plain numbers."""
    if not math.isclose(value, plain, rel_tol=RELATIVE, abs_tol=RELATIVE):
        raise DivergenceError(
            f"with seed {seed} the program returns {plain!r} on plain numbers, as detrun.record runs it, and {value!r} "
            "with Values. Values are no floats: isinstance(x, float), type(x) is float and match tell them apart; ask "
            f"for (float, detrun.Value) there. detrun.gradient(main, params, seed={seed}, verify=True) names the step "
            "from which the two differ"
        )


def _of_sampling(collected: Collected, sampling: Sampling) -> list[str]:
    """What a reader should know of how many samples there are."""
    count = len(collected.samples)
    found = []
    if collected.interrupted:
        found.append(f"interrupted after {count:,} samples: the result is of these")
    if sampling.samples == AUTO and not collected.is_precise:
        found += _not_reached(collected, sampling)
    if count >= 2:
        for name, one in collected.estimates.grads.items():
            if one.std_error == 0.0 and one.mean == 0.0:
                found.append(
                    f"all {count:,} samples of d/d{name} are 0: it may be 0, or what moves it is rarer than one run in "
                    f"{count:,}"
                )
    return found


def _not_reached(collected: Collected, sampling: Sampling) -> list[str]:
    """The derivatives that are less precise than was asked for, and what they would take."""
    found = []
    count = len(collected.samples)
    for name in collected.estimates.grads:
        error = relative_error_of(collected.estimates, name, sampling.confidence_of_look)
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
