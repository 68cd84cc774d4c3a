"""The mean of local gradients over independent seeds: infinitesimal perturbation analysis.

It is the derivative of the mean loss where the loss of almost every run moves continuously with the parameters, and
misses what jumps elsewhere: a branch, timeout, order of events or discrete draw that flips contributes nothing.

Source: Ho and Cao, "Perturbation analysis and optimization of queueing networks", JOTA 40 (1983); Glasserman,
"Gradient Estimation via Perturbation Analysis" (1991), for the conditions.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detrun.gradients.sampling.functionals import QUANTILE, Functional
from detrun.gradients.sampling.program import OneRun, SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means
from detrun.gradients.stage_report import StagedDetails, has_scores, scored_means, shares_of, trend_of_stages
from detrun.gradients.staged_run import StagedTape, Tried
from detrun_scheduler.errors import DetrunError, UsageError, text_of
from detrun_scheduler.randomness import derived_seed

PLACES_SHOWN_MAX = 4
JUMPS_EVERY = 2  # samples: in one of so many, what follows a finite stage is measured by two more runs


@dataclass(frozen=True, slots=True)
class DecidingPlaces:
    """Where runs could have gone another way. The `Details` of this kind.

    Attributes:
        shares: by place, the share of runs in which it is among the nearest; the most frequent first.
    """

    shares: Mapping[str, float]

    def lines(self) -> Sequence[str]:
        """The most frequent."""
        shown = list(self.shares.items())[:PLACES_SHOWN_MAX]
        return [f"{place} decides in {share:.0%} of runs" for place, share in shown]

    def as_data(self) -> Mapping[str, Any]:
        """Plain data."""
        return {"places": dict(self.shares)}


@dataclass(slots=True)
class AveragedLocal:
    """An `Estimator`: the local gradient of one run a sample."""

    program: SampledProgram
    kind: str = "local"
    uses_values: bool = True
    of: Functional | None = None

    def sample(self, seed: int) -> Sample:
        """The local gradient of the run with this seed."""
        chooses = random.Random(derived_seed(seed, "stages")) if seed % JUMPS_EVERY == 0 else None
        scope = StagedTape(self.program.numbers, self.program.tensors, chooses=chooses)
        run = self.program.run(self.program.params, seed, scope)
        if scope.score and self.of is not None:
            raise UsageError(
                f"gradient: of={str(self.of)!r} is not known for stages with derivative='policy', whose score belongs "
                "to the mean; leave it out"
            )
        places = sorted({f"{near.kind} at {near.where}" for near in scope.diagnostics.nearest_margins})
        notes: dict[str, Any] = {"sites": scope.diagnostics.sites_passed, "places": places}
        notes["looked"] = chooses is not None
        if not scope.notes:
            return Sample(run.value, self.program.flat(scope.grads), 1, run.steps, notes)
        if self.program.tensors:
            raise UsageError("gradient: stages and tensors for parameters do not go together in samples; pass numbers")
        notes["sites"] -= sum(one["scored"] for one in scope.notes.values())
        notes |= {"stages": scope.notes, "path": scope.grads, "score": scope.score}
        notes["softened"] = any(one["derivative"] == "relaxed" for one in scope.notes.values())
        grads = {name: path + run.value * scope.score.get(name, 0.0) for name, path in scope.grads.items()}
        others = _OtherRuns(self.program, seed)
        if scope.tried is not None:
            notes["jump"] = others.of_jump(scope.tried)
        levels = max(len(one["temperatures"]) for one in scope.notes.values())
        if levels > 1:
            notes["trend"] = [others.at_level(level) for level in range(levels - 1)]
        return Sample(run.value, grads, 1 + others.runs, run.steps + others.steps, notes)

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, or another functional."""
        return scored_means(samples) if has_scores(samples) else means(samples, self.of)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """How many runs could have gone another way."""
        decided = sum(bool(one.notes["sites"]) for one in samples)
        counts = Counter(place for one in samples for place in one.notes["places"])
        places = {place: times / len(samples) for place, times in counts.most_common()}
        if any("stages" in one.notes for one in samples):
            return self._of_stages(samples, places, decided)
        details = DecidingPlaces(places)
        if self.of is not None:
            return Conclusion(of_single_runs(self.of, len(samples)), details=details)
        return Conclusion(
            "mean of the sensitivities of single runs on their frozen schedules: it misses the jumps of the loss where "
            "a branch, timeout, event order or discrete draw flips, and is the derivative of the mean only where there "
            f"are none; {decided:,} of {len(samples):,} runs passed a place where a parameter decides",
            details=details,
        )

    def _of_stages(self, samples: Sequence[Sample], places: Mapping[str, float], decided: int) -> Conclusion:
        """What the rules of stages add, and what each of them leaves out."""
        shares = shares_of(samples)
        of = "" if self.of is None else f"{of_single_runs(self.of, len(samples))}; "
        trend, unsettled = trend_of_stages(samples)
        rules = ", ".join(f"{one.name} {one.derivative}" for one in shares)
        return Conclusion(
            f"{of}stages cross their boundaries by the rules that they declare ({rules}), each with the bias that its "
            "line states; outside of them single runs on frozen schedules: what flips there is left out, and "
            f"{decided:,} of {len(samples):,} runs passed a place where a parameter decides",
            [
                f"stage {one.name} declares derivative='policy', and no parameter moves the probability of a draw in "
                "it: it contributes nothing by its score"
                for one in shares
                if one.derivative == "policy" and not one.draws
            ]
            + unsettled,
            StagedDetails(shares, places, trend),
        )


class _OtherRuns:
    """Further runs of a sample of a program with stages, with the same seed."""

    def __init__(self, program: SampledProgram, seed: int) -> None:
        self.program, self.seed = program, seed
        self.runs = self.steps = 0

    def _run(self, scope: StagedTape) -> OneRun:
        run = self.program.run(self.program.params, self.seed, scope)
        self.runs += 1
        self.steps += run.steps
        return run

    def of_jump(self, tried: Tried) -> dict[str, Any]:
        """What follows a finite stage, measured and as the linear rule has it, by parameter."""
        try:
            above, below = (
                self._run(StagedTape(self.program.numbers, self.program.tensors, replaced=one)).value
                for one in (tried.above, tried.below)
            )
        except DetrunError:
            raise
        except Exception as error:
            return {"stage": tried.name, "failed": f"{type(error).__name__}: {text_of(error)}"}
        measured = (above - below) / tried.width
        return {
            "stage": tried.name,
            "measured": {name: into * measured for name, into in tried.into.items()},
            "path": {name: into * tried.path for name, into in tried.into.items()},
            "score": {name: into * tried.score for name, into in tried.into.items()},
        }

    def at_level(self, level: int) -> dict[str, Any]:
        """The gradient with relaxed stages at an earlier one of their temperatures."""
        scope = StagedTape(self.program.numbers, self.program.tensors, level)
        value = self._run(scope).value
        return {"value": value, "path": scope.grads, "score": scope.score}


def of_single_runs(of: Functional, count: int) -> str:
    """What is left out where a quantile or a tail mean is differentiated by the gradients of single runs."""
    low, high = of.levels(count)
    which = f"whose loss is between the {low:.2%} and {high:.2%} quantiles" if of.name == QUANTILE else "of the tail"
    return (
        f"derivative of {of} as the mean sensitivity of the runs {which}, each on its frozen schedule: it misses the "
        "jumps of the loss where a branch, timeout, event order or discrete draw flips; such estimates have a bias "
        "that falls as their number grows"
    )
