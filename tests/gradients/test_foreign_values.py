"""Foreign Values: one that outlives its run, or was made outside of any, is refused by the runs after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun
from detrun.ad.value import Value

GONE = "made before this run began"


def gradients() -> dict[str, Callable[[Any, dict[str, float]], Any]]:
    return {
        "whole": lambda main, params: detrun.gradient(main, params).grads,
        "windows": lambda main, params: detrun.gradient(main, params, snapshots=2, window=2).grads,
        "forward": lambda main, params: detrun.gradient(main, params, mode="forward").grads,
        "twice": lambda main, params: detrun.hessian_vector_product(main, params, {"x": 1.0}).grads,
    }


@pytest.mark.parametrize("way", sorted(gradients()))
def test_a_value_that_is_kept_from_an_earlier_run_is_refused(way: str) -> None:
    """With ids from 0 in each run, the old Value would be the new run's parameter to the sweep: 4 and not 2."""
    kept: list[Any] = []

    async def main(params: dict[str, Any]) -> Any:
        await trio.lowlevel.checkpoint()
        if not kept:
            kept.append(params["x"])
        return kept[0] * params["x"]

    if way != "windows":  # where the run that is recorded first has left its Value to those in the windows
        assert gradients()[way](main, {"x": 2.0}) == {"x": 4.0}
    with pytest.raises(detrun.NotDifferentiableError, match="of another run" if way in ("forward", "twice") else GONE):
        gradients()[way](main, {"x": 2.0})


@pytest.mark.parametrize("way", sorted(set(gradients()) - {"forward"}))
def test_a_value_made_outside_of_any_run_is_refused_where_the_loss_depends_on_it(way: str) -> None:
    outside = Value(3.0)

    async def used(params: dict[str, Any]) -> Any:
        await trio.lowlevel.checkpoint()
        return outside * params["x"]

    async def returned(params: dict[str, Any]) -> Any:
        return outside

    async def unused(params: dict[str, Any]) -> Any:
        assert outside > 1.0
        return params["x"] * float(outside)

    with pytest.raises(detrun.NotDifferentiableError, match=GONE):
        gradients()[way](used, {"x": 2.0})
    if way != "twice":  # a plain Value moves along no direction
        with pytest.raises(detrun.NotDifferentiableError, match=GONE):
            gradients()[way](returned, {"x": 2.0})
    assert gradients()[way](unused, {"x": 2.0}) == {"x": 3.0}


@pytest.mark.parametrize("snapshots", [None, 2, "kept"])
def test_a_machine_whose_apply_holds_a_value_of_elsewhere_is_refused(snapshots: Any) -> None:
    rate = Value(0.5)
    machine = detrun.StateMachine(
        lambda state, event: {"x": state["x"] * rate + event},
        {"x": 1.0},
        snapshots=2 if snapshots == "kept" else None,
        window=2,
    )
    machine.dispatch_all([1.0, 2.0, 3.0, 4.0, 5.0])
    with pytest.raises(detrun.NotDifferentiableError, match=GONE):
        machine.gradient(lambda state: state["x"], snapshots=snapshots)
