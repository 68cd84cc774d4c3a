"""The report on stages: what each boundary of a pipeline contributed to a gradient, in variance and in bias.

For every stage and parameter there is the part of the gradient that the stage carried, with its standard error. Of
a policy stage it is the score of its decisions times the loss, less the mean loss of the other samples; of other stages
what passed through the numbers that came out of it, along the path and into scores downstream. Stages in series carry
the same gradient, and one in a loop counts it once a call, so parts need not add up.

The bias is estimated where there is a rule for it. Of differences it is Richardson's extrapolation. Of what follows the
jumps of a finite stage it is measured: in every second sample one number that goes into one call is chosen at random,
and the program runs twice more, with what the stage gives a step above and below that number; the difference of the
losses is held to what the linear rule makes of it, and weighted by one over the probability of the choice. Of relaxed
stages falling temperatures show the trend. Elsewhere the report says what is left out, and how often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detrun.gradients.policy.baselines import LEAVE_ONE_OUT, terms
from detrun.gradients.policy.returns_to_go import rewarded, whole
from detrun.gradients.sampling.sample import Estimates, Sample
from detrun.gradients.sampling.statistics import Estimate, estimate

APART = 3.0  # standard errors by which a trend still moves


@dataclass(frozen=True, slots=True)
class StageShare:
    """One stage, over all samples.

    Attributes:
        name, derivative, setting: as declared; the setting is the step or the temperature.
        calls, evaluations, draws, unscored, decided, held: a run, on average; see `StageNotes`. ``draws`` are decisions
            that were scored, ``unscored`` those that a parameter moved and that have no score.
        carries: by parameter, the part of its gradient that the stage carried.
        error: by parameter, the estimated bias that the stage's differences put into the gradient; empty for others.
        jumps: by parameter, the measured bias where what follows the stage is not linear over its step; empty for
            others, and if nothing was measured.
        measured: in how many samples.
        failed: in how many the program failed with what the stage gives a step aside.
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
    jumps: Mapping[str, Estimate] = field(default_factory=dict)
    measured: int = 0
    failed: int = 0

    def __str__(self) -> str:
        setting = {"finite": f", step {self.setting}", "relaxed": f" at {self.setting}"}.get(self.derivative, "")
        carried = "" if self.derivative == "stop" else f" carries {_shown(self.carries)};"
        return f"stage {self.name} ({self.derivative}{setting}), {self.calls:.3g} calls a run:{carried} {self.bias}"

    @property
    def bias(self) -> str:
        """In a few words."""
        if self.derivative == "finite":
            held = f"; {self.held:.3g} results a run held decisions, which stay fixed" if self.held else ""
            jumps = "; its jumps count as if what follows were linear"
            if self.jumps:
                jumps += f": bias {_shown(self.jumps)}, measured in {self.measured:,} samples"
            if self.failed:
                jumps += f"; in {self.failed:,} more the program fails with what it gives a step aside"
            return f"bias of its step {_shown(self.error)}{jumps}{held}"
        if self.derivative == "stop":
            return "what would pass it is left out"
        flips = f"what flips at {self.decided:.3g} decisions a run without a draw is left out" if self.decided else ""
        if self.derivative == "relaxed":
            return "bias of its temperature" + (f"; {flips}" if flips else "")
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
            "jumps": {name: [one.mean, one.std_error] for name, one in self.jumps.items()},
            "measured": self.measured,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class StagedDetails:
    """The `Details` of a mean of local gradients of a program with stages.

    Attributes:
        stages: in the order in which they were first called.
        places: as of `DecidingPlaces`.
        trend: by parameter, its derivative at the falling temperatures of relaxed stages, as numbers and their names.
    """

    stages: Sequence[StageShare]
    places: Mapping[str, float]
    trend: Mapping[str, Sequence[tuple[str, Estimate]]] = field(default_factory=dict)

    def lines(self) -> Sequence[str]:
        """For people."""
        found = [str(one) for one in self.stages]
        for name, row in self.trend.items():
            at = ", ".join(f"{one.mean:.4g} ± {one.std_error:.2g} at {level}" for level, one in row)
            found.append(f"d/d{name} by temperature: {at}")
        return found

    def as_data(self) -> Mapping[str, Any]:
        """Plain data, for JSON."""
        return {
            "stages": [one.as_data() for one in self.stages],
            "places": dict(self.places),
            "trend": {
                name: [{"temperature": level, "mean": one.mean, "std_error": one.std_error} for level, one in row]
                for name, row in self.trend.items()
            },
        }


def has_scores(samples: Sequence[Sample]) -> bool:
    """Whether a policy stage was called in some of them."""
    return any(one.notes.get("score") for one in samples)


def scored_means(samples: Sequence[Sample]) -> Estimates:
    """Means, with the baseline of each policy stage taken off where its score multiplies the loss."""
    losses = [one.value for one in samples]
    return Estimates(estimate(losses), {name: estimate(_terms(samples, name)) for name in samples[0].grads})


def _terms(samples: Sequence[Sample], name: str) -> list[float]:
    """Numbers whose mean is the derivative by one parameter."""
    found = [one.notes.get("path", one.grads)[name] for one in samples]  # a run may call no stage
    stages = dict.fromkeys(
        stage
        for one in samples
        for stage, notes in one.notes.get("stages", {}).items()
        if notes["derivative"] == "policy"
    )
    for stage in stages:
        found = [a + b for a, b in zip(found, _of_policy(stage, samples, name), strict=True)]
    return found


