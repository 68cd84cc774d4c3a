"""`Base`: the program of the node that rides on the wheels: sensors, actuators, arm servo and watchdog on one core."""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.robot.body.arm import Arm
from detrun_scenarios.robot.body.processor import Processor, Urgency
from detrun_scenarios.robot.body.sensors import BRAIN, Sensors, Vision
from detrun_scenarios.robot.body.vehicle import Vehicle
from detrun_scenarios.robot.geometry.place import Place
from detrun_scenarios.robot.invariants import Monitor
from detrun_scenarios.robot.messages import Command, GoalBegins, TimeAnswer, TimeQuestion
from detrun_scenarios.robot.parts import Parts
from detrun_scenarios.robot.settings import Settings

SERVO_HZ = 100.0
SERVO_SECONDS, COMMAND_SECONDS = 0.0003, 0.0005


class Base:
    """See the module.

    Attributes:
        actuators, watchdog: of the process that runs.
    """

    def __init__(
        self,
        vehicle: Vehicle,
        arm: Arm,
        place: Place,
        settings: Settings,
        monitor: Monitor,
        parts: Parts,
        vision_seconds: float,
    ) -> None:
        node = detrun.this_node()
        self._node, self._arm, self._settings = node, arm, settings
        self._cpu = Processor()
        self.actuators = parts.actuators(node, vehicle, monitor)
        self.watchdog = parts.watchdog(node, self._cpu, self.actuators, settings.watchdog_timeout, monitor)
        vision = Vision(vision_seconds, settings.camera_slice)
        self._sensors = Sensors(node, self._cpu, vehicle, arm, place, vision, monitor.taken)

    async def run(self) -> None:
        """All tasks, until the node stops."""
        async with trio.open_nursery() as nursery:
            sensors = self._sensors
            for sensor in (sensors.watch_wheels, sensors.watch_gyro, sensors.watch_joints, sensors.watch_landmarks):
                nursery.start_soon(sensor, name=sensor.__name__)
            nursery.start_soon(self.watchdog.watch, name="watchdog")
            nursery.start_soon(self._serve_arm, name="servo")
            nursery.start_soon(self._listen, name="listen")

    async def _listen(self) -> None:
        while True:
            message = await self._node.receive()
            if isinstance(message, TimeQuestion):
                self._node.send(BRAIN, TimeAnswer(message.asked, self._node.clock.wall_since_start()))
            elif isinstance(message, GoalBegins):
                self.actuators.begin(message.goal)
            elif isinstance(message, Command):
                await self._cpu.run(Urgency.ACTUATORS, COMMAND_SECONDS)
                self.actuators.carry_out(message)

    async def _serve_arm(self) -> None:
        """Each tick a torque by the angles that are off, and by how fast these have changed since the last tick."""
        settings = self._settings
        before: tuple[Any, Any] = self._arm.now()
        while True:
            await self._node.clock.sleep(1.0 / SERVO_HZ)
            await self._cpu.run(Urgency.ACTUATORS, SERVO_SECONDS)
            angles = self._arm.now()
            wanted = self.actuators.arm_wanted
            torques = [
                stiffness * (goal - angle) - damping * (angle - last) * SERVO_HZ
                for stiffness, damping, goal, angle, last in zip(
                    (settings.shoulder_stiffness, settings.elbow_stiffness),
                    (settings.shoulder_damping, settings.elbow_damping),
                    wanted,
                    angles,
                    before,
                    strict=True,
                )
            ]
            before = angles
            self._arm.drive(*torques)
