"""What differences make of their runs: quotients, counts, twice the step and other functionals, without running."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.gradients.finite import differences
from detrun.gradients.finite.differences import Differences
from detrun.gradients.finite.perturbed import CENTRAL, FORWARD, FROZEN
from detrun.gradients.finite.report import FiniteDetails
from detrun.gradients.sampling.functionals import CVAR, Functional
from detrun.gradients.sampling.program import OneRun
from detrun.gradients.sampling.sample import Sample

AT = {"x": 1.0, "y": 2.0}
STEPS = {"x": 0.5, "y": 0.25}


class Curved:
    """Runs whose loss is ``x³ + 3 y``; they fail at ``x >= 2``, and below 2 the tasks take another way by ``y``."""

    def base(self) -> OneRun:
        return OneRun(7.0, 7, 0)

    def allows(self, by: Mapping[str, float]) -> bool:
        return True

    def moved(self, by: Mapping[str, float]) -> OneRun:
        x, y = (AT[name] + by.get(name, 0.0) for name in AT)
        if x >= 2.0:
            raise ValueError("too far")
        return OneRun(x**3 + 3.0 * y, 10, int(y < 2.0))


def of(difference: str, functional: Functional | None = None, schedule: str = "free") -> Differences:
    program: Any = SimpleNamespace(params=AT)
    return Differences(program, difference, STEPS, schedule, of=functional)


@pytest.fixture(autouse=True)
def curved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """The seeds and schedules of which runs were asked for."""
    asked: list[tuple[int, str]] = []

    def runs_of(program: Any, seed: int, schedule: str) -> Curved:
        asked.append((seed, schedule))
        return Curved()

    monkeypatch.setattr(differences, "runs_of", runs_of)
    return asked


def test_central_differences_take_both_sides_of_each_parameter(curved: list[tuple[int, str]]) -> None:
    found = of(CENTRAL, schedule=FROZEN).sample(5)
    assert curved == [(5, FROZEN)]
    assert (found.value, found.runs, found.steps) == (7.0, 5, 47)
    assert found.grads == {"x": 1.5**3 - 0.5**3, "y": 3.0}
    assert found.notes == {
        "seed": 5,
        "sides": {"x": (1.5**3 + 6.0, 0.5**3 + 6.0), "y": (7.75, 6.25)},
        "changed": {"x": False, "y": True},
        "doubled": {},
    }


def test_forward_differences_share_the_base() -> None:
    found = of(FORWARD).sample(7)
    assert (found.value, found.runs, found.steps) == (7.0, 3, 27)
    assert found.grads == {"x": (1.5**3 - 1.0) / 0.5, "y": 3.0}
    assert found.notes["sides"] == {"x": (1.5**3 + 6.0, 7.0), "y": (7.75, 7.0)}
    assert found.notes["changed"] == {"x": False, "y": False}


def test_every_fourth_seed_goes_twice_as_far_where_the_program_works_there() -> None:
    assert [one for one in range(9) if of(CENTRAL).sample(one).notes["doubled"]] == [0, 4, 8]
    found = of(CENTRAL).sample(0)
    assert found.notes["doubled"] == {"y": 3.0}  # at x = 2 it fails
    assert (found.runs, found.steps) == (7, 67)
    near = Differences(of(CENTRAL).program, CENTRAL, {"x": 0.25})
    assert near.sample(0).notes["doubled"] == {"x": 1.5**3 - 0.5**3}
    assert near.sample(0).grads == {"x": (1.25**3 - 0.75**3) / 0.5}
    assert Differences(near.program, FORWARD, {"y": 1.0}).sample(4).notes["doubled"] == {"y": 3.0}


def samples() -> list[Sample]:
    """Ten, of which the worst half lie at 10 and more; x adds 1 to each above, and y twice the loss below."""
    return [
        Sample(
            loss,
            {"x": 1.0, "y": loss},
            1,
            1,
            {
                "sides": {"x": (loss + 1.0, loss), "y": (loss, loss - 2.0 * loss)},
                "changed": {"x": loss > 7.0, "y": False},
                "doubled": {"x": 4.0},
                "seed": 0,
            },
        )
        for loss in (5.0, 10.0, 6.0, 11.0, 7.0, 12.0, 8.0, 13.0, 9.0, 14.0)
    ]


def test_of_the_mean_the_estimates_are_means() -> None:
    found = of(CENTRAL).estimates(samples())
    assert (found.value.mean, found.grads["x"].mean, found.grads["y"].mean) == (9.5, 1.0, 9.5)
    assert found.value.std_error == pytest.approx(math.sqrt(82.5 / 9 / 10))


@pytest.mark.parametrize(("difference", "width"), [(CENTRAL, 2.0), (FORWARD, 1.0)])
def test_of_another_functional_its_values_on_both_sides_are_subtracted(difference: str, width: float) -> None:
    """The worst half is 12 on average above; of y below the worst are those of the least losses, -7 on average."""
    found = of(difference, Functional(CVAR, 0.5)).estimates(samples())
    assert found.value.mean == 12.0
    assert found.grads["x"].mean == pytest.approx(1.0 / (width * STEPS["x"]))
    assert found.grads["y"].mean == pytest.approx((12.0 + 7.0) / (width * STEPS["y"]))
    assert found.grads["x"].std_error == pytest.approx(0.0, abs=1e-9)
    assert 0.0 < found.grads["y"].std_error < math.inf
    fewer = of(difference, Functional(CVAR, 0.5)).estimates(samples()[:9])
    assert fewer.value.std_error == math.inf


def test_the_conclusion_has_the_bias_of_the_step_and_the_share_that_took_another_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("detrun.gradients.finite.report._parting", lambda *given: "parted")
    for functional, bias in ((None, 1.0), (Functional(CVAR, 0.5), None)):
        found = of(CENTRAL, functional, FROZEN).concluded(samples())
        details = found.details
        assert isinstance(details, FiniteDetails)
        assert (details.difference, details.schedule, details.steps) == (CENTRAL, FROZEN, STEPS)
        assert details.changed == {"x": 0.7, "y": 0.0}
        assert details.step_bias["y"] is None
        assert (None if details.step_bias["x"] is None else details.step_bias["x"].mean) == bias
        assert str(functional or "the mean") in found.bias
