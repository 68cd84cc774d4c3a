"""Where steps end: at the validity of the runs, or where the noise does not explain what they did to the loss."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import detrun
from detrun.minimizing.coordinates import coordinates_of
from detrun.minimizing.trust_region import ByNoise, ByValidity


def cliff(params: dict[str, Any]) -> Any:
    """Falls towards x = 2, behind which it is 100 higher; noise that no gradient sees."""
    x = params["x"]
    return (100.0 if x > 2.0 else -x) + detrun.normal(0.0, 0.01)


def minimum(**keywords: Any) -> detrun.Minimum:
    given: dict[str, Any] = {"samples": 2, "held_out": 4, "iterations": 12, "look_every": 4, "patience": 9, "rate": 0.6}
    return detrun.minimize(cliff, {"x": 1.0}, kind="local", **{**given, **keywords})


def places(found: detrun.Minimum) -> list[float]:
    return [one.params["x"] for one in [*found.history, found.looks[-1]]]


def test_steps_stay_where_the_runs_go_the_same_way() -> None:
    without = minimum()
    assert max(places(without)) > 2.0  # the gradient sees no cliff
    found = minimum(trust_region="validity", validity=False)  # which is about gradients of single runs
    assert max(places(found)) < 2.0
    assert found.params["x"] > 1.99
    assert found.runs == without.runs + 12 * 9
    tied = detrun.minimize(
        cliff, {"x": 2.0}, kind="local", samples=2, held_out=4, iterations=1, trust_region="validity"
    )
    assert tied.looks[-1].params["x"] != 2.0


def test_a_step_that_noise_does_not_explain_is_taken_back_and_halved() -> None:
    found = minimum(trust_region="noise")
    tried = places(found)
    over = [at for at, x in enumerate(tried[:-1]) if x > 2.0]
    assert over
    for at in over:
        assert tried[at + 1] == pytest.approx(tried[at - 1])
    assert tried[over[0] + 2] - tried[over[0] + 1] <= (tried[over[0]] - tried[over[0] - 1]) / 2 + 1e-12
    assert found.params["x"] > 1.8


@pytest.mark.parametrize("trust_region", ["validity", "noise"])
def test_a_checkpoint_holds_what_the_region_needs(tmp_path: Path, trust_region: str) -> None:
    whole = minimum(trust_region=trust_region)
    minimum(trust_region=trust_region, iterations=5, checkpoint=tmp_path / "kept")
    resumed = minimum(trust_region=trust_region, checkpoint=tmp_path / "kept")
    assert (resumed.history, resumed.params, resumed.runs) == (whole.history, whole.params, whole.runs)


def test_parameters_that_move_together_share_their_radii() -> None:
    region = ByValidity(coordinates_of({"x": 2.0, "y": 1.0}, {}, ["y"]), rate=1.0)
    radii = {"x": 1.0, "y": math.inf}
    assert region.limited([1.0, 0.0], [2.0, 5.0], 0.0, 0.0, [], radii) == [1.25, 1.25]
    both = region.limited([1.0, 0.0], [2.0, -1.0], 0.0, 0.0, [], {"x": 1.0, "y": 1.0})
    assert both == pytest.approx([1.0 + 1 / 6, -1 / 6])
    assert 2 * (both[0] - 1.0) + (1.0 - math.exp(both[1])) <= 0.5  # of the radii


def test_the_radius_follows_from_gains_and_noise() -> None:
    region = ByNoise()
    assert region.back(1.0, 0.1) is None
    assert region.limited([0.0], [-8.0], 1.0, 0.1, [1.0], {}) == [-8.0]
    assert region.back(1.2, 0.1) is None  # within the noise: neither more nor less
    assert region.limited([-8.0], [0.0], 1.2, 0.1, [-1.0], {}) == [0.0]
    assert region.back(2.0, 0.1) == [-8.0]
    assert region.limited([-8.0], [0.0], 1.2, 0.1, [-1.0], {}) == [-4.0]
    assert region.back(0.0, 0.1) is None  # as promised: twice as far
    assert region.limited([-4.0], [10.0], 0.0, 0.1, [-1.0], {}) == [4.0]
    assert region.back(math.nan, math.nan) == [-4.0]
