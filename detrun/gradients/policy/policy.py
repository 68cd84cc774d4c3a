"""Policy gradient: the derivative of the mean loss by the score of the decisions, one run a sample.

``d E[L] = E[dL + (L - b) d log p]``: along the path with every decision as it came out, and the loss times the score of
the decisions (`scores`), less a baseline ``b`` (`baselines`). A program that declares costs has the score of each
decision multiplied with those that it may affect (`reach`, `returns_to_go`).

It needs no second run and no density of what the program does with its decisions: branches, timeouts and orders of
events may depend on them in any way. In return its variance grows with the number of decisions.

What it does not see is a jump that a parameter causes without a decision in between, as a deadline that is a parameter
does. Such places are counted and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from detrun.gradients.policy.baselines import BASELINES, FITTED, LEAVE_ONE_OUT, LINEAR, TWIN, terms
from detrun.gradients.policy.returns_to_go import rewarded, scored, whole
from detrun.gradients.policy.scored_run import ScoredRun
from detrun.gradients.policy.scores import ScoredChoices, Scores
from detrun.gradients.policy.twins import TwinRun, terms_of
from detrun.gradients.result import Gradient
from detrun.gradients.sampling.averaged import sampled_gradient
from detrun.gradients.sampling.collector import Sampling
from detrun.gradients.sampling.functionals import Functional
from detrun.gradients.sampling.program import OneRun, SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample
from detrun.gradients.sampling.shifts import Moving, Shift, bias_of_level, estimated
from detrun.gradients.sampling.statistics import estimate
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies import make
from detrun_scheduler.strategies.random_walk import RandomWalk
from detrun_scheduler.strategies.weighted import Weighted

SCORE = "score"
PATHWISE = "pathwise"
SITES_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """The fields are keyword arguments of `detrun.gradient`.

    Attributes:
        baseline: ``"leave-one-out"``, the mean loss of the other samples; ``"fitted"``, for each parameter the one of
            least variance, learned from them; ``"linear"``, a regression on what is known before each decision;
            ``"twin"``, the loss of a second run with the same seed and other decisions; or ``"none"``. Where costs are
            declared, it is of what each decision answers for.
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


def policy_gradient(
    program: SampledProgram, sampling: Sampling, options: PolicyOptions, of: Functional | None = None
) -> Gradient:
    """The policy gradient.

    Raises:
        UsageError: ``of`` with a baseline, which belongs to the mean.
    """
    if of is not None and options.baseline != LEAVE_ONE_OUT:
        raise UsageError(f"gradient: of='{of}' takes the mean of all samples for its baseline; leave out baseline")
    return sampled_gradient(Policy(program, options, of=of), sampling, of)


