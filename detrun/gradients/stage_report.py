"""The report on stages: what each boundary of a pipeline contributed to a gradient, in variance and in bias.

For every stage and parameter there is the part of the gradient that the stage carried, with its standard error. Of
a policy stage it is the score of its decisions times the loss, less the mean loss of the other samples; of other stages
what passed through the numbers that came out of it, along the path and into scores downstream. Stages in series carry
the same gradient, and one in a loop counts it once a call, so parts need not add up.

The bias is estimated where there is a rule for it: of differences by Richardson's extrapolation. Elsewhere the report
says what is left out, and how often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detrun.gradients.policy.baselines import LEAVE_ONE_OUT, terms
from detrun.gradients.sampling.sample import Estimates, Sample
from detrun.gradients.sampling.statistics import Estimate, estimate


@dataclass(frozen=True, slots=True)
class StageShare:
    """One stage, over all samples.

    Attributes:
        name, derivative, setting: as declared; the setting is the step or the temperature.
        calls, evaluations, draws, unscored, decided, held: a run, on average; see `StageNotes`. ``draws`` are decisions
            that were scored, ``unscored`` those that a parameter moved and that have no score.
        carries: by parameter, the part of its gradient that the stage carried.
        error: by parameter, the estimated bias that the stage's differences put into the gradient; empty for others.
    """

    name: str
    derivative: str
    setting: float | None
    calls: float
    evaluations: float
    draws: float
    unscored: float
    decided: float
    held: float
    carries: Mapping[str, Estimate]
    error: Mapping[str, Estimate]

    def __str__(self) -> str:
        setting = {"finite": f", step {self.setting}", "relaxed": f" at {self.setting}"}.get(self.derivative, "")
        carried = "" if self.derivative == "stop" else f" carries {_shown(self.carries)};"
        return f"stage {self.name} ({self.derivative}{setting}), {self.calls:.3g} calls a run:{carried} {self.bias}"

    @property
    def bias(self) -> str:
        """In a few words."""
        if self.derivative == "finite":
            held = f"; {self.held:.3g} results a run held decisions, which stay fixed" if self.held else ""
            return f"bias of its step {_shown(self.error)}; its jumps count as if what follows were linear{held}"
        if self.derivative == "stop":
            return "what would pass it is left out"
        flips = f"what flips at {self.decided:.3g} decisions a run without a draw is left out" if self.decided else ""
        if self.derivative == "relaxed":
            return "bias of its temperature, see falling ones" + (f"; {flips}" if flips else "")
        if self.derivative == "policy":
            unscored = f"{self.unscored:.3g} draws a run are not scored" if self.unscored else ""
            return "; ".join(filter(None, (f"{self.draws:.3g} decisions a run", flips, unscored)))
        return flips or "no bias"

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        plain = ("name", "derivative", "setting", "calls", "evaluations", "draws", "unscored", "decided", "held")
        return {
            **{one: getattr(self, one) for one in plain},
            "carries": {name: [one.mean, one.std_error] for name, one in self.carries.items()},
            "error": {name: [one.mean, one.std_error] for name, one in self.error.items()},
        }


@dataclass(frozen=True, slots=True)
class StagedDetails:
    """The `Details` of a mean of local gradients of a program with stages.

    Attributes:
        stages: in the order in which they were first called.
        places: as of `DecidingPlaces`.
    """

    stages: Sequence[StageShare]
    places: Mapping[str, float]

    def lines(self) -> Sequence[str]:
        """For people."""
        return [str(one) for one in self.stages]

    def as_data(self) -> Mapping[str, Any]:
        """Plain data, for JSON."""
        return {"stages": [one.as_data() for one in self.stages], "places": dict(self.places)}


def has_scores(samples: Sequence[Sample]) -> bool:
    """Whether a policy stage was called in some of them."""
    return any(one.notes.get("score") for one in samples)


def scored_means(samples: Sequence[Sample]) -> Estimates:
    """Means, with the mean loss of the other samples taken off where a score multiplies the loss."""
    losses = [one.value for one in samples]
    grads = {
        name: estimate(
            terms(
                LEAVE_ONE_OUT,
                [one.notes["path"][name] for one in samples],
                losses,
                [one.notes["score"].get(name, 0.0) for one in samples],
            )
        )
        for name in samples[0].grads
    }
    return Estimates(estimate(losses), grads)


def shares_of(samples: Sequence[Sample]) -> list[StageShare]:
    """Of every stage that some sample called."""
    names = dict.fromkeys(name for one in samples for name in one.notes["stages"])
    return [_share(name, samples) for name in names]


def _share(name: str, samples: Sequence[Sample]) -> StageShare:
    notes = [one.notes["stages"].get(name, {}) for one in samples]
    first = next(one for one in notes if one)
    losses = [one.value for one in samples]
    is_policy = first["derivative"] == "policy"

    def part(parameter: str, place: int) -> Estimate:
        along = [_number(one, "path", place, parameter) for one in notes]
        scores = [_number(one, "score", place, parameter) for one in notes]
        if is_policy:
            along = [0.0] * len(notes)
            scores = [one.get("own_score", {}).get(parameter, 0.0) for one in notes]
        return estimate(terms(LEAVE_ONE_OUT, along, losses, scores) if any(scores) else along)

    means = {
        key: sum(one.get(key, 0) for one in notes) / len(notes)
        for key in ("calls", "evaluations", "draws", "unscored", "decided", "held")
    }
    parameters = list(samples[0].grads)
    return StageShare(
        name=name,
        derivative=first["derivative"],
        setting=first["setting"],
        carries={parameter: part(parameter, 0) for parameter in parameters},
        error={parameter: part(parameter, 1) for parameter in parameters} if first["derivative"] == "finite" else {},
        **means,
    )


def _number(notes: Mapping[str, Any], key: str, place: int, parameter: str) -> float:
    return float(notes[key][place].get(parameter, 0.0)) if key in notes else 0.0


def _shown(parts: Mapping[str, Estimate]) -> str:
    return ", ".join(f"d/d{name} {one.mean:+.3g} ± {one.std_error:.2g}" for name, one in parts.items())
