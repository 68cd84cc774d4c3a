"""A gradient as an HTML page: its numbers, what it may be wrong about, and where in the run it came from."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite, log10
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from detrun.pages.kinds import Answer, Beside, Kinds, plain_number
from detrun.pages.page import page_of
from detrun.pages.run_facts import run_document, shown_steps, title_of
from detrun_scheduler.visible import visible, visible_line

if TYPE_CHECKING:
    from detrun.ad.diagnostics import Diagnostics
    from detrun.ad.moving_notes import Flip
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
    adjoint_sizes: list[tuple[int, float]]

    @property
    def diagnostics(self) -> Diagnostics:
        """Of the sweep."""


class ShownFlips(Protocol):
    """What a page shows of `Flips`, whose attributes these are."""

    @property
    def within(self) -> float:
        """The distance within which flips were counted."""

    @property
    def down(self) -> int:
        """How many below."""

    @property
    def up(self) -> int:
        """How many above."""

    @property
    def nearest(self) -> list[Flip]:
        """The nearest, with their jumps."""


class ShownComparison(Protocol):
    """What a page shows of a `Comparison`, whose attributes these are."""

    @property
    def found(self) -> Mapping[str, Any]:
        """By kind, its gradient."""

    @property
    def refused(self) -> Mapping[str, str]:
        """By kind, why it has none."""

    @property
    def reference(self) -> str | None:
        """The kind that the others are compared with."""

    def verdict(self) -> list[str]:
        """Where the kinds part."""


def gradient_page(
    found: ShownGradient,
    flips: Mapping[str, ShownFlips] = MappingProxyType({}),
    compared: ShownComparison | None = None,
    flips_refused: str = "",
) -> str:
    """The text of the file.

    Args:
        flips: by parameter, the nearest decisions that would flip, and the jumps of the loss there.
        compared: what other kinds say.
        flips_refused: why these decisions could not be found.
    """
    recording = found.recording
    steps, notes = shown_steps(recording)
    document = run_document(recording, steps, groups={}, facts={}, notes=[*map(visible, found.warnings), *notes])
    times = document["timeline"]["times"]
    shown = {
        **_document(found),
        "growth": _growth(found, {step: times[step - steps.start] for step, _ in found.adjoint_sizes if step in steps}),
        "flips": [_flips(name, one) for name, one in flips.items()],
        "flips_refused": visible(flips_refused),
        "kinds": None if compared is None else _kinds(compared).document(),
    }
    return page_of(title_of(recording), {**document, "gradient": shown})


def _growth(found: ShownGradient, times: Mapping[int, float]) -> dict[str, Any]:
    """How large adjoints are: along virtual time, or where none passes along steps; else along the tape."""
    sizes = [(step, size) for step, size in found.adjoint_sizes if step in times and 0.0 < size < inf]
    if len(sizes) < 2:
        points = [(place, size) for place, size in sorted(found.diagnostics.adjoint_growth) if 0.0 < size < inf]
        return {"along": "the tape", "points": [[place, log10(size)] for place, size in points]}
    if times[sizes[0][0]] == times[sizes[-1][0]]:
        return {"along": "the steps", "points": [[step, log10(size)] for step, size in sizes]}
    return {"along": "virtual time, in seconds", "points": [[times[step], log10(size)] for step, size in sizes]}


def _flips(name: str, flips: ShownFlips) -> dict[str, Any]:
    return {
        "name": visible_line(name),
        "within": flips.within,
        "down": flips.down,
        "up": flips.up,
        "nearest": [
            [one.move, None if one.jump is None else plain_number(one.jump), visible_line(str(one.site))]
            for one in flips.nearest
        ],
    }


def _kinds(compared: ShownComparison) -> Kinds:
    """What each kind says of each parameter, with its standard error, and where they part."""
    found = compared.found
    names = list(next(iter(found.values())).grads) if found else []
    return Kinds(
        [
            Beside(
                name,
                [Answer(kind, one.grads[name], one.std_error[name]) for kind, one in found.items()],
                compared.reference,
            )
            for name in names
        ],
        [(kind, one.bias, "" if one.cost is None else str(one.cost)) for kind, one in found.items()],
        compared.refused,
        compared.verdict(),
    )


def _document(found: ShownGradient) -> dict[str, Any]:
    """The numbers as plain JSON values."""
    sampled = f", the mean of {found.samples:,} runs" if found.samples > 1 else ""
    rows = []
    for name, gradient in found.grads.items():
        near, error = found.validity.get(name), found.std_error.get(name)
        rows.append(
            {
                "name": visible_line(name),
                "gradient": plain_number(gradient),
                "error": plain_number(error) if error else None,
                "within": f"±{near.radius:.3g}" if near is not None and near.radius < inf else "",
                "first": visible_line(str(near.site)) if near is not None and near.site is not None else "",
            }
        )
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
    }