def is_memoryless(program: SampledProgram) -> bool:
    """Whether what one task does leaves the order of others its distribution; `reach` says why."""
    acts = program.options.early_timers or program.options.collections
    return not acts and type(make(program.strategy)) in (RandomWalk, Weighted)


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
        costs: that the program declared, a run, on average.
    """

    baseline: str
    draws: float
    choices: float
    effects: float
    unscored: float
    sites: Mapping[str, float]
    costs: float = 0.0

    def lines(self) -> Sequence[str]:
        """For people."""
        found = [
            f"decisions a run: {self.draws:.3g} draws, {self.choices:.3g} choices of the scheduler, "
            f"{self.effects:.3g} effects; baseline {self.baseline}"
        ]
        if self.costs:
            found.append(f"{self.costs:.3g} costs a run: a decision answers for those that it may affect")
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
            "costs": self.costs,
        }


@dataclass(slots=True)
class Policy:
    """An `Estimator`: a scored run a sample."""

    program: SampledProgram
    options: PolicyOptions
    kind: str = "policy"
    uses_values: bool = True
    of: Functional | None = None
    watches: bool = False  # a run has shown that its costs say on what they depend

    def sample(self, seed: int) -> Sample:
        """The loss of the run with this seed, its derivative along the path, and its score."""
        run, scope = self._scored(seed)
        if scope.costs.is_restricted and not self.watches and is_memoryless(self.program):
            self.watches = True
            run, scope = self._scored(seed)
        scores = scope.scores
        weighted = {name: run.value * score for name, score in scope.score.items()}
        if scope.apart is not None:
            weighted = {name: scored(scope.apart, name) for name in scope.score}
        grads = {name: path + weighted[name] for name, path in scope.along_path.items()}
        notes = {
            "path": scope.along_path,
            "score": scope.score,
            "draws": scores.draws,
            "choices": scores.choices,
            "effects": scores.effects,
            "unscored": scores.unscored,
            "edges": scores.edges,
            "sites": dict(scope.sites),
            "others": scope.others,
            "weighs": scope.weighs,
            "costs": len(scope.costs),
            "restricted": scope.costs.is_restricted,
        }
        if self.options.baseline == TWIN:
            other, twin = self._scored(seed, twin_of=scores)
            terms = terms_of([scope, twin], [run.value, other.value], list(grads))
            mean = (run.value + other.value) / 2.0
            return Sample(run.value, terms, 2, run.steps + other.steps, {**notes, "mean": mean})
        if scope.apart is not None:
            notes["apart"] = scope.apart
        return Sample(run.value, grads, 1, run.steps, notes)

    def _scored(self, seed: int, twin_of: Scores | None = None) -> tuple[OneRun, ScoredRun]:
        scores = Scores(keeps_outcomes=self.options.baseline == TWIN)
        made = ScoredRun if twin_of is None else partial(TwinRun, seed, twin_of.outcomes)
        scope = made(
            self.program.numbers,
            scores,
            self.options.continuous == SCORE,
            tensors=self.program.tensors,
            tells_apart=self.options.baseline == LINEAR,
            watches=self.watches,
        )
        oracle = make(self.program.strategy)
        program = replace(self.program, strategy=ScoredChoices(oracle, scores)) if weighs(oracle) else self.program
        return program.run(program.params, seed, scope), scope

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, with the baseline taken off; or another functional."""
        if self.of is not None:
            moving = [
                Moving([one.value], one.notes["path"], [Shift(None, one.value, one.notes["score"])]) for one in samples
            ]
            return Estimates(*estimated(self.of, moving, list(samples[0].grads)))
        if self.options.baseline == TWIN:
            both = {name: estimate([one.grads[name] for one in samples]) for name in samples[0].grads}
            return Estimates(estimate([one.notes["mean"] for one in samples]), both)
        losses = [one.value for one in samples]
        grads = {}
        are_apart = any("apart" in one.notes for one in samples)
        runs = [one.notes.get("apart") or whole(one.value, one.notes["score"]) for one in samples] if are_apart else []
        for name in samples[0].grads:
            scores = [one.notes["score"][name] for one in samples]
            along_path = [one.notes["path"][name] for one in samples]
            found = (
                rewarded(self.options.baseline, along_path, runs, losses, name)
                if are_apart
                else terms(self.options.baseline, along_path, losses, scores)
            )
            grads[name] = estimate(found)
        return Estimates(estimate(losses), grads)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """What the score covers, and what it does not."""
        count = len(samples)
        passed: Counter[str] = Counter()
        for one in samples:
            passed.update(one.notes["sites"].keys())
        mean = {
            name: sum(one.notes[name] for one in samples) / count
            for name in ("draws", "choices", "effects", "unscored", "costs")
        }
        details = PolicyDetails(
            baseline=self.options.baseline, sites={name: runs / count for name, runs in passed.items()}, **mean
        )
        decided = sum(bool(one.notes["sites"]) for one in samples)
        said = [*_still(samples)]
        if decided:
            said.append(
                f"a parameter decides without a draw: {decided:,} of {count:,} runs passed such a place, and what "
                "flips there is left out"
            )
        edges = sum(bool(one.notes["edges"]) for one in samples)
        if edges:
            said.append(of_edges(edges, count))
        said.append(
            ("otherwise " if decided or edges else "")
            + "unbiased for the mean over draws, effects and choices of the scheduler whose probabilities are known"
        )
        bias = "" if self.of is None else bias_of_level(self.of, count)
        bias += "; ".join(said)
        restricted = any(one.notes["restricted"] for one in samples)
        if restricted and is_memoryless(self.program):
            bias += ", and if no task can affect a cost but those that its depends_on names, or that are seen to"
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
        if any(one.notes["weighs"] for one in samples):
            if not weighs(make(self.program.strategy)):
                warnings.append(
                    "the program gives weights to tasks (detrun.set_weight), and this strategy pays no attention to "
                    "them; use strategy='weighted'"
                )
            elif not mean["choices"]:
                warnings.append(
                    "the program gives weights to tasks (detrun.set_weight), and no choice of the scheduler was among "
                    "any of them: name tasks by paths as `detrun show` prints them, such as 'main/worker*'"
                )
        if restricted and not is_memoryless(self.program):
            warnings.append(
                "depends_on of costs is not used: what one task does may change the order of others under this "
                "strategy, and by early timers or collections; use strategy='random' or 'weighted' without these"
            )
        if self.options.baseline == FITTED and count < 10:
            warnings.append(f"a fitted baseline from {count} samples is rough; take more, or 'leave-one-out'")
        return Conclusion(bias, warnings, details)


def of_edges(runs: int, count: int) -> str:
    """That a score misses what a draw never gives."""
    return (
        f"in {runs:,} of {count:,} runs a draw has outcomes of probability 0, such as a bernoulli draw at 0 or 1: what "
        "they would add, once a parameter makes them possible, has no score and is left out; move it inside its range"
    )


def _still(samples: Sequence[Sample]) -> list[str]:
    """Of parameters that moved no probability in any sample, that this was known before."""
    still = [name for name in samples[0].grads if not any(one.notes["score"][name] for one in samples)]
    moved = [name for name in still if any(one.notes["path"][name] for one in samples)]
    said = []
    for names, means in (
        ([name for name in still if name not in moved], "this is 0 by construction, not a measured gradient"),
        (moved, "its score is 0 by construction, and this is the mean of local gradients"),
    ):
        if names:
            said.append(
                "No draw, no effect and no choice of the scheduler has a probability that depends on "
                f"{', '.join(names)}: {means}"
            )
    return said
