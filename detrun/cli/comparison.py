"""``detrun gradient --compare``: all kinds of gradients beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from detrun.cli.options import settings
from detrun.cli.page import open_page, print_document

if TYPE_CHECKING:
    from detrun.gradients.comparison import Comparison


def show_comparison(found: Comparison, target: str, numbers: Mapping[str, float], shown: Callable[[str], str]) -> None:
    """Print what each kind says, costs and leaves out, and where they part; ``shown`` shortens paths."""
    from detrun.gradients.comparison import PRECISION, cpu_needed

    if settings().json:
        print_document(_document(found, target, numbers))
        return
    page = open_page()
    page.heading(f"gradients of {target}, compared", good=True)
    rows = []
    for kind, one in found.found.items():
        derivatives = [f"{one.grads[name]:.5g} ± {one.std_error[name]:.2g}" for name in numbers]
        cost = [] if one.cost is None else [f"{one.cost.runs:,}", f"{one.cost.cpu_seconds:.2g}", cpu_needed(one)]
        rows.append([kind, *derivatives, *cost])
    page.table(["kind", *(f"d/d{name}" for name in numbers), "runs", "CPU s", f"CPU s for {PRECISION:.0%}"], rows)
    page.facts({kind: shown(one.bias) for kind, one in found.found.items()})
    for kind, why in found.refused.items():
        page.note(f"{kind}: refused: {shown(why)}")
    for line in found.verdict():
        page.note(shown(line))


def _document(found: Comparison, target: str, numbers: Mapping[str, float]) -> dict[str, Any]:
    return {
        "command": "gradient",
        "ok": True,
        "exit_code": 0,
        "error": None,
        "target": target,
        "params": dict(numbers),
        "reference": found.reference,
        "parted": found.parted,
        "advised": found.advised,
        "advice": found.advice,
        "refused": dict(found.refused),
        "kinds": {
            kind: {
                "meaning": one.bias,
                "value": one.value,
                "grads": one.grads,
                "std_error": one.std_error,
                "samples": one.samples,
                "runs": 0 if one.cost is None else one.cost.runs,
                "cpu_seconds": 0.0 if one.cost is None else one.cost.cpu_seconds,
                "warnings": one.warnings,
            }
            for kind, one in found.found.items()
        },
    }
