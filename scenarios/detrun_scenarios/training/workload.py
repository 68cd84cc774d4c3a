"""How long is trained, by whom, and what goes wrong meanwhile.

A *small* run is for campaigns: three workers for half a second in a ring, and as long with a parameter server, in
worlds of their own. A *medium* one is a sample of a loss, with the one or the other. A *large* one trains for some ten
seconds in either way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio

import detrun
from detrun.world import Exponential, FaultPlan, inject
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.nodes.node import Node
from detrun_scenarios.frame.declaration import Faults, Losses, Program, Setting, Size
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.training.bugs.table import BUGS
from detrun_scenarios.training.faults import FAILING_SECONDS
from detrun_scenarios.training.invariants import Monitor
from detrun_scenarios.training.losses import Meter, validation_loss
from detrun_scenarios.training.model.digits import Shard, digits
from detrun_scenarios.training.model.network import first_weights
from detrun_scenarios.training.model.tensors import one_thread
from detrun_scenarios.training.parameter_server.server import SERVER, ParameterServer
from detrun_scenarios.training.parameter_server.worker import Worker
from detrun_scenarios.training.parts import RIGHT, Parts
from detrun_scenarios.training.ring.coordinator import COORDINATOR, Coordinator
from detrun_scenarios.training.ring.member import Member
from detrun_scenarios.training.settings import Settings, settings_of
from detrun_scenarios.training.speeds import Speed

LATENCY_SECONDS = 0.0005  # mean of a message, on top of a fifth of it
BYTES_PER_SECOND = 4e6
LOSS, DUPLICATION = 0.003, 0.003
FSYNC_SECONDS = 0.001
IMAGE_SECONDS, SLOW_IMAGE_SECONDS = 0.0005, 0.001  # of a fast worker and of the straggler
LOOK_SECONDS = 0.05
SEEDS = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One size.

    Attributes:
        ring_seconds, server_seconds: how long is trained in each way; 0 for not at all.
        workers: two to four, of which the last is a straggler.
        latency_seconds: mean of a message.
        fsync_seconds: mean of an fsync.
    """

    ring_seconds: float
    server_seconds: float
    workers: int = 4
    latency_seconds: float = LATENCY_SECONDS
    fsync_seconds: float = FSYNC_SECONDS

    @property
    def names(self) -> tuple[str, ...]:
        """Of the workers."""
        return tuple(f"worker{number}" for number in range(1, self.workers + 1))

    def disk_of(self, node: Node) -> Disk:
        """A disk that takes time and loses what was not synced."""
        return Disk(node.name, latency=DiskLatency(fsync_seconds=Exponential(self.fsync_seconds)))


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(ring_seconds=0.6, server_seconds=0.5, workers=3),
    "medium": Workload(ring_seconds=1.0, server_seconds=1.0),
    "large": Workload(ring_seconds=12.0, server_seconds=14.0),
}
FAILING = Workload(ring_seconds=0.0, server_seconds=FAILING_SECONDS, workers=2)
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "ring": {"server_seconds": 0.0, "ring_seconds": 1.2},
    "server": {"ring_seconds": 0.0},
    "slow_disk": {"ring_seconds": 0.0, "fsync_seconds": 0.01},
}
"""By name: what is different from the small workload where some bugs are looked for."""


