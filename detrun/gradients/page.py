"""A gradient as an HTML page: its numbers, what it may be wrong about, and where in the run it came from."""

from __future__ import annotations

from math import inf, isfinite, log10
from typing import TYPE_CHECKING, Any, Protocol

from detrun.pages.page import page_of
from detrun.pages.run_facts import run_document, shown_steps, title_of
from detrun_scheduler.visible import visible, visible_line

if TYPE_CHECKING:
    from detrun.ad.diagnostics import Diagnostics
    from detrun.ad.validity import Validity
    from detrun.gradients.credit import Credit
    from detrun.gradients.flow import Flow
    from detrun_recorder.recording import Recording

PASSED_OVER = 1e-4  # shares of flows that no line would show


class ShownGradient(Protocol):
    """What a page shows of a `Gradient`, whose attributes these are."""

    value: float
    grads: dict[str, Any]
    kind: str
    std_error: dict[str, Any]
    samples: int
    bias: str
    of: str
    validity: dict[str, Validity]
    recording: Recording
    warnings: list[str]
    credit: dict[str, list[Credit]]
    flow: dict[str, list[Flow]]

    @property
    def diagnostics(self) -> Diagnostics:
        """Of the sweep."""


def gradient_page(found: ShownGradient) -> str:
    """The text of the file."""
    recording = found.recording
    steps, notes = shown_steps(recording)
    document = run_document(recording, steps, groups={}, facts={}, notes=[*map(visible, found.warnings), *notes])
    return page_of(title_of(recording), {**document, "gradient": _document(found)})


def _document(found: ShownGradient) -> dict[str, Any]:
    """The numbers as plain JSON values."""
    sampled = f", the mean of {found.samples:,} runs" if found.samples > 1 else ""
    rows = []
    for name, gradient in found.grads.items():
        near, error = found.validity.get(name), found.std_error.get(name)
        rows.append(
            {
                "name": visible_line(name),
                "gradient": _number(gradient),
                "error": _number(error) if error else None,
                "within": f"±{near.radius:.3g}" if near is not None and near.radius < inf else "",
                "first": visible_line(str(near.site)) if near is not None and near.site is not None else "",
            }
        )
    growth = found.diagnostics.adjoint_growth
    return {
        "value": found.value if isfinite(found.value) else str(found.value),
        "said": f"{found.kind} gradient of {found.of}{sampled}",
        "bias": visible(found.bias),
        "rows": rows,
        "nearest": [
            [f"{one.margin:.3g}", one.kind, visible_line(one.where), visible_line(one.code), one.passes]
            for one in found.diagnostics.nearest_margins
        ],
        "credit": {
            visible_line(name): [[one.step, one.contribution, one.share, visible_line(one.did)] for one in steps]
            for name, steps in found.credit.items()
        },
        "flow": {
            visible_line(name): [
                [one.origin, one.target, one.contribution, one.share] for one in ways if one.share > PASSED_OVER
            ]
            for name, ways in found.flow.items()
        },
        "growth": [[place, log10(size)] for place, size in sorted(growth) if 0.0 < size < inf],
    }


def _number(value: Any) -> float | str:
    if isinstance(value, int | float):
        return float(value) if isfinite(value) else str(value)
    return visible_line(str(value))[:200]
