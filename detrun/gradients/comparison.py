"""`compare_gradients`: what each kind of gradient says of one program, beside each other, and why they part.

All kinds take samples of the same seeds. Two kinds part where their derivatives differ by more than `APART` standard
errors of the difference (and the bias of the step, of finite differences). They are compared with the first of
`REFERENCES` that the program allows and that left out nothing that it knows of. Why another parts is said from what it
leaves out by its meaning, and from what its samples showed; nothing is claimed that no kind has measured.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from detrun.execution.program import Main
from detrun.gradients.averaged_local import DecidingPlaces
from detrun.gradients.finite.report import FiniteDetails
from detrun.gradients.finite.step_choice import scale
from detrun.gradients.gradient import KINDS, gradient
from detrun.gradients.parameters import numbers_only
from detrun.gradients.result import Gradient
from detrun.gradients.stage_report import StagedDetails
from detrun_scheduler.errors import UsageError, text_of

REFERENCES = ("expected", "finite", "policy")
APART = 3.0
SMOOTHING = 0.05  # of each parameter, where nothing else is said of the relaxed kind
PRECISION = 0.1  # relative error that the cost is stated for
WHY = {
    "local": "it holds every branch, timeout, event order and discrete draw fixed, and so misses the jumps there",
    "policy": "it misses what flips without a draw or choice of known probability",
    "relaxed": "it belongs to a softened or blurred loss",
    "finite": "its step reaches over what bends or jumps, or the noise is larger than standard errors show",
    "expected": "a jump lies where it has no density, or noise is larger than a standard error shows",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What each kind says.

    Attributes:
        found: by kind, its gradient.
        refused: by kind, why it has none.
        reference: the kind that the others are compared with; None if there is none.
        parted: where a kind and the reference differ beyond noise, and why, in sentences.
    """

    found: Mapping[str, Gradient]
    refused: Mapping[str, str]
    reference: str | None
    parted: list[str]

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
        return self.parted or [f"all agree with {self.reference} within {APART:g} standard errors"]


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
    reference = next((one for one in REFERENCES if one in found), None)
    return Comparison(found, refused, reference, [] if reference is None else _parted(found, reference))


def _parted(found: Mapping[str, Gradient], reference: str) -> list[str]:
    """Where kinds differ from the reference beyond noise."""
    said = []
    best = found[reference]
    for kind, one in found.items():
        if kind == reference:
            continue
        for name, number in one.grads.items():
            apart = number - best.grads[name]
            error = math.hypot(one.std_error[name], best.std_error[name])
            if abs(apart) > APART * error + _step_bias(one, name) + _step_bias(best, name):
                says = f"d/d{name}: {kind} is {apart:+.3g} ± {error:.2g} from {reference}: "
                says += f"outside of stages {WHY[kind]}" if isinstance(one.details, StagedDetails) else WHY[kind]
                if isinstance(one.details, DecidingPlaces | StagedDetails):
                    says += "".join(f"; {line}" for line in one.details.lines()[:2])
                said.append(says)
    return said


def _step_bias(one: Gradient, name: str) -> float:
    """How far the step of finite differences may have moved a derivative."""
    bias = one.details.step_bias.get(name) if isinstance(one.details, FiniteDetails) else None
    return 0.0 if bias is None else abs(bias.mean)


def cpu_needed(one: Gradient) -> str:
    """Seconds of CPU until every derivative is known to `PRECISION` of it, by its standard error."""
    assert one.cost is not None
    share = max(
        (one.std_error[name] / abs(slope) if slope else math.inf for name, slope in one.grads.items()), default=0
    )
    return "-" if share == math.inf else f"{one.cost.cpu_seconds * (share / PRECISION) ** 2:.2g}"
