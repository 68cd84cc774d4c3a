"""The report of finite differences, from made-up samples and recordings."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.gradients.finite import report
from detrun.gradients.finite.perturbed import CENTRAL, FORWARD, FROZEN, SIMULTANEOUS
from detrun.gradients.finite.report import FiniteDetails, bias_of, concluded, first_difference
from detrun.gradients.sampling.functionals import CVAR, Functional
from detrun.gradients.sampling.sample import Sample
from detrun.gradients.sampling.statistics import Estimate


def details(**given: Any) -> FiniteDetails:
    plain: dict[str, Any] = {
        "difference": CENTRAL,
        "schedule": "free",
        "steps": {"x": 0.5},
        "step_bias": {"x": None},
        "changed": {"x": 0.25},
    }
    return FiniteDetails(**{**plain, **given})


def sample(grad: float = 1.0, **notes: Any) -> Sample:
    return Sample(0.0, {"x": grad}, 1, 1, {"seed": 3, "changed": {}, "doubled": {}, **notes})


def test_each_parameter_has_a_line_with_its_step_bias_and_changes() -> None:
    assert details().lines() == [
        "x moved by 0.5: bias of the step not estimated; 25% of samples took another interleaving"
    ]
    found = details(step_bias={"x": Estimate(0.125, 0.5, 3)}, changed={}, divergences=["there"])
    assert found.lines() == ["x moved by 0.5: bias of the step +0.12 ± 0.5", "there"]
    together = details(changed={"": 0.5}).lines()
    assert together[1:] == ["50% of samples took another interleaving"]


@pytest.mark.parametrize(
    ("count", "more"), [(8, []), (9, ["and 1 more parameters"]), (1010, ["and 1,002 more parameters"])]
)
def test_eight_parameters_have_a_line(count: int, more: list[str]) -> None:
    names = [f"p{number}" for number in range(count)]
    found = details(steps=dict.fromkeys(names, 0.5), step_bias=dict.fromkeys(names), changed={}).lines()
    assert found[8:] == more
    assert len(found) == 8 + len(more)


def test_as_data_it_is_plain() -> None:
    found = details(step_bias={"x": Estimate(0.1, 0.5, 3), "y": None}, divergences=["there"])
    assert found.as_data() == {
        "difference": CENTRAL,
        "schedule": "free",
        "steps": {"x": 0.5},
        "step_bias": {"x": {"mean": 0.1, "std_error": 0.5}, "y": None},
        "changed": {"x": 0.25},
        "divergences": ["there"],
    }


def test_the_bias_follows_from_the_step_and_twice_it() -> None:
    samples = [sample(1.0, doubled={"x": 4.0}), sample(2.0, doubled={"x": 11.0}), sample()]
    central, forward = bias_of(samples, "x", CENTRAL), bias_of(samples, "x", FORWARD)
    assert central is not None
    assert forward is not None
    assert (central.mean, forward.mean, central.freedom) == (2.0, 6.0, 1)
    assert bias_of(samples[1:], "x", CENTRAL) is None


def test_a_bias_that_shows_and_matters_is_warned_of() -> None:
    """It must be more than three of its own standard errors, and than the error of the derivative, which is 1 here."""
    program: Any = None
    samples = [sample(1.0), sample(3.0)]
    for bias, warns in (
        (Estimate(-1.5, 0.25, 1), True),
        (Estimate(1.5, 0.45, 1), True),
        (Estimate(1.5, 0.5, 1), False),  # just three
        (Estimate(1.5, 0.75, 1), False),
        (Estimate(1.0, 0.0, 1), False),
        (Estimate(0.5, 0.0, 1), False),
        (None, False),
    ):
        warnings = concluded(program, details(step_bias={"x": bias}), samples).warnings
        assert len(warnings) == warns
    assert concluded(program, details(step_bias={"x": Estimate(-1.5, 0.25, 1)}), samples).warnings == [
        "the step of x, 0.5, makes d/dx wrong by about -1.5, more than its standard error; pass a smaller step="
    ]


def test_the_statement_of_bias_names_the_difference_its_order_and_the_functional() -> None:
    program: Any = None
    for difference, order in ((CENTRAL, "square"), (FORWARD, "first power"), (SIMULTANEOUS, "square")):
        said = concluded(program, details(difference=difference), [sample()]).bias
        assert said.startswith(f"{difference} differences of the mean under common random numbers: their bias")
        assert f"goes with the {order} of the step" in said
    said = concluded(program, details(schedule=FROZEN), [sample()], Functional(CVAR, 0.5)).bias
    assert "of cvar:0.5 under common random numbers and the schedule of one run while it fits: " in said


def test_the_first_parting_of_each_of_three_samples_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    program: Any = None
    monkeypatch.setattr(report, "_parting", lambda program, seed, by, details, name: (seed, dict(by), name))
    changed = {"x": False, "y": True, "z": True}
    samples = [sample(seed=seed, changed=changed if seed else {"x": False}) for seed in range(6)]
    found = concluded(program, details(steps={"x": 0.5, "y": 0.25, "z": 1.0}), samples).details
    assert isinstance(found, FiniteDetails)
    assert found.divergences == [(seed, {"y": 0.25}, "y") for seed in (1, 2, 3)]
    together = concluded(program, details(), [sample(changed={"": True}, by={"x": -0.5})]).details
    assert isinstance(together, FiniteDetails)
    assert together.divergences == [(3, {"x": -0.5}, "")]


def step(index: int = 0, path: str = "main", runnable: Any = (0,), outcome: str = "done", events: int = 0) -> Any:
    return SimpleNamespace(
        index=index, path=path, runnable=runnable, outcome=outcome, events=[None] * events, time=index / 4
    )


def recording(*steps: Any) -> Any:
    return SimpleNamespace(iter_steps=lambda: iter(steps))


def test_the_first_difference_of_two_recordings() -> None:
    one = step(0)
    for above, below, said in (
        ([one, step(1200)], [one], "the run above goes on at step 1,200, main, where the one below ends"),
        ([one], [one, step(1200)], "the run below goes on at step 1,200, main, where the one above ends"),
        (
            [one, step(1001, "main/a")],
            [one, step(1002, "main/b")],
            "from step 1,001 on: main/a at 250.25 s above, main/b at 250.5 s below",
        ),
        ([step(1)], [step(2, runnable=(0, 1))], "from step 1 on: main at 0.25 s above, main at 0.5 s below"),
        ([step(1)], [step(1, outcome="sleep")], "step 1, main at 0.25 s, ends with done above and with sleep below"),
        ([step(1)], [step(1, events=1)], "step 1, main at 0.25 s, ends with done above and with done below"),
        ([one, step(1)], [one, step(1)], "the same steps in the same order, with other operations in them"),
    ):
        assert first_difference(recording(*above), recording(*below)) == said


@pytest.fixture
def program() -> Any:
    """Its recorded runs end after a step in the task that is called by the parameter."""

    def recorded(seed: int, params: Mapping[str, float]) -> Any:
        return (SimpleNamespace(recording=recording(step(seed, f"x={params['x']}"))), 0.0)

    return SimpleNamespace(params={"x": 1.0, "y": 2.0}, recorded=recorded)


def test_free_sides_are_recorded_to_see_where_they_part(program: Any) -> None:
    def said(difference: str, name: str) -> str:
        return report._parting(program, 5, {"x": 0.5}, details(difference=difference), name)

    assert said(CENTRAL, "x") == ("seed 5 with x moved: from step 5 on: x=1.5 at 1.25 s above, x=0.5 at 1.25 s below")
    assert said(FORWARD, "") == ("seed 5 with all moved: from step 5 on: x=1.5 at 1.25 s above, x=1.0 at 1.25 s below")


@pytest.mark.parametrize(("parts", "said"), [(1.5, "up"), (0.5, "down"), (None, "moved: from step")])
def test_frozen_sides_say_how_far_they_follow_the_recording(
    parts: float | None, said: str, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(force: Mapping[Any, Any], params: Mapping[str, float]) -> Any:
        first = SimpleNamespace(step=1234, time=0.25, flipped="it turned")
        return SimpleNamespace(first_difference=first if params["x"] == parts else None)

    monkeypatch.setattr(report, "FrozenRuns", lambda program, seed: SimpleNamespace(branches=SimpleNamespace(run=run)))
    found = report._parting(program, 5, {"x": 0.5}, details(schedule=FROZEN), "x")
    if parts is None:
        assert said in found
    else:
        assert found == f"seed 5 with x moved {said}, 1,234 steps as recorded until 0.25 s: it turned"
