"""The `expected` gradient: the derivative of the mean loss over draws and schedules, jumps included.

A sample is one taped run, its derivative along the path, and some pairs of runs chosen at random among the places where
the loss may jump: discrete draws (`draw_jumps`) and thresholds (`thresholds`). Each pair is chosen with a probability
in proportion to what its jump would be multiplied by, as far as the run shows it (`choosing`), and weighted with one
over that probability, so the mean over samples is the derivative of the mean loss:

- if the loss is as smooth as interchange of mean and derivative along the path asks (Glasserman 1991);
- over schedules too, if the strategy does not look at the parameters;
- up to the sites that are named in the bias statement, or refused.

One pair a sample is nearly as precise as all pairs of a run: what is shared by a run's pairs is most of the variance.
Part of that is taken off by `controls`.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from detrun.ad.reverse import add_seeds
from detrun.gradients.expected.choosing import chosen, probabilities
from detrun.gradients.expected.controls import controlled, controls
from detrun.gradients.expected.dependence import Dependence, parameter_draws
from detrun.gradients.expected.draw_jumps import HELD, alternatives, movement, score
from detrun.gradients.expected.lines import Lines, Threshold, listed
from detrun.gradients.expected.taped_run import TapedRun, ValuesOnly
from detrun.gradients.expected.thresholds import Jumps
from detrun.gradients.expected.unseen import Looks, Place, Unseen
from detrun.gradients.sampling.functionals import Functional
from detrun.gradients.sampling.program import OneRun, SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample
from detrun.gradients.sampling.shifts import Moving, Shift, bias_of_level, estimated
from detrun.gradients.sampling.statistics import estimate
from detrun.primitives.draw_log import Draw
from detrun.primitives.forcing import Address
from detrun.primitives.laws import TorchSample
from detrun_scheduler.errors import NotDifferentiableError, UsageError
from detrun_scheduler.randomness import derived_seed
from detrun_scheduler.strategies import make

ON_UNKNOWN = ("refuse", "report")
SITES_SHOWN = 8
NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")


@dataclass(slots=True)
class Expected:
    """An `Estimator`.

    Attributes:
        program: what is run.
        pairs: places where the loss may jump that are tried in each sample, at most.
        of: what of the loss is differentiated; None: the mean.
        on_unknown: ``"refuse"`` raises where a place has no known density, ``"report"`` leaves it out and says so.
    """

    program: SampledProgram
    pairs: int = 2
    on_unknown: str = "refuse"
    of: Functional | None = None
    kind: str = field(default="expected", init=False)
    uses_values: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        if type(self.pairs) is not int or self.pairs < 1:
            raise UsageError(f"gradient: pairs={self.pairs!r} must be a whole number of at least 1")
        if self.on_unknown not in ON_UNKNOWN:
            raise UsageError(f"gradient: on_unknown={self.on_unknown!r} is unknown; choose 'refuse' or 'report'")

    def sample(self, seed: int) -> Sample:
        """One taped run, and some others."""
        return _OneSample(self, seed).taken()

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, less what the samples share with their controls; or another functional."""
        if self.of is not None:
            return Estimates(*estimated(self.of, [one.notes["moving"] for one in samples], list(samples[0].grads)))
        grads = {}
        for name in samples[0].grads:
            numbers = [one.grads[name] for one in samples]
            grads[name] = estimate(controlled(numbers, [one.notes["controls"][name] for one in samples]))
        return Estimates(estimate([one.value for one in samples]), grads)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """On what conditions it is unbiased, and what it leaves out."""
        unknown = _merged(samples, "unknown")
        held = _merged(samples, "held")
        constants = _merged(samples, "constants")
        bias = "" if self.of is None else bias_of_level(self.of, len(samples))
        bias += (
            "derivative of the mean over draws and schedules, jumps included; unbiased where every jump lies at a draw "
            "of detrun or random or at a comparison whose margin is monotone in one"
        )
        if unknown:
            named = listed(unknown, SITES_SHOWN)
            bias += f". It leaves out the jumps at {len(unknown)} sites without a known density: {named}"
        if held:
            bias += f". As their derivative= says, these draws are held fixed: {listed(held, SITES_SHOWN)}"
        if constants:
            named = listed(constants, SITES_SHOWN)
            bias += f". Numbers of generators that the program seeds itself are its constants: {named}"
        rules = _merged(samples, "rules")
        if rules:
            bias += f". Stages cross their boundaries by the rules that they declare: {', '.join(rules)}"
        warnings = [f"left out: {one}" for one in unknown[:SITES_SHOWN]]
        missed: Mapping[str, float] = {}
        if self.of is None and len(samples) > 1:  # a level moves in other units than the loss
            units = {name: abs(float(one)) or 1.0 for name, one in self.program.numbers.items()}
            looks = [one.notes["looks"] for one in samples]
            unseen = Unseen.of(looks, [one.value for one in samples], units)
            found = self.estimates(samples).grads
            missed = unseen.missed(found)
            warnings += unseen.warnings(found)
        return Conclusion(bias, warnings, JumpDetails.of(samples, missed))


