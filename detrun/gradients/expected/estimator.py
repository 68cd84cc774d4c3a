"""The `expected` gradient: the derivative of the mean loss over draws and schedules, jumps included.

A sample is one taped run, its derivative along the path, and some pairs of runs chosen at random among the places where
the loss may jump: discrete draws (`draw_jumps`) and lines of thresholds (`thresholds`). Each pair is weighted with one
over its probability of being chosen, so the mean over samples is the derivative of the mean loss:

- if the loss is as smooth as interchange of mean and derivative along the path asks (Glasserman 1991);
- over schedules too, if the strategy does not look at the parameters;
- up to the sites that are named in the bias statement, or refused.

One pair a sample is nearly as precise as all pairs of a run: what is shared by a run's pairs is most of the variance.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from detrun.gradients.expected.draw_jumps import HELD, alternatives, score
from detrun.gradients.expected.taped_run import Dependence, TapedRun, ValuesOnly, parameter_draws
from detrun.gradients.expected.thresholds import Jumps, Line, Unknown, lines_of
from detrun.gradients.sampling.program import OneRun, SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means
from detrun.primitives.draw_log import Draw
from detrun.primitives.forcing import Address
from detrun.primitives.laws import TorchSample
from detrun_scheduler.errors import NotDifferentiableError, UsageError
from detrun_scheduler.randomness import derived_seed
from detrun_scheduler.strategies import make

ON_UNKNOWN = ("refuse", "report")
SITES_SHOWN = 8


@dataclass(slots=True)
class Expected:
    """An `Estimator`.

    Attributes:
        program: what is run.
        pairs: places where the loss may jump that are tried in each sample, at most.
        on_unknown: ``"refuse"`` raises where a place has no known density, ``"report"`` leaves it out and says so.
    """

    program: SampledProgram
    pairs: int = 2
    on_unknown: str = "refuse"
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
        """Means."""
        return means(samples)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """On what conditions it is unbiased, and what it leaves out."""
        unknown = _merged(samples, "unknown")
        held = _merged(samples, "held")
        constants = _merged(samples, "constants")
        bias = (
            "derivative of the mean over draws and schedules, jumps included; unbiased where every jump lies at a draw "
            "of detrun or random or at a comparison whose margin is affine in the noise beneath one"
        )
        if unknown:
            bias += f". It leaves out the jumps at {len(unknown)} sites without a known density: {_listed(unknown)}"
        if held:
            bias += f". As their derivative= says, these draws are held fixed: {_listed(held)}"
        if constants:
            bias += f". Numbers of generators that the program seeds itself are its constants: {_listed(constants)}"
        warnings = [f"left out: {one}" for one in unknown[:SITES_SHOWN]]
        return Conclusion(bias, warnings, JumpDetails.of(samples))


def _merged(samples: Sequence[Sample], name: str) -> list[str]:
    return list(dict.fromkeys(one for sample in samples for one in sample.notes[name]))


def _listed(found: Sequence[str]) -> str:
    more = f"; and {len(found) - SITES_SHOWN} more" if len(found) > SITES_SHOWN else ""
    return "; ".join(found[:SITES_SHOWN]) + more


@dataclass(frozen=True, slots=True)
class JumpDetails:
    """Where jumps were looked for, in a run on average. The `Details` of this kind.

    Attributes:
        draws: discrete draws that move with a parameter.
        noises: continuous draws that decide a comparison which does.
        tried: of both, so many were tried in each sample.
    """

    draws: float
    noises: float
    tried: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> JumpDetails:
        """Averages."""
        count = len(samples)
        return cls(*(sum(one.notes[name] for one in samples) / count for name in ("draws", "lines", "tried")))

    def lines(self) -> Sequence[str]:
        """One line."""
        return [
            f"a run has {self.draws:.3g} discrete draws and {self.noises:.3g} continuous ones at which the loss may "
            f"jump; {self.tried:.3g} of them were tried in each sample"
        ]

    def as_data(self) -> Mapping[str, Any]:
        """By name."""
        return {"draws": self.draws, "noises": self.noises, "tried": self.tried}


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
        lines, unknown = lines_of(base, dependence, " and ".join(base.other_numbers) or None)
        unknown += [
            Unknown(str(draw), "a discrete draw of torch has no density that detrun knows; use detrun's own draws")
            for draw in base.draws
            if isinstance(draw.law, TorchSample) and draw.law.is_lost
        ]
        if base.has_weights and callable(getattr(make(self.program.strategy), "weight_of", None)):
            unknown.append(Unknown("detrun.set_weight", "a parameter weighs the choices of the scheduler"))
        draws = parameter_draws(base, dependence)
        seeds = {base.loss_id: 1.0} if base.loss_id is not None else {}
        paired: list[Draw] = []
        for draw in draws:
            if draw.derivative == "score":
                _add(seeds, score(draw), value)
            elif draw.derivative not in HELD:
                paired.append(draw)
        places: list[Draw | Line] = [*paired, *lines]
        chosen = self._chosen(places)
        share = len(places) / len(chosen) if chosen else 0.0
        for place in chosen:
            if not isinstance(place, Line):
                for other in alternatives(place, self.random):
                    difference = self._forced(place.address, other.outcome) - value
                    _add(seeds, other.weights, share * difference)
        jumps = Jumps(base.gradient(seeds), [], self.random)
        for place in chosen:
            if isinstance(place, Line):
                jumps.add_line(place, base, self._taped, share)
        unknown += jumps.unknown
        if unknown and estimator.on_unknown == "refuse":
            raise NotDifferentiableError(
                f"the expected gradient knows no density at {len(unknown)} sites of this run: "
                f"{_listed([str(one) for one in unknown])}. Draw with detrun or random what decides there, or give "
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
                "lines": len(lines),
                "tried": len(chosen),
            },
        )

    def _chosen(self, places: list[Draw | Line]) -> list[Draw | Line]:
        return self.random.sample(places, min(self.estimator.pairs, len(places)))

    def _taped(self, held: Mapping[Address, float]) -> tuple[float, TapedRun]:
        scope = TapedRun(self.program.params)
        run = self._run(scope, noises=dict(held), draws=True)
        return run.value, scope

    def _forced(self, address: Address, outcome: Any) -> float:
        try:
            return self._run(ValuesOnly(self.program.params), noises={}, force={address: outcome}).value
        except Exception as error:
            error.add_note(f"there draw {address} was tried as {outcome!r}: force={{{address}: {outcome!r}}}")
            raise

    def _run(self, scope: ValuesOnly, **options: Any) -> OneRun:
        program = replace(self.program, options=replace(self.program.options, **options))
        run = program.run(self.program.params, self.seed, scope)
        self.runs += 1
        self.steps += run.steps
        return run


def _add(seeds: dict[int, float], weights: Mapping[int, float], factor: float) -> None:
    for one, weight in weights.items():
        seeds[one] = seeds.get(one, 0.0) + factor * weight
