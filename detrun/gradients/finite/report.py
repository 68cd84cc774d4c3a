"""What finite differences have to say of themselves: steps, their bias, changed interleavings and where they part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detrun.gradients.finite.perturbed import CENTRAL, FORWARD, FROZEN, SIMULTANEOUS, FrozenRuns, moved
from detrun.gradients.sampling.functionals import Functional
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Sample
from detrun.gradients.sampling.statistics import Estimate, estimate
from detrun_recorder.recording import Recording

DIVERGENCES_SHOWN_MAX = 3
PARAMETERS_SHOWN_MAX = 8


@dataclass(frozen=True, slots=True)
class FiniteDetails:
    """Of finite differences.

    Attributes:
        difference: central, forward or simultaneous.
        schedule: free, or frozen while it fits.
        steps: how far each parameter was moved.
        step_bias: by parameter, what the step makes wrong, estimated from it and twice it; None where the program
            fails at twice the step or there are fewer than two such samples.
        changed: by parameter, the share of samples in which the two sides took other steps or another order; under
            ``""`` where all move at once.
        divergences: where some of them part, in sentences.
    """

    difference: str
    schedule: str
    steps: Mapping[str, float]
    step_bias: Mapping[str, Estimate | None]
    changed: Mapping[str, float]
    divergences: list[str] = field(default_factory=list)

    def lines(self) -> Sequence[str]:
        """For people."""
        found = []
        for name, step in list(self.steps.items())[:PARAMETERS_SHOWN_MAX]:
            bias = self.step_bias[name]
            says = "not estimated" if bias is None else f"{bias.mean:+.2g} ± {bias.std_error:.2g}"
            share = self.changed.get(name)
            another = "" if share is None else f"; {share:.0%} of samples took another interleaving"
            found.append(f"{name} moved by {step:.3g}: bias of the step {says}{another}")
        if len(self.steps) > PARAMETERS_SHOWN_MAX:
            found.append(f"and {len(self.steps) - PARAMETERS_SHOWN_MAX:,} more parameters")
        if "" in self.changed:
            found.append(f"{self.changed['']:.0%} of samples took another interleaving")
        return [*found, *self.divergences]

    def as_data(self) -> Mapping[str, Any]:
        """Plain data."""
        return {
            "difference": self.difference,
            "schedule": self.schedule,
            "steps": dict(self.steps),
            "step_bias": {
                name: None if one is None else {"mean": one.mean, "std_error": one.std_error}
                for name, one in self.step_bias.items()
            },
            "changed": dict(self.changed),
            "divergences": self.divergences,
        }


def bias_of(samples: Sequence[Sample], name: str, difference: str) -> Estimate | None:
    """The bias of quotients with step h: ``(D(2h) - D(h)) / 3`` for central, ``D(2h) - D(h)`` for forward ones."""
    order = 1.0 if difference == FORWARD else 3.0
    found = [(one.notes["doubled"][name] - one.grads[name]) / order for one in samples if name in one.notes["doubled"]]
    return estimate(found) if len(found) >= 2 else None


def concluded(
    program: SampledProgram, details: FiniteDetails, samples: Sequence[Sample], of: Functional | None = None
) -> Conclusion:
    """The statement of bias, warnings where it matters, and where some samples part."""
    for one in samples:
        if len(details.divergences) == DIVERGENCES_SHOWN_MAX:
            break
        for name, differs in one.notes["changed"].items():
            if differs:
                by = one.notes["by"] if not name else {name: details.steps[name]}
                details.divergences.append(_parting(program, one.notes["seed"], by, details, name))
                break
    warnings = []
    for name, bias in details.step_bias.items():
        if bias is not None and abs(bias.mean) > 3.0 * bias.std_error and abs(bias.mean) > _error(samples, name):
            warnings.append(
                f"the step of {name}, {details.steps[name]:.3g}, makes d/d{name} wrong by about {bias.mean:+.2g}, more "
                "than its standard error; pass a smaller step="
            )
    order = {CENTRAL: "square", FORWARD: "first power", SIMULTANEOUS: "square"}[details.difference]
    what = "the mean" if of is None else str(of)
    common = "random numbers"
    if details.schedule == FROZEN:
        common += " and the schedule of one run while it fits"
    return Conclusion(
        f"{details.difference} differences of {what} under common {common}: their bias goes with the {order} "
        f"of the step where {what} is smooth; a jump of {what} itself inside a step counts as a slope",
        warnings,
        details,
    )


def _error(samples: Sequence[Sample], name: str) -> float:
    return estimate([one.grads[name] for one in samples]).std_error


def _parting(program: SampledProgram, seed: int, by: Mapping[str, float], details: FiniteDetails, name: str) -> str:
    """Where the sides of one sample do something else for the first time."""
    what = f"seed {seed} with {name or 'all'} moved"
    down = {one: -step for one, step in by.items()}
    if details.schedule == FROZEN:
        branches = FrozenRuns(program, seed).branches
        for sign, move in (("up", by), ("down", down)):
            first = branches.run({}, moved(program.params, move)).first_difference
            if first is not None:
                return f"{what} {sign}, {first.step:,} steps as recorded until {first.time:.6g} s: {first.flipped}"
    sides = (by, {} if details.difference == FORWARD else down)
    above, below = (_recorded(program, moved(program.params, move), seed) for move in sides)
    return f"{what}: {first_difference(above, below)}"


def _recorded(program: SampledProgram, params: Mapping[str, float], seed: int) -> Recording:
    return program.recorded(seed, params)[0].recording


def first_difference(above: Recording, below: Recording) -> str:
    """The first step in which two runs differ, in words."""
    theirs = below.iter_steps()
    for ours in above.iter_steps():
        other = next(theirs, None)
        if other is None:
            return f"the run above goes on at step {ours.index:,}, {ours.path}, where the one below ends"
        if (ours.path, ours.runnable) != (other.path, other.runnable):
            return (
                f"from step {ours.index:,} on: {ours.path} at {ours.time:.6g} s above, {other.path} at "
                f"{other.time:.6g} s below"
            )
        if (ours.outcome, len(ours.events)) != (other.outcome, len(other.events)):
            return (
                f"step {ours.index:,}, {ours.path} at {ours.time:.6g} s, ends with {ours.outcome} above and with "
                f"{other.outcome} below"
            )
    other = next(theirs, None)
    if other is not None:
        return f"the run below goes on at step {other.index:,}, {other.path}, where the one above ends"
    return "the same steps in the same order, with other operations in them"
