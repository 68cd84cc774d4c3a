"""What ``detrun gradient --flips`` shows: the decisions that would flip within a distance, and the jumps there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detrun.cli.page import Page
    from detrun.gradients.flips import Flips


def show_flips(page: Page, flips: Mapping[str, Flips], shown: Callable[[str], str]) -> None:
    """A row for each of the nearest flips of each parameter; ``shown`` shortens paths."""
    rows = []
    for name, one in flips.items():
        for place, flip in enumerate(one.nearest):
            jump = "-" if flip.jump is None else f"{flip.jump:+.4g}"
            counts = f"{one.down:,} below, {one.up:,} above" if place == 0 else ""
            rows.append([name if place == 0 else "", counts, f"{flip.move:+.4g}", jump, shown(str(flip.site))])
        if not one.nearest:
            rows.append([name, "none", "-", "-", "-"])
    within = next(iter(flips.values())).within if flips else 0.0
    page.table(["parameter", f"within {within:g}", "nearest", "jump of the result", "what flips"], rows, title="flips")


def flips_as_data(flips: Mapping[str, Flips]) -> dict[str, Any]:
    """The same for ``--json``."""
    return {
        name: {
            "within": one.within,
            "down": one.down,
            "up": one.up,
            "nearest": [
                {"move": flip.move, "jump": flip.jump, "site": str(flip.site), "margin": flip.margin}
                for flip in one.nearest
            ],
        }
        for name, one in flips.items()
    }