@dataclass(slots=True)
class Training:
    """A training in a world.

    Attributes:
        server: the program of the server's node, as soon as it runs, or ran last.
        seed: of the first weights and of the order of images.
    """

    world: detrun.World
    workload: Workload
    settings: Settings
    parts: Parts
    monitor: Monitor
    meter: Meter
    seed: int
    server: ParameterServer | None = None
    coordinator: Coordinator | None = None
    shards: dict[str, Shard] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.workload.names
        for rank, name in enumerate(names):
            size = self.settings.batch_of(rank, len(names))
            self.shards[name] = Shard(rank, len(names), size, self.seed)

    def speed_of(self, worker: str) -> Speed:
        """How fast it computes."""
        return Speed(SLOW_IMAGE_SECONDS if worker == self.workload.names[-1] else IMAGE_SECONDS)

    # Programs of nodes.

    async def serve(self) -> None:
        """The parameter server's."""
        first = first_weights(self.seed)
        self.server = ParameterServer(first, self.settings, self.monitor, self.meter, self.parts)
        await self.server.run()

    async def work(self, name: str) -> None:
        """Of a worker of the parameter server."""
        shard, speed = self.shards[name], self.speed_of(name)
        await Worker(shard, speed, self.settings, self.monitor, self.meter, self.parts).run()

    async def coordinate(self) -> None:
        """The coordinator's."""
        self.coordinator = Coordinator(self.workload.workers, self.monitor, self.parts)
        await self.coordinator.run()

    async def take_part(self, name: str) -> None:
        """Of a member of the ring."""
        shard, speed, first = self.shards[name], self.speed_of(name), first_weights(self.seed)
        await Member(first, shard, speed, self.settings, self.monitor, self.meter, self.parts).run()


def unseen(training: Training) -> None:
    """What `train` calls if no one is to watch."""


async def train(
    way: str,
    seconds: float,
    workload: Workload,
    settings: Settings,
    faults: Faults,
    parts: Parts = RIGHT,
    watch: Callable[[Training], None] = unseen,
) -> Training:
    """Train for so long, in a world of its own.

    Args:
        way: ``"ring"`` or ``"server"``.
        watch: called at every look from outside.
    """
    latency = Exponential(workload.latency_seconds, minimum=workload.latency_seconds / 5)
    async with detrun.World(
        latency=latency, loss=LOSS, duplication=DUPLICATION, bandwidth=BYTES_PER_SECOND, disk=workload.disk_of
    ) as world:
        seed = int(plain(detrun.uniform(0.0, SEEDS, key="seed")))
        training = Training(world, workload, settings, parts, Monitor(settings), Meter(), seed)
        world.role("parameter_server", lambda node: node.name == SERVER)
        if way == "server":
            world.node(SERVER).start(training.serve)
            for name in workload.names:
                world.node(name).start(training.work, name)
        else:
            world.node(COORDINATOR).start(training.coordinate)
            for name in workload.names:
                world.node(name).start(training.take_part, name)
        async with inject(faults, world, allow_no_effect=True):
            for _ in range(round(seconds / LOOK_SECONDS)):
                await trio.sleep(LOOK_SECONDS)
                training.monitor.look()
                watch(training)
    return training


async def trained(workload: Workload, settings: Settings, faults: Faults, parts: Parts = RIGHT) -> Losses:
    """The losses of both ways, as far as the workload has them."""
    losses: dict[str, Any] = {}
    with one_thread():
        if workload.ring_seconds:
            ring = await train("ring", workload.ring_seconds, workload, settings, faults, parts)
            replica = ring.monitor.replica
            losses["ring_loss"] = validation_loss(first_weights(ring.seed) if replica is None else replica[0])
        if workload.server_seconds:
            server = await train("server", workload.server_seconds, workload, settings, faults, parts)
            losses["validation_loss"] = validation_loss(server.monitor.held)
            losses["bytes_sent"] = server.meter.bytes / workload.server_seconds
            losses["time_lost"] = server.meter.lost_seconds / workload.server_seconds
    return losses


def program(setting: Setting) -> Program:
    """The training for a setting."""
    digits()
    parts = RIGHT if setting.bug is None else BUGS[setting.bug]
    faults = FaultPlan() if setting.faults is None else setting.faults
    workload = WORKLOADS[setting.size]
    if setting.loss == "ring_loss":
        workload = replace(workload, server_seconds=0.0)
    elif setting.loss is not None:
        workload = replace(workload, ring_seconds=0.0)
    if setting.loss == "time_lost":
        workload = FAILING
    if setting.variant and setting.size == "small":
        workload = replace(workload, **VARIANTS[setting.variant])

    async def main(params: Mapping[str, Any]) -> Losses:
        return await trained(workload, settings_of(params), faults, parts)

    return main
