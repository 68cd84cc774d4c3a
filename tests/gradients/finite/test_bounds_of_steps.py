"""Steps that only judge the step of a difference stay within the bounds of the parameters."""

from __future__ import annotations

from typing import Any

import pytest

import detrun
from detrun.errors import UsageError


@pytest.mark.parametrize("schedule", ["free", "frozen"])
@pytest.mark.parametrize("difference", ["central", "forward", "simultaneous"])
def test_a_wider_step_that_only_judges_stays_within_the_bounds(difference: str, schedule: str) -> None:
    seen: list[float] = []

    async def main(params: dict[str, float]) -> float:
        seen.append(params["x"])
        return params["x"] ** 3

    def largest(**more: object) -> float:
        seen.clear()
        options: Any = {"difference": difference, "schedule": schedule, "step": 0.3, **more}
        detrun.gradient(main, {"x": 1.0}, kind="finite", samples=4, **options)
        return max(seen)

    assert largest() == pytest.approx(1.6)
    assert largest(bounds={"x": (0.0, 1.5)}) == pytest.approx(1.3)
    assert largest(bounds={"x": (0.0, None)}) == pytest.approx(1.6)
    with pytest.raises(UsageError, match="bounds of 'y': the parameters are x; give bounds of these only"):
        largest(bounds={"y": (0.0, 1.0)})
    with pytest.raises(UsageError, match="bounds of 'y', 'z': the parameters are x"):
        largest(bounds={"y": (0.0, 1.0), "x": (0.0, 1.5), "z": (None, 1.0)})
