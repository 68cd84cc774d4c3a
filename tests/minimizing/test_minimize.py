"""Minimizing a mean loss: where it ends, what it keeps, and how it goes on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import detrun
from detrun.errors import UsageError
from detrun.minimizing.coordinates import coordinates_of
from detrun.minimizing.difference_steps import differences_at
from detrun.minimizing.iteration import Iteration
from detrun.minimizing.resting_place import resting_place

START = {"x": 1.0, "y": 1.0}


def bowl(params: dict[str, Any]) -> Any:
    """Least at x = 3, y = -1."""
    return (params["x"] - 3.0) ** 2 + 10.0 * (params["y"] + 1.0) ** 2 + detrun.normal(0.0, 1.0)


def base_stock(params: dict[str, Any]) -> Any:
    """Holding cost 1 and backlog cost 4 with exponential demand: least at -ln(1/5) = 1.609."""
    demand = detrun.exponential(1.0)
    return detrun.maximum(params["S"] - demand, 0.0) + 4.0 * detrun.maximum(demand - params["S"], 0.0)


def flips(params: dict[str, Any]) -> Any:
    """E = p² - p, least at 1/2, which the local gradient cannot see."""
    return params["p"] ** 2 - float(detrun.bernoulli(params["p"]))


def short(**keywords: Any) -> detrun.Minimum:
    given: dict[str, Any] = {
        "kind": "local",
        "samples": 2,
        "held_out": 8,
        "iterations": 12,
        "look_every": 4,
        "rate": 0.2,
    }
    return detrun.minimize(bowl, START, **{**given, **keywords})


def test_the_minimum_of_a_bowl() -> None:
    found = short(iterations=60)
    assert found.params["x"] == pytest.approx(3.0, abs=0.15)
    assert found.params["y"] == pytest.approx(-1.0, abs=0.15)
    assert found.gain == pytest.approx(44.0, abs=0.5)
    assert found.gain_std_error < 0.01  # the same seeds before and after
    assert "x  1 -> " in str(found)


def test_a_parameter_that_begins_at_a_small_part_of_its_range_gets_there_by_its_scale() -> None:
    keywords: dict[str, Any] = {"kind": "local", "rate": 0.2, "iterations": 30, "samples": 2, "held_out": 4}

    def far(params: dict[str, Any]) -> Any:
        return (params["x"] - 3.0) ** 2

    assert detrun.minimize(far, {"x": 0.001}, **keywords).params["x"] < 0.01
    assert detrun.minimize(far, {"x": 0.001}, scales={"x": 2.0}, **keywords).params["x"] == pytest.approx(3.0, abs=0.2)


def test_a_base_stock_is_found_by_its_noisy_derivatives() -> None:
    """The loss is flat around its minimum: 20 % off costs 2 % of it."""
    found = detrun.minimize(
        base_stock,
        {"S": 0.5},
        kind="finite",
        step=0.1,
        samples=4,
        iterations=12,
        held_out=40,
        rate=0.3,
        log_scaled=["S"],
    )
    assert found.params["S"] == pytest.approx(-math.log(1 / 5), rel=0.4)
    assert found.gain > 3 * found.gain_std_error


def test_what_is_found_depends_on_the_meaning_of_the_gradient() -> None:
    """The local gradient is 2 p: it goes for 0, whose loss is 0 and not -1/4."""
    keywords: dict[str, Any] = {
        "samples": 8,
        "iterations": 16,
        "held_out": 200,
        "rate": 0.1,
        "bounds": {"p": (0.01, 0.99)},
    }
    local = detrun.minimize(flips, {"p": 0.3}, kind="local", **keywords)
    expected = detrun.minimize(flips, {"p": 0.3}, kind="expected", **keywords)
    assert local.history[-1].params["p"] < 0.2
    assert expected.history[-1].params["p"] > 0.3
    assert expected.gain >= local.gain


@pytest.mark.parametrize("optimizer", ["L-BFGS-B", "slsqp"])
def test_methods_of_scipy_minimize_the_mean_over_fixed_seeds_within_bounds(optimizer: str) -> None:
    found = short(optimizer=optimizer, bounds={"x": (None, 2.5)}, iterations=40)
    assert found.params["x"] == pytest.approx(2.5)
    assert found.params["y"] == pytest.approx(-1.0, abs=1e-3)
    assert "scipy's" in found.reason


def test_a_class_of_torch_optim() -> None:
    torch = pytest.importorskip("torch")
    found = short(optimizer=torch.optim.SGD, rate=0.05, iterations=30)
    assert found.params["y"] == pytest.approx(-1.0, abs=0.05)


def test_bounds_and_logarithms_are_kept() -> None:
    found = short(bounds={"x": (0.5, 1.5), "y": (0.2, None)}, log_scaled=["y"])
    for one in found.history:
        assert 0.5 <= one.params["x"] <= 1.5
        assert one.params["y"] >= 0.2
    assert found.params == pytest.approx({"x": 1.5, "y": 0.2})


def test_it_stops_when_held_out_seeds_show_no_gain() -> None:
    found = detrun.minimize(bowl, {"x": 3.0, "y": -1.0}, kind="local", samples=2, held_out=4, look_every=2, patience=2)
    assert found.reason == "the last 2 looks at held-out seeds found no gain"
    assert len(found.history) == 4
    assert found.params == {"x": 3.0, "y": -1.0}
    assert found.gain == 0.0


def noise(params: dict[str, Any]) -> Any:
    return params["x"] * detrun.normal(0.0, 1.0)


def test_samples_stay_as_they_are_with_steps_that_get_shorter() -> None:
    found = detrun.minimize(noise, {"x": 1.0}, kind="local", samples=2, iterations=8, held_out=2)
    assert {one.samples for one in found.history} == {2}


def test_samples_grow_where_noise_exceeds_the_gradient_with_steps_that_do_not() -> None:
    torch = pytest.importorskip("torch")
    found = detrun.minimize(
        noise, {"x": 1.0}, kind="local", optimizer=torch.optim.SGD, samples=2, iterations=8, held_out=2
    )
    assert found.history[0].samples == 2
    assert found.history[-1].samples > 2


def test_differences_take_shares_of_the_coordinates_that_fall_and_stay_within_bounds() -> None:
    tried: list[float] = []

    def coin(params: dict[str, Any]) -> Any:
        tried.append(params["p"])
        return float(detrun.bernoulli(params["p"])) - params["p"]  # p above 1 is refused

    keywords: dict[str, Any] = {"kind": "finite", "samples": 2, "held_out": 2, "iterations": 2, "look_every": 9}
    found = detrun.minimize(coin, {"p": 0.95}, bounds={"p": (0.0, 1.0)}, **keywords)
    assert found.history[0].params["p"] == pytest.approx(1.0 - 0.25)  # a quarter of the bounds, which is below 0.3
    assert {0.5, 1.0} <= set(tried)
    (one,) = coordinates_of({"x": 2.0}, {}, ["x"])
    for number, step in ((0, 1.2), (63, 0.6)):
        places, steps = differences_at([one], {"x": 4.0}, number)
        assert (places, steps["x"]) == ({"x": 4.0}, pytest.approx(step))
    tried.clear()
    detrun.minimize(coin, {"p": 0.5}, step=0.125, **keywords)
    assert {0.375, 0.625} <= set(tried)  # a step that is given is kept


def test_the_resting_place_is_the_last_iterate_of_a_way_and_the_mean_of_a_wandering() -> None:
    way = [[float(number), (-1.0) ** number, 5.0] for number in range(8)]
    assert resting_place(way) == [7.0, 0.0, 5.0]
    assert resting_place(way[:1]) == [0.0, 1.0, 5.0]


def test_a_checkpoint_goes_on_where_it_ended_and_spares_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "bowl.jsonl"
    told: list[Iteration] = []
    whole = short(progress=told.append)
    assert [one.number for one in told] == list(range(1, 13))
    short(iterations=5, checkpoint=path)
    kept = path.read_bytes()
    path.write_bytes(kept[:-10])  # as a kill in the middle of a line leaves it
    resumed = short(checkpoint=path)
    assert (resumed.params, resumed.value, resumed.history) == (whole.params, whole.value, whole.history)
    lines = path.read_text().splitlines()
    assert short(checkpoint=path).history == whole.history
    assert path.read_text().splitlines() == lines  # nothing was evaluated again
    with pytest.raises(UsageError, match="not the checkpoint of this minimization"):
        short(checkpoint=path, seed=1)
    path.write_text("\n".join([*lines[:2], "{}", *lines[2:]]) + "\n")
    with pytest.raises(UsageError, match="damaged in line 3"):
        short(checkpoint=path)


def test_arguments_that_make_no_sense_are_refused() -> None:
    for keywords, said in (
        ({"kind": "odd"}, "unknown kind"),
        ({"optimizer": "Nelder-Mead"}, "choose 'adam'"),
        ({"bounds": {"x": (2.0, 3.0)}}, "outside of its bounds"),
        ({"bounds": {"z": (2.0, 3.0)}}, "not a parameter"),
        ({"log_scaled": "x"}, "give names"),
        ({"scales": {"z": 1.0}}, "not a parameter"),
        ({"scales": {"x": 0.0}}, "give a positive number"),
        ({"scales": {"x": 1.0}, "log_scaled": ["x"]}, "none where log_scaled has it"),
        ({"trust_region": "odd"}, "choose one of validity, noise"),
        ({"trust_region": "noise", "optimizer": "BFGS"}, "leave out trust_region"),
        ({"trust_region": "validity", "kind": "finite"}, "choose 'noise'"),
        ({"rate": 0.0}, "positive number"),
        ({"iterations": 0}, "at least 1"),
        ({"recording": "a"}, "not an option"),
        ({"checkpoint": "/nowhere/at/all"}, "cannot write"),
    ):
        with pytest.raises(UsageError, match=said):
            short(**keywords)
    with pytest.raises(UsageError, match="no logarithm"):
        detrun.minimize(bowl, {"x": -1.0, "y": 0.0}, kind="local", log_scaled=["x"])
