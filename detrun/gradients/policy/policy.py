"""Policy gradient: the derivative of the mean loss by the score of the decisions, one run a sample.

``d E[L] = E[dL + (L - b) d log p]``: along the path with every decision as it came out, and the loss times the score of
the decisions (`scores`), less a baseline ``b`` (`baselines`). It needs no second run and no density of what the program
does with its decisions: branches, timeouts and orders of events may depend on them in any way. In return its variance
grows with the number of decisions.

What it does not see is a jump that a parameter causes without a decision in between, as a deadline that is a parameter
does. Such places are counted and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from detrun.gradients.policy.baselines import BASELINES, FITTED, LEAVE_ONE_OUT, terms
from detrun.gradients.policy.scored_run import ScoredRun
from detrun.gradients.policy.scores import ScoredChoices, Scores
from detrun.gradients.result import Gradient
from detrun.gradients.sampling.averaged import sampled_gradient
from detrun.gradients.sampling.collector import Sampling
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample
from detrun.gradients.sampling.statistics import estimate
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies import make
from detrun_scheduler.strategies.weighted import Weighted

SCORE = "score"
PATHWISE = "pathwise"
SITES_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """The fields are keyword arguments of `detrun.gradient`.

    Attributes:
        baseline: ``"leave-one-out"``, the mean loss of the other samples; ``"fitted"``, for each parameter the one of
            least variance, learned from them; or ``"none"``.
        continuous: ``"score"``, continuous draws are decisions like others; or ``"pathwise"``, their outcomes move with
            the parameters, which has less variance and misses what flips by it.
    """

    baseline: str = LEAVE_ONE_OUT
    continuous: str = SCORE

    def __post_init__(self) -> None:
        if self.baseline not in BASELINES:
            raise UsageError(f"unknown baseline {self.baseline!r}; choose one of {', '.join(BASELINES)}")
        if self.continuous not in (SCORE, PATHWISE):
            raise UsageError(f"gradient: continuous={self.continuous!r} is unknown; choose {SCORE!r} or {PATHWISE!r}")


def policy_gradient(program: SampledProgram, sampling: Sampling, options: PolicyOptions) -> Gradient:
    """The policy gradient."""
    return sampled_gradient(Policy(program, options), sampling)


def weighs(oracle: Oracle) -> bool:
    """Whether a strategy's choices may have scores: it looks at weights that the program sets."""
    return isinstance(oracle, Weighted)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDetails:
    """What a policy gradient says beyond the numbers.

    Attributes:
        baseline: which was taken off.
        draws, choices, effects: decisions a run, on average.
        unscored: draws a run whose distribution a parameter moves and that have no score.
        sites: what a parameter decided without a draw, and the share of runs in which it did.
    """

    baseline: str
    draws: float
    choices: float
    effects: float
    unscored: float
    sites: Mapping[str, float]

    def lines(self) -> Sequence[str]:
        """For people."""
        found = [
            f"decisions a run: {self.draws:.3g} draws, {self.choices:.3g} choices of the scheduler, "
            f"{self.effects:.3g} effects; baseline {self.baseline}"
        ]
        if self.unscored:
            found.append(f"{self.unscored:.3g} draws a run moved with a parameter and were not scored")
        found += [f"a parameter decides without a draw, in {share:.1%} of runs: {site}" for site, share in self.shown]
        return found

    @property
    def shown(self) -> list[tuple[str, float]]:
        """The most frequent sites."""
        return sorted(self.sites.items(), key=lambda one: (-one[1], one[0]))[:SITES_NAMED]

    def as_data(self) -> Mapping[str, Any]:
        """Plain data, for JSON."""
        return {
            "baseline": self.baseline,
            "draws": self.draws,
            "choices": self.choices,
            "effects": self.effects,
            "unscored": self.unscored,
            "sites": dict(self.sites),
        }


@dataclass(slots=True)
class Policy:
    """An `Estimator`: a scored run a sample."""

    program: SampledProgram
    options: PolicyOptions
    kind: str = "policy"
    uses_values: bool = True

    def sample(self, seed: int) -> Sample:
        """The loss of the run with this seed, its derivative along the path, and its score."""
        scores = Scores()
        scope = ScoredRun(dict(self.program.params), scores, self.options.continuous == SCORE)
        oracle = make(self.program.strategy)
        is_weighing = weighs(oracle)
        program = replace(self.program, strategy=ScoredChoices(oracle, scores)) if is_weighing else self.program
        run = program.run(program.params, seed, scope)
        grads = {name: scope.along_path[name] + run.value * scope.score[name] for name in scope.along_path}
        notes = {
            "path": scope.along_path,
            "score": scope.score,
            "draws": scores.draws,
            "choices": scores.choices,
            "effects": scores.effects,
            "unscored": scores.unscored,
            "sites": dict(scope.sites),
            "others": scope.others,
            "ignored": scope.weighs and not is_weighing,
        }
        return Sample(run.value, grads, 1, run.steps, notes)

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, with the baseline taken off."""
        losses = [one.value for one in samples]
        grads = {}
        for name in samples[0].grads:
            scores = [one.notes["score"][name] for one in samples]
            along_path = [one.notes["path"][name] for one in samples]
            grads[name] = estimate(terms(self.options.baseline, along_path, losses, scores))
        return Estimates(estimate(losses), grads)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """What the score covers, and what it does not."""
        count = len(samples)
        passed: Counter[str] = Counter()
        for one in samples:
            passed.update(one.notes["sites"].keys())
        mean = {
            name: sum(one.notes[name] for one in samples) / count
            for name in ("draws", "choices", "effects", "unscored")
        }
        details = PolicyDetails(
            baseline=self.options.baseline, sites={name: runs / count for name, runs in passed.items()}, **mean
        )
        decided = sum(bool(one.notes["sites"]) for one in samples)
        bias = "unbiased for the mean over draws, effects and choices of the scheduler whose probabilities are known"
        if decided:
            bias += (
                f", except for jumps where a parameter decides without such a draw: {decided:,} of {count:,} runs "
                "passed such a place, and what flips there is left out"
            )
        if mean["unscored"]:
            bias += "; draws that are not scored contribute along the path only"
        if self.options.continuous == PATHWISE:
            bias += "; continuous draws contribute along the path only, without what flips by them"
        others = dict.fromkeys(name for one in samples for name in one.notes["others"])
        if others:
            bias += (
                f"; numbers from {', '.join(others)} have no score, and what a parameter does to their distribution is "
                "left out: draw with detrun or random what a parameter moves"
            )
        warnings = []
        if any(one.notes["ignored"] for one in samples):
            warnings.append(
                "the program gives weights to tasks (detrun.set_weight), and this strategy pays no attention to them; "
                "use strategy='weighted'"
            )
        if not any(mean[name] for name in ("draws", "choices", "effects")):
            warnings.append(
                "no parameter moves the probability of any decision of these runs, so this is the mean of local "
                "gradients"
            )
        if self.options.baseline == FITTED and count < 10:
            warnings.append(f"a fitted baseline from {count} samples is rough; take more, or 'leave-one-out'")
        return Conclusion(bias, warnings, details)
