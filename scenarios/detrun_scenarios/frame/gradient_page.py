"""Derivatives of a scenario as a table and as an HTML page: each with its error, and the differences beside it."""

from __future__ import annotations

from collections.abc import Mapping

from detrun.pages.curves import Curves, curves_page
from detrun.pages.kinds import Answer, Beside, Kinds
from detrun_scenarios.frame.declaration import Loss
from detrun_scenarios.frame.derivatives import Derivative, LossGradient

HEAD = ("parameter", "at", "kind", "derivative", "error", "difference", "its error", "apart")
OF_MEAN = ("of the mean", "its error", "apart")  # of kind local
FROZEN_DIFFERENCE, MEAN_DIFFERENCE = "frozen difference", "difference of the mean"


def table_of(found: LossGradient, params: Mapping[str, float]) -> tuple[list[str], list[list[str]]]:
    """The columns, and a row for each derivative."""
    has_means = any(one.kind == "local" and one.of_mean is not None for one in found.derivatives)
    head = [*HEAD, *(OF_MEAN if has_means else ())]
    return head, [_row(one, params[one.parameter], has_means) for one in found.derivatives]


def gradient_page(name: str, found: LossGradient, loss: Loss, params: Mapping[str, float]) -> str:
    """The text of the file.

    Args:
        name: of the scenario.
        params: at which it was differentiated.
    """
    unit = f" {loss.unit}" if loss.unit else ""
    outcome = f"{loss.name} of {name}: {found.value:.6g} ± {found.std_error:.2g}{unit}; {loss.about}"
    head, rows = table_of(found, params)
    kinds = Kinds(
        [_beside(one) for one in found.derivatives],
        [(f"{one.parameter}: {one.kind}", one.why, "") for one in found.derivatives if one.why],
        {},
        _verdict(found),
    )
    return curves_page(
        Curves(
            f"detrun: gradient of {loss.name} of {name}",
            outcome,
            {"took": f"{found.steps:,} steps"},
            head=head,
            rows=rows,
            notes=[*found.bias, *found.warnings],
            kinds=kinds,
        )
    )


def _beside(one: Derivative) -> Beside:
    answers = [Answer(one.kind, one.derivative, one.std_error)]
    for name, difference in (
        (FROZEN_DIFFERENCE, None if one.frozen is None else one.frozen.difference),
        (MEAN_DIFFERENCE, one.of_mean),
    ):
        if difference is not None:
            answers.append(Answer(name, difference.value, difference.std_error))
    return Beside(one.parameter, answers, answers[-1].kind)


def _verdict(found: LossGradient) -> list[str]:
    parted = [
        f"{one.parameter}: {one.kind} and its {MEAN_DIFFERENCE if one.frozen is None else FROZEN_DIFFERENCE} are "
        f"{_apart(one)} apart"
        for one in found.derivatives
        if not one.agrees
    ]
    return parted or ["each derivative agrees with its difference"]


def _apart(one: Derivative) -> str:
    """How far a derivative and the difference that must agree are apart."""
    if one.frozen is None:
        return f"{one.apart:.2g} errors"
    return f"{one.apart:.1e} of it in {one.frozen.runs} runs"


def _row(one: Derivative, at: float, has_means: bool) -> list[str]:
    beside, of_mean = one.difference, one.of_mean
    row = [
        one.parameter,
        f"{at:.6g}",
        one.kind,
        f"{one.derivative:.8g}",
        f"{one.std_error:.2g}",
        f"{beside.value:.8g}",
        f"{beside.std_error:.2g}",
        _apart(one) + (f", {beside.changed:.0%} rescheduled" if one.kind == "local" and beside.changed else ""),
    ]
    if has_means and one.kind == "local" and of_mean is not None:
        return [*row, f"{of_mean.value:.8g}", f"{of_mean.std_error:.2g}", f"{one.errors_apart:.2g} errors"]
    return [*row, *([""] * len(OF_MEAN) if has_means else [])]
