"""Reuse of recordings: the policy gradient at these parameters from runs that were made at others.

A recorded run is made again with the present parameters, its choices and the outcomes of its scored draws as they were.
How much more likely those decisions are now than they were is its importance weight ``w``; the estimates are normalized
by the sum of the weights:

    value = Σ w L / Σ w        gradient = Σ w (dL + (L - value) d log p) / Σ w

which is the derivative of the value. What such a sample is worth is said by the effective sample size (Σ w)² / Σ w²: as
many independent runs at these parameters would have known the value about as well. It falls quickly as the parameters
go away from the recorded ones, and with the number of decisions in a run.

A run that does not take the recorded steps again, since a parameter decides something without a draw, has no weight
that could be computed; one whose outcomes are impossible now has none. They are left out, and the bias statement says
so.

Source: Owen, "Monte Carlo theory, methods and examples" (2013), chapter 9, for the estimate and its delta-method error;
Kong, "A note on importance sampling using standardized weights" (1992) for the effective sample size.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

from detrun.ad.value import primal_of
from detrun.execution.finished import Finished
from detrun.execution.options import Options
from detrun.execution.replayed_run import recorded_strategy
from detrun.gradients.loss import loss_of
from detrun.gradients.policy.policy import SCORE, PolicyDetails, PolicyOptions, of_edges, weighs
from detrun.gradients.policy.scored_run import ScoredRun
from detrun.gradients.policy.scores import ScoredChoices, Scores
from detrun.gradients.result import Cost, Gradient, RunDiagnostics
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.statistics import Estimate, estimate
from detrun.primitives.forcing import Address
from detrun.races.watch import replayed_run, what_if_run
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies import make

CONFIDENCE = 0.95
FEW, LEAST = 0.2, 5.0  # an effective sample size below this share of the recordings, or this number, is warned of

Source = Recording | str | os.PathLike[str] | bytes


@dataclass(frozen=True, slots=True)
class Reweighed:
    """A recorded run at the present parameters.

    Attributes:
        log_weight: of how much more likely its decisions are.
        loss, along_path, score: as of a scored run.
    """

    log_weight: float
    loss: float
    along_path: Mapping[str, float]
    score: Mapping[str, float]
    scores: Scores
    steps: int


def reused_gradient(
    program: SampledProgram, recordings: Sequence[Source], options: PolicyOptions, confidence: float | None = None
) -> Gradient:
    """The policy gradient from recordings.

    Raises:
        UsageError: fewer than two recordings, one that does not say its parameters, or none that can be used.
        DivergenceError: the program with the recorded parameters is not the recorded one.
    """
    if program.tensors:
        raise UsageError("gradient: reuse= is for numbers; make new runs for tensors and modules, samples=N")
    opened = [one if isinstance(one, Recording) else open_recording(one) for one in recordings]
    if len(opened) < 2:
        raise UsageError(f"gradient: reuse= has {len(opened)} recordings; a standard error needs at least two")
    started = process_time()
    found = [one for recording in opened if (one := reweighed(program, recording, options)) is not None]
    if len(found) < 2:
        raise UsageError(
            f"gradient: {len(found)} of {len(opened)} recordings take the same steps with these parameters, and can "
            "come out so; make new runs, samples=N"
        )
    cpu_seconds = process_time() - started
    largest = max(one.log_weight for one in found)
    weights = [math.exp(one.log_weight - largest) for one in found]
    value = _normalized(weights, [one.loss for one in found])
    grads = {
        name: _normalized(weights, [one.along_path[name] + (one.loss - value.mean) * one.score[name] for one in found])
        for name in program.params
    }
    effective = math.fsum(weights) ** 2 / math.fsum(weight * weight for weight in weights)
    details = ReuseDetails(
        baseline="weighted mean",
        draws=_mean([one.scores.draws for one in found]),
        choices=_mean([one.scores.choices for one in found]),
        effects=_mean([one.scores.effects for one in found]),
        unscored=_mean([one.scores.unscored for one in found]),
        sites={},
        effective_samples=effective,
        recordings=len(opened),
        left_out=len(opened) - len(found),
    )
    warnings = []
    if effective < max(FEW * len(found), min(LEAST, len(found) / 2)):
        warnings.append(
            f"effective sample size: the {len(found):,} recordings are worth {effective:.3g} runs at these parameters, "
            "which are too far from those of the recordings, so that neither the numbers nor their errors mean much; "
            "make new runs, samples=N"
        )
    bias = "importance-weighted reuse of runs at other parameters: biased to order 1 / effective samples"
    edges = sum(bool(one.scores.edges) for one in found)
    if edges:
        bias += f"; {of_edges(edges, len(found))}"
    if details.left_out:
        left = f"{details.left_out:,} of {len(opened):,} runs"
        bias += f"; {left} take other steps now, or cannot come out so, and are left out"
    level = CONFIDENCE if confidence is None else confidence
    first = opened[0]
    return Gradient(
        value=value.mean,
        grads={name: one.mean for name, one in grads.items()},
        kind="policy",
        std_error={name: one.std_error for name, one in grads.items()},
        samples=len(found),
        bias=bias,
        validity={},
        diagnostics=RunDiagnostics(),
        recording=first,
        digest=first.digest.hex(),
        warnings=warnings,
        value_std_error=value.std_error,
        interval={name: one.interval(level) for name, one in grads.items()},
        confidence=level,
        cost=Cost(runs=2 * len(opened), steps=2 * sum(one.steps for one in opened), cpu_seconds=cpu_seconds),
        details=details,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseDetails(PolicyDetails):
    """What is said of reused recordings besides."""

    effective_samples: float
    recordings: int
    left_out: int

    def lines(self) -> Sequence[str]:
        """For people."""
        return [
            f"{self.recordings:,} recordings, worth {self.effective_samples:.4g} runs at these parameters",
            *PolicyDetails.lines(self),
        ]

    def as_data(self) -> Mapping[str, Any]:
        """Plain data, for JSON."""
        return {
            **PolicyDetails.as_data(self),
            "effective_samples": self.effective_samples,
            "recordings": self.recordings,
            "left_out": self.left_out,
        }


def reweighed(program: SampledProgram, recording: Recording, options: PolicyOptions) -> Reweighed | None:
    """A recorded run at the parameters of ``program``; None if it takes other steps there."""
    if program.options.with_recorded(recording, program.main).force:
        raise UsageError(
            "gradient: reuse= has a recording with forced draws, which is no sample of what the program does; leave it "
            "out"
        )
    strategy = recorded_strategy(recording) if program.strategy == "random" else program.strategy
    old, _, _ = _scored(program, recording, strategy, options, _parameters(recording, program), None)
    new, scope, finished = _scored(program, recording, strategy, options, dict(program.params), old.outcomes)
    assert finished.what_if is not None
    if finished.what_if.first_difference is not None:
        return None
    loss = float(primal_of(loss_of(program.main, finished.outcome)))
    log_weight = new.log_probability - old.log_probability
    return Reweighed(log_weight, loss, scope.along_path, scope.score, new, finished.steps)


def _scored(
    program: SampledProgram,
    recording: Recording,
    strategy: str | Oracle,
    options: PolicyOptions,
    params: dict[str, float],
    force: Mapping[Address, Any] | None,
) -> tuple[Scores, ScoredRun, Finished]:
    """A recorded run once more, scored: as it was, or with forced outcomes and other parameters."""
    scores = Scores(keeps_outcomes=True)
    scope = ScoredRun(params, scores, options.continuous == SCORE, force)
    oracle = make(strategy)
    consulted: Oracle = ScoredChoices(oracle, scores) if weighs(oracle) else oracle
    surroundings: Options = replace(program.options.of_replays(), force=None if force is None else dict(force))
    execution = (
        replayed_run(recording, strategy=consulted) if force is None else what_if_run(recording, strategy=consulted)
    )
    finished = execution.execute(program.main, (), surroundings, scope)
    return scores, scope, finished


def _parameters(recording: Recording, program: SampledProgram) -> dict[str, float]:
    found = recording.header.get("parameters")
    if not isinstance(found, Mapping) or set(found) != set(program.params):
        raise UsageError(
            f"gradient: the recording of {recording.target or 'a run'} does not say which of the parameters "
            f"{', '.join(program.params)} it was made with; record it with params= besides"
        )
    return {str(name): float(number) for name, number in found.items()}


def _normalized(weights: Sequence[float], numbers: Sequence[float]) -> Estimate:
    """The weighted mean, with the error of a ratio of means to first order."""
    total = math.fsum(weights)
    mean = math.fsum(weight * number for weight, number in zip(weights, numbers, strict=True)) / total
    average = total / len(weights)
    return estimate(
        [mean + weight * (number - mean) / average for weight, number in zip(weights, numbers, strict=True)]
    )


def _mean(counts: Sequence[int]) -> float:
    return sum(counts) / len(counts)