def _merged(samples: Sequence[Sample], name: str) -> list[str]:
    return list(dict.fromkeys(one for sample in samples for one in sample.notes[name]))


@dataclass(frozen=True, slots=True)
class JumpDetails:
    """Where jumps were looked for, in a run on average. The `Details` of this kind.

    Attributes:
        draws: discrete draws that move with a parameter.
        thresholds: decisions that do, and that a continuous draw would have come out otherwise.
        tried: of both, so many were tried in each sample.
        missed: by parameter, how far off the derivative may be where its standard error does not show it.
    """

    draws: float
    thresholds: float
    tried: float
    missed: Mapping[str, float]

    @classmethod
    def of(cls, samples: Sequence[Sample], missed: Mapping[str, float]) -> JumpDetails:
        """Averages."""
        count = len(samples)
        draws, thresholds, tried = (
            sum(one.notes[name] for one in samples) / count for name in ("draws", "thresholds", "tried")
        )
        return cls(draws, thresholds, tried, missed)

    def lines(self) -> Sequence[str]:
        """One line."""
        return [
            f"a run has {self.draws:.3g} discrete draws and {self.thresholds:.3g} thresholds of continuous ones at "
            f"which the loss may jump; {self.tried:.3g} of them were tried in each sample"
        ]

    def as_data(self) -> Mapping[str, Any]:
        """By name."""
        return {"draws": self.draws, "thresholds": self.thresholds, "tried": self.tried, "missed": dict(self.missed)}


def _site(place: Draw | Threshold, run: TapedRun) -> str:
    """Draws that only a number tells apart, in their key or the path of their task, are of one site."""
    if isinstance(place, Draw):
        return f"{place.kind} of {NUMBER.sub('…', place.stream)}"
    return place.cut.where(run)


