"""Sensors of the base: each a task that wakes by the base's clock, reads, and sends what it read to the brain.

A measurement is stamped when it is taken. The camera then looks for landmarks in its picture for a while, so that its
measurements always come after younger ones of the others. Now and then it is dazzled and sees nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import detrun
from detrun.world.nodes.node import Node
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.body.arm import Arm
from detrun_scenarios.robot.body.processor import Processor, Urgency
from detrun_scenarios.robot.body.vehicle import Truth, Vehicle
from detrun_scenarios.robot.geometry.angles import wrapped
from detrun_scenarios.robot.geometry.place import Place
from detrun_scenarios.robot.messages import Measurement

BRAIN = "brain"
GYRO_HZ, ODOMETRY_HZ, CAMERA_HZ, JOINTS_HZ = 50.0, 25.0, 8.0, 20.0
READING_SECONDS = 0.0002
SEEN_MAX = 3  # landmarks of one picture
SIGHT = 4.5  # m
DAZZLED_SHARE = 0.04  # of the pictures begin a time in which nothing is seen
DAZZLED_PICTURES = 4


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations of what the sensors really do; the filter is told others.

    Attributes:
        bias: of the gyro, drawn once.
    """

    speed: float = 0.03
    turn: float = 0.06
    gyro: float = 0.01
    bias: float = 0.02
    range: float = 0.05
    bearing: float = 0.02
    joint: float = 0.002


USUAL = Noise()


class Sensors:
    """Of one base.

    Args:
        taken: is told of each measurement when it is taken, and of the truth at that moment.
    """

    def __init__(
        self,
        node: Node,
        cpu: Processor,
        vehicle: Vehicle,
        arm: Arm,
        place: Place,
        vision: Vision,
        taken: Callable[[Measurement, Truth], None],
        noise: Noise = USUAL,
    ) -> None:
        self._node, self._cpu = node, cpu
        self._vehicle, self._arm, self._place = vehicle, arm, place
        self._vision, self._taken, self._noise = vision, taken, noise
        self._count = 0

    async def watch_wheels(self) -> None:
        """Odometry: speed and turn of the wheels."""
        while True:
            await self._node.clock.sleep(1.0 / ODOMETRY_HZ)
            at = self._vehicle.now()
            noise = self._noise
            await self.send("odometry", (_noisy(at.speed, noise.speed), _noisy(at.turn, noise.turn)))

    async def watch_gyro(self) -> None:
        """The turn of the body, slipping included, with a bias."""
        bias = detrun.normal(0.0, self._noise.bias)
        while True:
            await self._node.clock.sleep(1.0 / GYRO_HZ)
            turn = self._vehicle.now().turn + self._vehicle.slip[1] + bias
            await self.send("gyro", (_noisy(turn, self._noise.gyro),))

    async def watch_joints(self) -> None:
        """Encoders of the arm."""
        while True:
            await self._node.clock.sleep(1.0 / JOINTS_HZ)
            await self.send("joints", tuple(_noisy(one, self._noise.joint) for one in self._arm.now()))

    async def watch_landmarks(self) -> None:
        """The camera: range and bearing of the nearest landmarks."""
        dazzled = 0
        while True:
            await self._node.clock.sleep(1.0 / CAMERA_HZ)
            dazzled = DAZZLED_PICTURES if detrun.bernoulli(DAZZLED_SHARE) else max(dazzled - 1, 0)
            if not dazzled:
                await self.look()

    async def look(self) -> None:
        """Take a picture, find the landmarks in it, and send what was seen."""
        taken = self._taking("camera", self._seen(self._vehicle.now()))
        await self._cpu.run(Urgency.VISION, *self._vision.slices())
        self._node.send(BRAIN, taken)

    def _seen(self, at: Truth) -> tuple[Any, ...]:
        found = []
        for number, (x, y) in enumerate(self._place.landmarks):
            across, up = x - at.x, y - at.y
            away = detrun.hypot(across, up)
            if away < SIGHT:
                found.append((away, number, detrun.atan2(up, across) - at.heading))
        nearest = sorted(found, key=lambda one: (plain(one[0]), one[1]))[:SEEN_MAX]
        return tuple(
            (number, _noisy(away, self._noise.range), wrapped(_noisy(bearing, self._noise.bearing)))
            for away, number, bearing in nearest
        )

    async def send(self, kind: str, values: tuple[Any, ...]) -> None:
        """Read, and send what was read."""
        taken = self._taking(kind, values)
        await self._cpu.run(Urgency.SENSORS, READING_SECONDS)
        self._node.send(BRAIN, taken)

    def _taking(self, kind: str, values: tuple[Any, ...]) -> Measurement:
        self._count += 1
        measurement = Measurement(kind, self._count, self._node.clock.wall_since_start(), values)
        self._taken(measurement, self._vehicle.now())
        return measurement


@dataclass(frozen=True, slots=True)
class Vision:
    """How the camera computes: it gives the processor back after each slice, which costs a switch.

    Attributes:
        seconds: of one picture.
        slice_seconds: after which other jobs have a chance; may be a Value.
        switch_seconds: that each slice takes longer.
    """

    seconds: float = 0.02
    slice_seconds: Any = 0.004
    switch_seconds: float = 0.0005

    def slices(self) -> list[Any]:
        """The times of the jobs of one picture."""
        whole = math.ceil(self.seconds / plain(self.slice_seconds) - 1e-9)
        jobs = [self.slice_seconds] * (whole - 1)
        return [one + self.switch_seconds for one in [*jobs, self.seconds - self.slice_seconds * (whole - 1)]]


def _noisy(number: Any, deviation: float) -> Any:
    return number + detrun.normal(0.0, deviation)
