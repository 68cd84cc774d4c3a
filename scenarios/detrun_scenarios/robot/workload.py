"""How long a robot works, what it has to do, and what goes wrong meanwhile.

A *small* run is for campaigns: two reaches and the beginning of a drive, in seconds in which links fail. A *medium* one
is a sample of a loss: a drive through the room, or a reach. A *large* one carries a parcel to and fro for minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio

import detrun
from detrun.world import Exponential, FaultPlan, inject
from detrun.world.nodes.node import Node
from detrun.world.time.clocks import NodeClock
from detrun_scenarios.frame.declaration import Faults, Losses, Program, Setting, Size
from detrun_scenarios.robot.body.arm import Arm
from detrun_scenarios.robot.body.base import Base
from detrun_scenarios.robot.body.sensors import BRAIN
from detrun_scenarios.robot.body.vehicle import Vehicle
from detrun_scenarios.robot.brain import BASE, Brain
from detrun_scenarios.robot.bugs.table import BUGS
from detrun_scenarios.robot.geometry.place import WORKSHOP, Place
from detrun_scenarios.robot.invariants import Monitor
from detrun_scenarios.robot.losses import Meter
from detrun_scenarios.robot.parts import RIGHT, Parts
from detrun_scenarios.robot.planning.symbolic import Action, planned, transport
from detrun_scenarios.robot.settings import Settings, settings_of

LATENCY_SECONDS = 0.003  # mean of a message, on top of half a millisecond
LOSS, SLOW_TAIL, SLOW_SECONDS = 0.01, 0.02, 0.08
SKEW_SECONDS, DRIFT = 0.5, 20e-6  # of a clock, at most
LOOKS_HZ = 25.0
SPEED_SLIP, TURN_SLIP = 0.02, 0.04  # m/s and rad/s, drawn at each look


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One size.

    Attributes:
        seconds: after which the run ends.
        trips: how often the parcel is carried from the shelf to the bench and back.
        skips: actions of the mission that are left out at its beginning.
        is_drawn: whether the run draws the heading in which the robot stands, and whether it begins with a reach.
        vision_seconds: of one picture on the base's processor.
    """

    seconds: float
    start: str = "shelf"
    trips: int = 1
    skips: int = 0
    is_drawn: bool = False
    vision_seconds: float = 0.02
    place: Place = field(default=WORKSHOP)


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(seconds=1.6, is_drawn=True),
    "medium": Workload(seconds=7.0, skips=1),
    "large": Workload(seconds=90.0, trips=6),
}
REACHING = Workload(seconds=1.2)
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "crowded": {"vision_seconds": 0.12, "skips": 1, "is_drawn": False},  # pictures take as long as there is to the next
    "turning": {"skips": 1, "start": "dock", "is_drawn": False},
}
"""By name: what is different from the small workload where some bugs are looked for."""


def mission_of(trips: int, skips: int = 0) -> list[Action]:
    """The parcel is carried to the bench, and back, so many times; each plan by the symbolic planner."""
    actions = transport(WORKSHOP.sites)
    state = frozenset({"robot at shelf", "parcel at shelf", "hand free"})
    found: list[Action] = []
    for trip in range(trips):
        goal = "bench" if trip % 2 == 0 else "shelf"
        for action in planned(state, frozenset({f"parcel at {goal}"}), actions):
            state = action.after(state)
            found.append(action)
    return found[skips:]


@dataclass(slots=True)
class Robot:
    """A robot at work in a world.

    Attributes:
        base, brain: the programs of its nodes, as soon as they run.
    """

    world: detrun.World
    vehicle: Vehicle
    arm: Arm
    monitor: Monitor
    meter: Meter
    base: Base | None = None
    brain: Brain | None = None


def clock_of(node: Node) -> NodeClock:
    """A clock that begins beside the true time and runs a little off its rate."""
    skew = detrun.uniform(-SKEW_SECONDS, SKEW_SECONDS, key=("skew", node.name))
    drift = detrun.uniform(-DRIFT, DRIFT, key=("drift", node.name))
    return NodeClock(node.name, skew=skew, drift=drift)


def unseen(robot: Robot) -> None:
    """What `work` calls if no one is to watch."""


async def work(
    workload: Workload,
    settings: Settings,
    faults: Faults,
    parts: Parts = RIGHT,
    watch: Callable[[Robot], None] = unseen,
) -> Losses:
    """A robot at work in a world of its own.

    Args:
        watch: called at every look from outside.
    """
    latency = Exponential(LATENCY_SECONDS, minimum=0.0005)
    async with detrun.World(
        latency=latency, loss=LOSS, slow_tail=SLOW_TAIL, slow_tail_delay=SLOW_SECONDS, clock=clock_of
    ) as world:
        x, y, heading = workload.place.sites[workload.start]
        if workload.is_drawn:
            heading = detrun.uniform(-math.pi, math.pi, key="heading")
        near = [detrun.normal(0.0, 0.03) for _ in range(3)]
        vehicle, arm = Vehicle(x + near[0], y + near[1], heading + near[2]), Arm()
        monitor = Monitor(vehicle, settings.watchdog_timeout)
        robot = Robot(world, vehicle, arm, monitor, Meter(vehicle, arm, workload.place))
        async with inject(faults, world, allow_no_effect=True):
            _start(robot, (x, y, heading), workload, settings, parts)
            for _ in range(round(workload.seconds * LOOKS_HZ)):
                await trio.sleep(1.0 / LOOKS_HZ)
                vehicle.slide(detrun.normal(0.0, SPEED_SLIP), detrun.normal(0.0, TURN_SLIP))
                monitor.look()
                if robot.brain is not None:
                    robot.meter.look(robot.brain, monitor)
                watch(robot)
    assert robot.base is not None
    return robot.meter.losses(robot.base)


def _start(
    robot: Robot, first: tuple[float, float, float], workload: Workload, settings: Settings, parts: Parts
) -> None:
    """Start both nodes."""
    begins_later = workload.is_drawn and bool(detrun.bernoulli(0.5, key="begins later"))
    mission = mission_of(workload.trips, max(workload.skips, int(begins_later)))

    async def base() -> None:
        robot.base = Base(
            robot.vehicle, robot.arm, workload.place, settings, robot.monitor, parts, workload.vision_seconds
        )
        await robot.base.run()

    async def brain() -> None:
        robot.brain = Brain(first, mission, workload.place, settings, robot.monitor, parts)
        await robot.brain.run()

    robot.world.node(BRAIN).start(brain)
    robot.world.node(BASE).start(base)


def program(setting: Setting) -> Program:
    """The robot for a setting."""
    parts = RIGHT if setting.bug is None else BUGS[setting.bug]
    faults = FaultPlan() if setting.faults is None else setting.faults
    workload = REACHING if setting.loss == "reach_error" else WORKLOADS[setting.size]
    if setting.variant and setting.size == "small":
        workload = replace(workload, **VARIANTS[setting.variant])

    async def main(params: Mapping[str, Any]) -> Losses:
        return await work(workload, settings_of(params), faults, parts)

    return main
