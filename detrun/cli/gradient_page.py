"""A gradient as `detrun gradient` prints it: its numbers with what they may be wrong about, as a page or a document."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from detrun.cli.flips import flips_as_data, show_flips
from detrun.cli.page import counted

if TYPE_CHECKING:
    from detrun.cli.page import Page
    from detrun.gradients.flips import Flips
    from detrun.gradients.result import Gradient


def show_gradient(
    page: Page, found: Gradient, target: str, numbers: Mapping[str, float], flips: Mapping[str, Flips]
) -> None:
    """Of one run, or of a mean over seeds."""
    page.heading(f"{found.kind} gradient of {target}", good=True)
    if found.cost is not None:
        _show_sampled(page, found, numbers)
        return
    sites = counted(found.diagnostics.sites_passed, "discontinuity site")
    page.facts(
        {
            "value": f"{found.value:.9g}",
            "steps": f"{found.recording.steps:,}",
            "tape": f"{found.diagnostics.entries:,} entries, {sites} passed",
            **_effort(found),
            "digest": found.digest,
            "meaning": found.bias,
        }
    )
    rows = []
    for name, number in numbers.items():
        near = found.validity.get(name)
        radius = near.radius if near is not None else math.inf
        rows.append(
            [
                name,
                f"{number:.9g}",
                f"{found.grads[name]:.9g}",
                "-" if near is None else f"±{radius:.3g}" if radius < math.inf else "any",
                shown_path(str(near.site)) if near is not None and near.site is not None else "-",
            ]
        )
    page.table(["parameter", "at", "derivative", "valid within", "first to flip"], rows)
    if found.diagnostics.nearest_margins:
        page.table(
            ["margin", "kind", "where", "line", "passes"],
            [
                [f"{one.margin:.3g}", one.kind, shown_path(one.where), one.code, f"{one.passes:,}"]
                for one in found.diagnostics.nearest_margins
            ],
            title="nearest margins",
        )
    if flips:
        show_flips(page, flips, shown_path)
    for name, steps in found.credit.items():
        page.table(
            ["share", "contribution", "step", "time", "task", "did"],
            [
                [
                    f"{one.share:.1%}",
                    f"{one.contribution:+.4g}",
                    f"{one.step:,}",
                    f"{one.time:.6g} s",
                    one.task,
                    one.did,
                ]
                for one in steps
            ],
            title=f"steps that carried most of d/d{name}",
        )
    if len(found.diagnostics.detachments) > 1:  # a single one is in the warnings
        page.table(
            ["line", "times"],
            [[shown_path(f"{path}:{line}"), f"{count:,}"] for path, line, count in found.diagnostics.detachments],
            title="bare numbers taken out of Values (no derivative flows through them)",
        )
    for warning in found.warnings:
        page.note(shown_path(warning))


def _show_sampled(page: Page, found: Gradient, numbers: Mapping[str, float]) -> None:
    """The page of a gradient that is a mean over seeds."""
    assert found.cost is not None
    page.facts(
        {
            "value": f"{found.value:.9g} ± {found.value_std_error:.2g} ({found.of})",
            "samples": f"{found.samples:,}",
            "took": str(found.cost),
            "meaning": found.bias,
        }
    )
    rows = [
        [
            name,
            f"{number:.9g}",
            f"{found.grads[name]:.9g}",
            f"±{found.std_error[name]:.2g}",
            "{:.6g} to {:.6g}".format(*found.interval[name]),
        ]
        for name, number in numbers.items()
    ]
    interval = f"{100 * found.confidence:.4g} % interval"
    page.table(["parameter", "at", "derivative", "standard error", interval], rows)
    for line in found.details.lines() if found.details is not None else ():
        page.note(shown_path(line))
    for warning in found.warnings:
        page.note(shown_path(warning))


def _effort(found: Gradient) -> dict[str, str]:
    """What bounded memory took, if the run was cut into windows."""
    facts = found.diagnostics
    if not facts.window_steps:
        return {}
    return {
        "windows": f"{facts.windows:,} of {facts.window_steps:,} steps, at most {facts.snapshots} snapshots",
        "effort": f"{facts.forward_steps:,} steps run forward, {facts.taped_steps:,} taped, "
        f"largest process {facts.peak_bytes / 2**20:.0f} MB",
    }


def shown_path(text: str) -> str:
    """With file names relative to the working directory, as the user wrote them."""
    return text.replace(os.getcwd() + os.sep, "")


def gradient_as_data(
    found: Gradient, target: str, numbers: Mapping[str, float], file: str | None, flips: Mapping[str, Flips]
) -> dict[str, Any]:
    """The same for ``--json``; ``file`` is the recording that was differentiated."""
    return {
        "target": target,
        "kind": found.kind,
        "meaning": found.bias,
        "params": dict(numbers),
        "recording": file,
        "value": found.value,
        "grads": found.grads,
        "std_error": found.std_error,
        "samples": found.samples,
        "of": found.of,
        "value_std_error": found.value_std_error,
        "interval": {name: list(one) for name, one in found.interval.items()},
        "confidence": found.confidence,
        "cost": None
        if found.cost is None
        else {"runs": found.cost.runs, "steps": found.cost.steps, "cpu_seconds": found.cost.cpu_seconds},
        "details": None if found.details is None else found.details.as_data(),
        "validity": {
            name: {
                "radius": one.radius,
                "down": one.down,
                "up": one.up,
                "site": None if one.site is None else str(one.site),
                "margin": one.margin,
                "slope": one.slope,
                "complete": one.complete,
            }
            for name, one in found.validity.items()
        },
        "one_sided": {name: dataclasses.asdict(one) for name, one in found.one_sided.items()},
        "steps": found.recording.steps,
        "digest": found.digest,
        "tape_entries": found.diagnostics.entries,
        "windows": found.diagnostics.windows,
        "window_steps": found.diagnostics.window_steps,
        "forward_steps": found.diagnostics.forward_steps,
        "peak_bytes": found.diagnostics.peak_bytes,
        "credit": {
            name: [
                {
                    "step": one.step,
                    "task": one.task,
                    "operations": list(one.operations),
                    "ended": one.outcome,
                    "time": one.time,
                    "contribution": one.contribution,
                    "share": one.share,
                }
                for one in steps
            ]
            for name, steps in found.credit.items()
        },
        "sites_passed": found.diagnostics.sites_passed,
        "nearest_margins": [
            {"kind": one.kind, "where": one.where, "code": one.code, "margin": one.margin, "passes": one.passes}
            for one in found.diagnostics.nearest_margins
        ],
        "detachments": [
            {"file": path, "line": line, "count": count} for path, line, count in found.diagnostics.detachments
        ],
        "warnings": found.warnings,
        "flips": flips_as_data(flips),
    }
