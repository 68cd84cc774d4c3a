"""Throws as tensors: places and derivatives are those of scalars, event by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio

import detrun
from detrun_scenarios.physics.scenes.throw import Throw

torch = pytest.importorskip("torch")

from detrun_scenarios.physics.batch import Throws, landings  # noqa: E402

AT = {"launch_speed": 12.0, "restitution": 0.7, "friction": 0.1}
ANGLES = (0.5, 0.785, 1.1)


async def scalars(params: Mapping[str, Any]) -> Any:
    deaf = trio.open_memory_channel[Any](0)[1]
    return detrun.mean([(await Throw().fly({**params, "launch_angle": one}, deaf)).x for one in ANGLES])


async def tensors(params: Mapping[str, Any]) -> Any:
    speed, restitution, friction = (detrun.to_tensor(params[name]) for name in AT)
    angles = torch.tensor(ANGLES, dtype=torch.float64)
    found, _ = landings(Throws(speed, angles, torch.zeros_like(angles), restitution, friction))
    return detrun.from_tensor(found.mean())


@pytest.mark.slow
def test_throws_as_tensors_land_where_scalars_do_with_the_same_derivatives() -> None:
    one, other = (detrun.gradient(main, AT, verify=False) for main in (scalars, tensors))
    assert other.value == pytest.approx(one.value, rel=1e-8)
    assert other.grads == pytest.approx(one.grads, rel=1e-6)