class _OneSample:
    """The runs of one sample."""

    def __init__(self, estimator: Expected, seed: int) -> None:
        self.estimator = estimator
        self.program = estimator.program
        self.seed = seed
        self.random = random.Random(derived_seed(seed, "pairs"))
        self.runs = 0
        self.steps = 0

    def taken(self) -> Sample:
        """The sample."""
        estimator = self.estimator
        value, base = self._taped({})
        dependence = Dependence(base)
        lines = Lines(base, dependence, " and ".join(base.other_numbers) or None, self.random)
        for draw in base.draws:
            if isinstance(draw.law, TorchSample) and draw.law.is_lost:
                lines.name(
                    str(draw), "a discrete draw of torch has no density that detrun knows; use detrun's own draws"
                )
        if base.has_weights and callable(getattr(make(self.program.strategy), "weight_of", None)):
            lines.name("detrun.set_weight", "a parameter weighs the choices of the scheduler")
        draws = parameter_draws(base, dependence)
        thresholds = lines.thresholds()
        shifts: list[Shift] | None = None if estimator.of is None else []
        along_path = {base.loss_id: 1.0} if base.loss_id is not None else {}
        seeds = dict(along_path)
        scored = {draw.address for draw in draws if draw.derivative == "score"}
        scored |= base.stages.scored
        for draw in draws:
            if draw.address in scored:
                add_seeds(seeds, score(draw).items(), value)
                if shifts is not None:
                    shifts.append(Shift(None, value, base.gradient(score(draw))))
        places: list[tuple[Draw | Threshold, float, float]] = [
            (draw, math.hypot(*movement(draw, lines.moves)), 1.0)
            for draw in draws
            if draw.address not in scored and draw.derivative not in HELD
        ]
        places += [(one, one.worth, one.share) for one in thresholds]
        shares = probabilities([worth for _, worth, _ in places], estimator.pairs)
        looks = self._looks(places, shares, lines)
        tried = [
            (places[place][0], 1.0 / (shares[place] * places[place][2]))
            for place in chosen(shares, self.random.random())
        ]
        for one, weight in tried:
            if isinstance(one, Draw):
                for other in alternatives(one, self.random, lines.steepness):
                    loss = self._forced(one.address, other.outcome)
                    looks.tried(_site(one, base), value, loss)
                    add_seeds(seeds, other.weights.items(), weight * (loss - value))
                    if shifts is not None and loss != value:
                        rates = {parameter: weight * rate for parameter, rate in other.weights.items()}
                        shifts.append(Shift(value, loss, base.gradient(rates)))
        jumps = Jumps(base.gradient(seeds), base, self._taped, lines.name, self.random, shifts)
        for one, weight in tried:
            if isinstance(one, Threshold):
                sides = jumps.add(one, weight)
                if sides is not None:
                    looks.tried(_site(one, base), *sides)
        unknown = lines.unknown
        if unknown and estimator.on_unknown == "refuse":
            raise NotDifferentiableError(
                f"the expected gradient knows no density at {len(unknown)} sites of this run: "
                f"{listed(unknown, SITES_SHOWN)}. Draw with detrun or random what decides there, or give "
                "on_unknown='report' to leave them out"
            )
        return Sample(
            value,
            jumps.grads,
            self.runs,
            self.steps,
            {
                "unknown": [str(one) for one in unknown],
                "held": [f"{one.kind} of {one.stream}" for one in draws if one.derivative in HELD],
                "constants": base.constants,
                "draws": len(draws),
                "thresholds": len(thresholds),
                "tried": len(tried),
                "looks": looks,
                "controls": controls(base),
                "rules": base.stages.rules,
                "softened": base.stages.softens,
                "moving": None if shifts is None else Moving([value], base.gradient(along_path), shifts),
            },
        )

    def _looks(
        self, places: Sequence[tuple[Draw | Threshold, float, float]], shares: Sequence[float], lines: Lines
    ) -> Looks:
        looks = Looks()
        for (one, _, share_of_line), share in zip(places, shares, strict=True):
            if isinstance(one, Draw):
                worths = lines.by_parameter(movement(one, lines.moves))
            else:
                worths = one.worths
            looks.has(Place(_site(one, lines.run), worths, share * share_of_line), share_of_line)
        return looks

    def _taped(self, held: Mapping[Address, float]) -> tuple[float, TapedRun]:
        scope = TapedRun(self.program)
        run = self._run(scope, noises=dict(held), draws=True)
        return run.value, scope

    def _forced(self, address: Address, outcome: Any) -> float:
        try:
            return self._run(ValuesOnly(self.program), noises={}, force={address: outcome}).value
        except Exception as error:
            error.add_note(f"there draw {address} was tried as {outcome!r}: force={{{address}: {outcome!r}}}")
            raise

    def _run(self, scope: ValuesOnly, **options: Any) -> OneRun:
        program = replace(self.program, options=replace(self.program.options, **options))
        run = program.run(self.program.params, self.seed, scope)
        self.runs += 1
        self.steps += run.steps
        return run
