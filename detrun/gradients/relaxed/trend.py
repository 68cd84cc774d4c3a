"""How a relaxed gradient moves as the temperature or the width of smoothing falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detrun.gradients.sampling.sample import Sample
from detrun.gradients.sampling.statistics import Estimate, estimate

PARAMETERS_SHOWN_MAX = 8


@dataclass(frozen=True, slots=True)
class TrendDetails:
    """Of relaxed gradients.

    Attributes:
        of: what falls: ``"temperature"`` or ``"width"`` (the largest, of several parameters).
        levels: its numbers, falling.
        trend: by parameter, the gradient at each.
        moved_loss: how much larger the loss is at the last temperature than exactly; None for widths.
    """

    of: str
    levels: Sequence[float]
    trend: Mapping[str, Sequence[Estimate]]
    moved_loss: Estimate | None = None

    def lines(self) -> Sequence[str]:
        """For people."""
        found = []
        if self.moved_loss is not None:
            found.append(
                f"the temperature moves the loss by {self.moved_loss.mean:+.3g} ± {self.moved_loss.std_error:.2g}"
            )
        if len(self.levels) > 1:
            for name, row in list(self.trend.items())[:PARAMETERS_SHOWN_MAX]:
                at = ", ".join(
                    f"{one.mean:.4g} ± {one.std_error:.2g} at {level:g}"
                    for level, one in zip(self.levels, row, strict=True)
                )
                found.append(f"d/d{name} by {self.of}: {at}")
        return found

    def as_data(self) -> Mapping[str, Any]:
        """Plain data."""
        return {
            "of": self.of,
            "levels": list(self.levels),
            "trend": {
                name: [{"mean": one.mean, "std_error": one.std_error} for one in row]
                for name, row in self.trend.items()
            },
            "moved_loss": None
            if self.moved_loss is None
            else {"mean": self.moved_loss.mean, "std_error": self.moved_loss.std_error},
        }


def trend_of(samples: Sequence[Sample], levels: Sequence[float]) -> dict[str, list[Estimate]]:
    """By parameter, the gradient at each level."""
    return {
        name: [estimate([one.notes["trend"][k][name] for one in samples]) for k in range(len(levels))]
        for name in samples[0].grads
    }


def unsettled(samples: Sequence[Sample], levels: Sequence[float], of: str) -> list[str]:
    """Warnings for gradients that still moved at the last step down, beyond their noise."""
    if len(levels) < 2:
        return []
    found = []
    for name in samples[0].grads:
        moved = estimate([one.notes["trend"][-1][name] - one.notes["trend"][-2][name] for one in samples])
        if abs(moved.mean) > 3.0 * moved.std_error:
            found.append(
                f"d/d{name} still moved by {moved.mean:+.3g} ± {moved.std_error:.2g} when the {of} fell from "
                f"{levels[-2]:g} to {levels[-1]:g}: its bias is of that size or larger"
            )
    return found