def _of_policy(stage: str, samples: Sequence[Sample], name: str) -> list[float]:
    """What the decisions of a policy stage add to each sample, less the stage's baseline."""
    notes = [one.notes.get("stages", {}).get(stage, {}) for one in samples]
    kind = next(one["baseline"] for one in notes if one)
    losses = [one.value for one in samples]
    scores = [one.get("own_score", {}).get(name, 0.0) for one in notes]
    nothing = [0.0] * len(notes)
    if not any(one.get("apart") for one in notes):
        return terms(kind, nothing, losses, scores)
    runs = [
        one.get("apart") or whole(loss, {name: score}) for one, loss, score in zip(notes, losses, scores, strict=True)
    ]
    return rewarded(kind, nothing, runs, losses, name)


def trend_of_stages(samples: Sequence[Sample]) -> tuple[dict[str, list[tuple[str, Estimate]]], list[str]]:
    """The gradient at the falling temperatures of relaxed stages, by parameter, and warnings if it still moves."""
    count = max((len(one.notes.get("trend", ())) for one in samples), default=0)
    if not count:
        return {}, []
    first = next(one for one in samples if one.notes.get("trend"))
    declared = [one["temperatures"] for one in first.notes["stages"].values() if one["temperatures"]]
    labels = [
        " and ".join(dict.fromkeys(f"{one[min(level, len(one) - 1)]:g}" for one in declared))
        for level in range(count + 1)
    ]
    found: dict[str, list[tuple[str, Estimate]]] = {}
    warnings = []
    for name in samples[0].grads:
        rows = [
            terms(
                LEAVE_ONE_OUT,
                [one["path"][name] for one in at],
                [one["value"] for one in at],
                [one["score"].get(name, 0.0) for one in at],
            )
            for at in ([_at_level(one, level) for one in samples] for level in range(count))
        ]
        rows.append(_terms(samples, name))
        found[name] = [(label, estimate(row)) for label, row in zip(labels, rows, strict=True)]
        moved = estimate([last - before for last, before in zip(rows[-1], rows[-2], strict=True)])
        if abs(moved.mean) > APART * moved.std_error:
            warnings.append(
                f"d/d{name} still moved by {moved.mean:+.3g} ± {moved.std_error:.2g} when temperatures of stages fell "
                f"from {labels[-2]} to {labels[-1]}: their bias is of that size or larger"
            )
    return found, warnings


def _at_level(sample: Sample, level: int) -> Mapping[str, Any]:
    """A sample at an earlier temperature; one without relaxed stages is the same at each."""
    trend = sample.notes.get("trend")
    if trend:
        at: Mapping[str, Any] = trend[min(level, len(trend) - 1)]
        return at
    notes = sample.notes
    return {"value": sample.value, "path": notes.get("path", sample.grads), "score": notes.get("score", {})}


def shares_of(samples: Sequence[Sample]) -> list[StageShare]:
    """Of every stage that some sample called."""
    names = dict.fromkeys(name for one in samples for name in one.notes.get("stages", ()))
    return [_share(name, samples) for name in names]


def _share(name: str, samples: Sequence[Sample]) -> StageShare:
    notes = [one.notes.get("stages", {}).get(name, {}) for one in samples]
    first = next(one for one in notes if one)
    losses = [one.value for one in samples]
    is_policy = first["derivative"] == "policy"

    def part(parameter: str, place: int) -> Estimate:
        if is_policy:
            return estimate(_of_policy(name, samples, parameter))
        along = [_number(one, "path", place, parameter) for one in notes]
        scores = [_number(one, "score", place, parameter) for one in notes]
        return estimate(terms(LEAVE_ONE_OUT, along, losses, scores) if any(scores) else along)

    means = {
        key: sum(one.get(key, 0) for one in notes) / len(notes)
        for key in ("calls", "evaluations", "draws", "unscored", "decided", "held")
    }
    parameters = list(samples[0].grads)
    is_finite = first["derivative"] == "finite"
    jumps, measured, failed = _jumps(name, samples) if is_finite else ({}, 0, 0)
    return StageShare(
        name=name,
        derivative=first["derivative"],
        setting=first["setting"],
        carries={parameter: part(parameter, 0) for parameter in parameters},
        error={parameter: part(parameter, 1) for parameter in parameters} if is_finite else {},
        jumps=jumps,
        measured=measured,
        failed=failed,
        **means,
    )


def _jumps(name: str, samples: Sequence[Sample]) -> tuple[dict[str, Estimate], int, int]:
    """How much too large a derivative is where what follows a finite stage is not linear; and of how many samples."""
    tried = [one.notes.get("jump", {}) for one in samples]
    failed = sum("failed" in one and one["stage"] == name for one in tried)
    # A run that crossed nothing counts, with nothing that is wrong; so does one that tried another stage, for which the
    # weights of the others make up.
    known = [(one, jump) for one, jump in zip(samples, tried, strict=True) if one.notes["looked"]]
    known = [(one, jump) for one, jump in known if "failed" not in jump]
    if len(known) < 2:
        return {}, 0, failed

    def numbers(key: str, parameter: str) -> list[float]:
        return [jump[key][parameter] if jump.get("stage") == name else 0.0 for _, jump in known]

    found = {}
    for parameter in samples[0].grads:
        beyond = [a - b for a, b in zip(numbers("path", parameter), numbers("measured", parameter), strict=True)]
        scores = numbers("score", parameter)
        losses = [one.value for one, _ in known]
        found[parameter] = estimate(terms(LEAVE_ONE_OUT, beyond, losses, scores) if any(scores) else beyond)
    return found, len(known), failed


def _number(notes: Mapping[str, Any], key: str, place: int, parameter: str) -> float:
    return float(notes[key][place].get(parameter, 0.0)) if key in notes else 0.0


def _shown(parts: Mapping[str, Estimate]) -> str:
    return ", ".join(f"d/d{name} {one.mean:+.3g} ± {one.std_error:.2g}" for name, one in parts.items())
