"""Parameters that a program leaves unread are named, and those that it uses in any way are not."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import trio

import detrun


def unread(main: Any, **params: float) -> list[str]:
    """The parameters that the gradient's warnings call unused."""
    warnings = detrun.gradient(main, params).warnings
    return [name for name in params if any(f"the parameter {name!r}" in one for one in warnings)]


@pytest.mark.parametrize(
    "use",
    [
        lambda y: y * 0.0,
        lambda y: y > 3.0,
        lambda y: operator.gt(3.0, y),
        lambda y: detrun.sum([y, y, y]),
        lambda y: detrun.maximum(1.0, y),
    ],
    ids=["product", "left of a comparison", "right of a comparison", "sum", "maximum"],
)
def test_a_parameter_that_is_used_without_effect_is_not_called_unused(use: Any) -> None:
    async def main(params: dict[str, Any]) -> Any:
        use(params["y"])
        return params["x"] * 2.0

    assert unread(main, x=1.0, y=2.0) == []


def test_a_deadline_uses_a_parameter() -> None:
    async def main(params: dict[str, Any]) -> Any:
        await trio.sleep(params["y"])
        return params["x"] * 2.0

    assert unread(main, x=1.0, y=2.0) == []


def test_a_parameter_read_under_another_name_is_named() -> None:
    async def main(params: dict[str, Any]) -> Any:
        return params["x"] * params.get("timeout", 3.0)

    assert unread(main, x=1.0, time_out=2.0) == ["time_out"]


def test_a_parameter_of_which_only_the_bare_number_is_used_is_named() -> None:
    async def main(params: dict[str, Any]) -> Any:
        return params["x"] * float(params["y"])

    assert unread(main, x=1.0, y=2.0) == ["y"]
