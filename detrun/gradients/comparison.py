"""`compare_gradients`: what each kind of gradient says of one program, beside each other, and why they part.

All kinds take samples of the same seeds. Two kinds part where their derivatives differ by more than `APART` standard
errors of the difference, and by what these do not show: the bias of the step of finite differences, jumps that no
sample saw. They are compared with the first of `REFERENCES` that the program allows and that left out nothing that it
knows of. Why another parts is said from what it leaves out by its meaning, and from what its samples showed; nothing is
claimed that no kind has measured. The kind to use is the one of least CPU that agrees with the reference and passed
nothing that it leaves out: agreement alone may be noise.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detrun.execution.program import Main
from detrun.gradients.averaged_local import DecidingPlaces
from detrun.gradients.expected.estimator import JumpDetails
from detrun.gradients.finite.report import FiniteDetails
from detrun.gradients.finite.step_choice import scale
from detrun.gradients.gradient import KINDS, gradient
from detrun.gradients.parameters import numbers_only
from detrun.gradients.policy.policy import PolicyDetails
from detrun.gradients.result import Gradient
from detrun.gradients.stage_report import StagedDetails
from detrun_scheduler.errors import UsageError, text_of

REFERENCES = ("expected", "finite", "policy")
APART = 3.0
SMOOTHING = 0.05  # of each parameter, where nothing else is said of the relaxed kind
PRECISION = 0.1  # relative error that the cost is stated for
WHY = {
    "local": "local follows runs whose branches, timeouts, event orders and discrete draws stay as they are; the "
    "rest is how the loss jumps where these flip",
    "policy": "policy misses what flips without a draw or choice of known probability",
    "relaxed": "relaxed belongs to a softened or blurred loss",
    "finite": "the step of finite reaches over what bends or jumps, or noise is larger than standard errors show",
    "expected": "for expected a jump lies where it has no density, or noise is larger than a standard error shows",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What each kind says.

    Attributes:
        found: by kind, its gradient.
        refused: by kind, why it has none.
        reference: the kind that the others are compared with; None if there is none.
        parted: where a kind and the reference differ beyond noise, and why, in sentences.
        advised: the kind to use; None without a reference.
        advice: why, in a sentence.
    """

    found: Mapping[str, Gradient]
    refused: Mapping[str, str]
    reference: str | None
    parted: list[str]
    advised: str | None = None
    advice: str = ""

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write it as one HTML file: the kinds beside each other, and what one of them has to say by itself.

        Raises:
            OSError: the file cannot be written.
        """
        from detrun.gradients.page import gradient_page
        from detrun.pages.page import write_page

        shown = self.found[self.advised or self.reference or next(iter(self.found))]
        return write_page(path, gradient_page(shown, compared=self))

    def __str__(self) -> str:
        names = list(next(iter(self.found.values())).grads) if self.found else []
        rows = [["kind", *(f"d/d{name}" for name in names), "runs", "CPU s", f"CPU s for {PRECISION:.0%}"]]
        for kind, one in self.found.items():
            numbers = [f"{one.grads[name]:.5g} ± {one.std_error[name]:.2g}" for name in names]
            assert one.cost is not None
            rows.append([kind, *numbers, f"{one.cost.runs:,}", f"{one.cost.cpu_seconds:.2g}", cpu_needed(one)])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += [f"{kind}: refused: {why}" for kind, why in self.refused.items()]
        lines += [f"{kind}: {one.bias}" for kind, one in self.found.items()]
        return "\n".join([*lines, *self.verdict()])

    def verdict(self) -> list[str]:
        """Where the kinds part, or that they do not."""
        if self.reference is None:
            return ["no kind that knows the mean has an answer, so nothing can be said of the others"]
        said = self.parted or [f"all agree with {self.reference} within {APART:g} standard errors"]
        return [*said, self.advice]


def compare_gradients(
    main: Main,
    params: Mapping[str, float],
    *,
    kinds: Collection[str] = KINDS,
    samples: int = 100,
    seed: int = 0,
    executor: Executor | None = None,
    workers: int = 1,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    **surroundings: Any,
) -> Comparison:
    """Take the gradient of the mean loss by every kind.

    Args:
        main, params, samples, seed, executor, workers: as for `detrun.gradient`.
        kinds: those to compare.
        options: by kind, keyword arguments that are for it alone, such as ``{"relaxed": {"temperature": 0.1}}``.
            Without any, ``relaxed`` smoothes parameters over 5 % of their size.
        surroundings: keyword arguments of `detrun.gradient` for all kinds.

    Raises:
        UsageError: an unknown kind.
        Whatever the program raises, if no kind has an answer. A kind that it cannot have is reported in the result.
    """
    numbers = numbers_only(params)
    given = {kind: dict(one) for kind, one in (options or {}).items()}
    for kind in [*kinds, *given]:
        if kind not in KINDS:
            raise UsageError(f"compare_gradients: unknown kind {kind!r}; choose of {', '.join(KINDS)}")
    given.setdefault("relaxed", {"smoothing": {name: SMOOTHING * scale(one) for name, one in numbers.items()}})
    found: dict[str, Gradient] = {}
    refused: dict[str, str] = {}
    failure: Exception | None = None
    for kind in kinds:
        try:
            found[kind] = gradient(
                main,
                numbers,
                kind=kind,
                samples=samples,
                seed=seed,
                executor=executor,
                workers=None if workers == 1 else workers,
                **surroundings,
                **given.get(kind, {}),
            )
        except Exception as error:
            # A kind moves parameters or needs Values, and may fail where the program as it is does not.
            refused[kind] = f"{type(error).__name__}: {text_of(error)}"
            failure = error
    if not found and failure is not None:
        raise failure
    known = [one for one in REFERENCES if one in found]
    reference = next((one for one in known if not _missed(found[one])), next(iter(known), None))
    if reference is None:
        return Comparison(found, refused, None, [])
    parted = _parted(found, reference)
    said = [one for sentences in parted.values() for one in sentences]
    return Comparison(found, refused, reference, said, *_advice(found, reference, parted))


def _parted(found: Mapping[str, Gradient], reference: str) -> dict[str, list[str]]:
    """By kind, where it differs from the reference beyond noise."""
    said: dict[str, list[str]] = {}
    best = found[reference]
    for kind, one in found.items():
        if kind == reference:
            continue
        for name, number in one.grads.items():
            apart = number - best.grads[name]
            error = math.hypot(one.std_error[name], best.std_error[name])
            if abs(apart) > APART * error + _unshown(one, name) + _unshown(best, name):
                says = (
                    f"d/d{name}: {kind} says {number:+.3g}, {reference} {best.grads[name]:+.3g}, {apart:+.3g} ± "
                    f"{error:.2g} apart: {'outside of stages ' if isinstance(one.details, StagedDetails) else ''}"
                    f"{WHY[kind]}"
                )
                said.setdefault(kind, []).append("; ".join([says, *_places(one)]))
    return said


def _places(one: Gradient) -> list[str]:
    """Where its runs could have gone another way, as far as it says."""
    if isinstance(one.details, DecidingPlaces | StagedDetails):
        return list(one.details.lines()[:2])
    if isinstance(one.details, PolicyDetails):
        return [f"{site} decides in {share:.0%} of runs" for site, share in one.details.shown[:2]]
    return []


def _leaves_out(one: Gradient) -> bool:
    """Whether its runs passed what a kind leaves out by its meaning."""
    return one.kind == "relaxed" or isinstance(one.details, StagedDetails) or bool(_places(one)) or bool(_missed(one))


def _advice(found: Mapping[str, Gradient], reference: str, parted: Collection[str]) -> tuple[str, str]:
    """The kind to use, and why."""
    whole = [kind for kind, one in found.items() if kind == reference or (kind not in parted and not _leaves_out(one))]
    best = min(whole, key=lambda kind: (_seconds_needed(found[kind]), kind != reference))
    why = {
        "local": "no run passed a place where a parameter decides, so it is the derivative of the mean",
        "expected": "it counts the jumps",
        "policy": "it scores whatever a parameter decides in these runs",
        "finite": "it needs no Values and sees all jumps, up to the bias of its step",
        "relaxed": "no other kind has an answer",
    }[best]
    needed = cpu_needed(found[best])
    cost = "" if needed == "-" else f"; {needed} s of CPU until it is known to {PRECISION:.0%}"
    return best, f"use {best}: {why}{cost}{', the least' if cost and len(whole) > 1 else ''}"


def _missed(one: Gradient) -> Mapping[str, float]:
    """How far off it may be by jumps that no sample saw."""
    return one.details.missed if isinstance(one.details, JumpDetails) else {}


def _unshown(one: Gradient, name: str) -> float:
    """How far off it may be without its standard error showing it: the step of differences, jumps that were missed."""
    bias = one.details.step_bias.get(name) if isinstance(one.details, FiniteDetails) else None
    return _missed(one).get(name, 0.0) if bias is None else abs(bias.mean)


def cpu_needed(one: Gradient) -> str:
    """Seconds of CPU until every derivative is known to `PRECISION` of it, by its standard error."""
    seconds = _seconds_needed(one)
    return "-" if seconds == math.inf else f"{seconds:.2g}"


def _seconds_needed(one: Gradient) -> float:
    """At least those of two samples, below which no standard error is known."""
    assert one.cost is not None
    share = max(
        (one.std_error[name] / abs(slope) if slope else math.inf for name, slope in one.grads.items()), default=0
    )
    return one.cost.cpu_seconds * max((share / PRECISION) ** 2, min(1.0, 2 / one.samples))
