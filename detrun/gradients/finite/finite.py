"""`finite_gradient`: differences of the mean loss, with steps that are given or chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from detrun.gradients.finite.differences import Differences
from detrun.gradients.finite.options import FiniteOptions
from detrun.gradients.finite.perturbed import CENTRAL, SIMULTANEOUS
from detrun.gradients.finite.simultaneous import SimultaneousPerturbation, signs
from detrun.gradients.finite.step_choice import PILOT_SAMPLES, Pilot, chosen_share, scale
from detrun.gradients.result import Cost, Gradient
from detrun.gradients.sampling.averaged import sampled_gradient
from detrun.gradients.sampling.collector import AUTO, FIRST_LOOK, Sampling, collect
from detrun.gradients.sampling.functionals import Functional
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Sample

PILOT_INDEX = 1 << 31  # of the pilot's first sample: its seeds are no others'
ALL = "all"


def finite_gradient(
    program: SampledProgram, sampling: Sampling, options: FiniteOptions, of: Functional | None = None
) -> Gradient:
    """The gradient of the mean loss, or of another functional of it, by finite differences."""
    program = options.bounded(program)
    given = options.given_steps(program)
    pilot: Sequence[Sample] = ()
    steps = given
    if steps is None:
        steps, pilot = _chosen(program, sampling, options)
    estimator = (
        SimultaneousPerturbation(program, steps, options.schedule, of=of)
        if options.difference == SIMULTANEOUS
        else Differences(program, options.difference, steps, options.schedule, of=of)
    )
    found = sampled_gradient(estimator, sampling, of)
    assert found.cost is not None
    found.cost = Cost(
        runs=found.cost.runs + sum(one.runs for one in pilot),
        steps=found.cost.steps + sum(one.steps for one in pilot),
        cpu_seconds=found.cost.cpu_seconds + sum(one.cpu_seconds for one in pilot),
    )
    return found


def _chosen(
    program: SampledProgram, sampling: Sampling, options: FiniteOptions
) -> tuple[dict[str, float], list[Sample]]:
    """Steps from the noise of a pilot, and its samples."""
    far = {name: scale(number) for name, number in program.params.items()}
    simultaneous = options.difference == SIMULTANEOUS
    directions: Mapping[str, Mapping[str, float]] = {name: {name: one} for name, one in far.items()}
    if simultaneous:
        turns = signs(list(far), sampling.first_seed + PILOT_INDEX)
        directions = {ALL: {name: turns[name] * one for name, one in far.items()}}
    pilot = Pilot(program, CENTRAL if simultaneous else options.difference, directions, options.schedule)
    piloted = replace(sampling, samples=PILOT_SAMPLES, first=PILOT_INDEX, progress=None)
    samples = collect(pilot, piloted).samples
    count = FIRST_LOOK if sampling.samples == AUTO else int(sampling.samples)
    share = {name: chosen_share(samples, name, pilot.difference, count) for name in directions}
    return {name: one * share[ALL if simultaneous else name] for name, one in far.items()}, samples
