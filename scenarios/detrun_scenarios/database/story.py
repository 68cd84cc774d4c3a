"""Half a second of a database in which the power goes twice: what the picture of the scenario shows.

Clients ask all the time, a replica follows. The power goes while they do, is away for a while, and the server recovers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import trio

from detrun_scenarios.database.database import Database, database
from detrun_scenarios.database.server.machine import Hardware
from detrun_scenarios.database.workload.mixes import SHARES, tpcc_mix
from detrun_scenarios.database.workload.runs import Workload, settings_of
from detrun_scenarios.database.workload.terminals import Asked, Habits
from detrun_scenarios.database.workload.tpcc import Scale, tpcc

CLIENTS = 6
LOOK_SECONDS = 0.001  # between two samples
DOWN_SECONDS = 0.03
LOSSES_AT = (0.18, 0.40)
END = 0.55
WORKLOAD = Workload(
    scale=Scale(warehouses=2, districts=3, customers=5, items=20),
    clients=CLIENTS,
    habits=Habits(transactions=1_000, think_seconds=0.005, patience_seconds=0.06),
    lines_max=4,
    shares=SHARES,
    fixed={"sessions_max": 8, "frames": 80},
)

State = Literal["off", "recovers", "serves"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server is at one moment.

    Attributes:
        log_begin, log_end, durable: positions in the log: of what is kept, of what there is, of what is on the disk.
        applied: what the replica has of it.
        frames, dirty: pages in memory, and those that have to be written.
    """

    time: float
    state: State
    log_begin: int = 0
    log_end: int = 0
    durable: int = 0
    applied: int = 0
    frames: int = 0
    dirty: int = 0


@dataclass(slots=True)
class Story:
    """See the module. `tell` is its program."""

    samples: list[Sample] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    async def tell(self, params: Mapping[str, Any]) -> None:
        """Let it happen."""
        settings = settings_of(params, WORKLOAD)
        async with database(Hardware(), settings, tpcc(WORKLOAD.scale)) as found, trio.open_nursery() as watching:
            found.start_replica()
            watching.start_soon(self._look, found)
            found.start_clients(CLIENTS, tpcc_mix(WORKLOAD.scale, SHARES, WORKLOAD.lines_max), WORKLOAD.habits)
            for at in LOSSES_AT:
                await trio.sleep_until(at)
                found.node.power_loss()
                await trio.sleep(DOWN_SECONDS)
                found.node.restart()
            await trio.sleep_until(END)
            self.asked = found.observed.asked
            watching.cancel_scope.cancel()

    async def _look(self, found: Database) -> None:
        while True:
            self.samples.append(_sample(found))
            await trio.sleep(LOOK_SECONDS)


def _sample(found: Database) -> Sample:
    now = float(trio.current_time())
    if not found.node.is_running:
        return Sample(now, "off")
    server = found.server if found.servers else None
    if server is None or not server.is_open:
        return Sample(now, "recovers")
    log, frames = server.log, server.pool.frames.values()
    replica = found.replicas[-1] if found.replicas else None
    return Sample(
        now,
        "serves" if server.is_ready else "recovers",
        log.begin,
        log.end,
        log.flushed,
        replica.standby.applied if replica is not None and replica.is_open else 0,
        len(frames),
        sum(frame.recovery_lsn is not None for frame in frames),
    )
