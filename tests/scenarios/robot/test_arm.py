"""The arm's dynamics: its energy changes by what motors and friction do, and by nothing else."""

from __future__ import annotations

import pytest
import trio

import detrun
from detrun_scenarios.robot.body.arm import FRICTION, TORQUE_MAX, Arm

pytestmark = pytest.mark.one_python
STEP_SECONDS = 0.001


@pytest.mark.parametrize("torques", [(0.0, 0.0), (0.3, -0.2), (2.0 * TORQUE_MAX, 0.0)])
def test_kinetic_energy_is_the_work_of_motors_less_that_of_friction(torques: tuple[float, float]) -> None:
    """Work is torque times the angle gone through; friction takes its power by the trapezoidal rule.

    Both rules and the midpoint rule of the arm are of the second order: 1e-4 of the energy that is moved in 0.4 s.
    """

    async def main() -> tuple[float, float, float]:
        arm = Arm()
        arm.speeds = (2.0, -3.0)
        arm.drive(*torques)
        before, lost = arm.kinetic_energy(), 0.0
        at, heat = arm.angles, FRICTION * sum(one * one for one in arm.speeds)
        for _ in range(400):
            await trio.sleep(STEP_SECONDS)
            arm.now()
            heat_before, heat = heat, FRICTION * sum(one * one for one in arm.speeds)
            lost += 0.5 * STEP_SECONDS * (heat_before + heat)
        done = sum(torque * (to - since) for torque, to, since in zip(arm.torques, arm.angles, at, strict=True))
        assert max(map(abs, arm.torques)) <= TORQUE_MAX
        return arm.kinetic_energy() - before, done - lost, abs(done) + lost

    gained, worked, moved = detrun.record(main).result
    assert gained == pytest.approx(worked, abs=1e-4 * moved)
