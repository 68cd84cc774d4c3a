"""A gradient as an HTML page: its numbers, what it may be wrong about, and where in the run it came from."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from math import inf, isfinite, log10
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from detrun.gradients.carrying_lines import STEPS_MAX as LINED_STEPS_MAX
from detrun.gradients.carrying_lines import CarryingLines, Place
from detrun.gradients.flow import Flow, strongest_path
from detrun.pages.kinds import Answer, Beside, Kinds, plain_number
from detrun.pages.page import page_of
from detrun.pages.run_facts import run_document, shown_steps, title_of
from detrun.pages.source import shown_file
from detrun_scheduler.visible import visible, visible_line

if TYPE_CHECKING:
    from detrun.ad.diagnostics import Diagnostics
    from detrun.ad.moving_notes import Flip
    from detrun.ad.validity import Validity
    from detrun.gradients.credit import Credit
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
    lines: CarryingLines | None = None,
    lines_refused: str = "",
) -> str:
    """The text of the file.

    Args:
        flips: by parameter, the nearest decisions that would flip, and the jumps of the loss there.
        compared: what other kinds say.
        flips_refused: why these decisions could not be found.
        lines: of the program, that its steps ran and that carried the derivatives.
        lines_refused: why they are not known.
    """
    recording = found.recording
    steps, notes = shown_steps(recording)
    if lines_refused:
        notes.append(f"without lines of code: {visible(lines_refused)}")
    elif recording.steps > LINED_STEPS_MAX:
        notes.append(f"lines of code are shown of the first {LINED_STEPS_MAX:,} of {recording.steps:,} steps")
    groups = {} if lines is None else lines.nodes
    document = run_document(recording, steps, groups=groups, facts={}, notes=[*map(visible, found.warnings), *notes])
    if lines is not None:
        document["source"] = lines.source.document()
    times = document["timeline"]["times"]
    shown = {
        **_document(found, lines),
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


def _document(found: ShownGradient, lines: CarryingLines | None) -> dict[str, Any]:
    """The numbers as plain JSON values."""
    credit_lines = {} if lines is None else lines.credit
    flow_lines = {} if lines is None else lines.flow
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
            visible_line(name): [
                [
                    one.step,
                    one.contribution,
                    one.share,
                    visible_line(one.did),
                    _lines(credit_lines.get(name, {}).get(one.step, {}), one),
                ]
                for one in steps
            ]
            for name, steps in found.credit.items()
        },
        "flow": {
            visible_line(name): [
                [one.origin, one.target, one.contribution, one.share] for one in ways if one.share > PASSED_OVER
            ]
            for name, ways in found.flow.items()
        },
        "flowsLeftOut": {
            visible_line(name): sum(one.share <= PASSED_OVER for one in ways) for name, ways in found.flow.items()
        },
        "path": {
            visible_line(name): [
                [
                    one.origin,
                    one.target,
                    one.contribution,
                    one.share,
                    _lines(flow_lines.get(name, {}).get((one.origin, one.target), {}), one),
                ]
                for one in strongest_path(ways)
            ]
            for name, ways in found.flow.items()
        },
    }


def _lines(by_place: Mapping[Place, float], whole: Credit | Flow) -> list[list[Any]]:
    """Place, code, contribution and share of each line, the largest first."""
    ordered = sorted(by_place.items(), key=lambda item: (-abs(item[1]), item[0]))
    unit = abs(whole.share / whole.contribution) if whole.contribution else 0.0
    return [
        [
            visible_line(f"{shown_file(place.file)}:{place.number}"),
            visible_line(linecache.getline(place.file, place.number).strip()),
            contribution,
            abs(contribution) * unit,
        ]
        for place, contribution in ordered
    ]
