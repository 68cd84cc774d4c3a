"""How much clients ask of the database, what happens to it meanwhile, and how parameters become its settings.

A *small* run is for campaigns: three clients, few frames, faults, and a look at everything after a power loss. A
*medium* one is a sample of a loss: more clients and no faults but the power losses whose recovery is measured. A
*large* one is the same for longer, with both mixes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio

import detrun
from detrun.world import FaultPlan, inject
from detrun_scenarios.database.bugs.table import BUGS
from detrun_scenarios.database.checks.watch import Watch
from detrun_scenarios.database.database import Database, database
from detrun_scenarios.database.invariants import check, check_replica, committed_rows
from detrun_scenarios.database.losses import losses_of
from detrun_scenarios.database.parts import RIGHT, Parts
from detrun_scenarios.database.server.application import Application
from detrun_scenarios.database.server.machine import Hardware
from detrun_scenarios.database.settings import Settings
from detrun_scenarios.database.storage.replacement import POLICIES
from detrun_scenarios.database.transactions.transaction import Transaction
from detrun_scenarios.database.workload.bank import Bank
from detrun_scenarios.database.workload.mixes import EVEN_SHARES, SHARES, tpcc_mix
from detrun_scenarios.database.workload.skewed import Skew
from detrun_scenarios.database.workload.terminals import Ask, Habits
from detrun_scenarios.database.workload.tpcc import Scale, tpcc
from detrun_scenarios.database.workload.variants import VARIANTS
from detrun_scenarios.frame.declaration import Losses, Program, Setting, Size

PLAN_TEMPERATURE = 0.1  # where reads are measured, so that the constants of costs have a smooth effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One size.

    Attributes:
        lines_max: of an order.
        shares: of the transactions.
        crashes: how often the power of the server goes, where recovery is measured.
        readers, reads: clients of the skewed mix, and what each of them does; none in a small run.
        fixed: settings that are no parameters.
        hardware: of the server, and the network.
        bank: of a variant: another application, in place of the mix like TPC-C's.
        is_harsh: whether some settings are drawn.
        has_replica: whether a replica follows, and all is compared with it in the end; a harsh run draws it.
        is_watched: whether all is checked (`checks`), which takes room and time.
        ends_without_power: whether the power goes once more before all is looked at.
    """

    scale: Scale
    clients: int
    habits: Habits
    lines_max: int
    shares: Mapping[str, float]
    fixed: Mapping[str, Any]
    crashes: int = 0
    readers: int = 0
    reads: Habits = field(default_factory=Habits)
    skew: Skew = field(default_factory=Skew)
    hardware: Hardware = field(default_factory=Hardware)
    bank: Bank | None = None
    is_harsh: bool = False
    has_replica: bool = False
    is_watched: bool = False
    ends_without_power: bool = True

    def application(self) -> Application:
        """What the server is set up with."""
        return tpcc(self.scale) if self.bank is None else self.bank.application()

    def ask(self) -> Ask:
        """What clients ask for."""
        if self.bank is not None:
            return self.bank.ask()
        return tpcc_mix(self.scale, self.shares, self.lines_max)


WORKLOADS: dict[Size, Workload] = {
    "small": Workload(
        scale=Scale(),
        clients=3,
        habits=Habits(transactions=6, think_seconds=0.01, patience_seconds=0.2),
        lines_max=3,
        shares=EVEN_SHARES,
        fixed={"sessions_max": 6, "frames": 0},
        is_harsh=True,
        is_watched=True,
    ),
    "medium": Workload(
        scale=Scale(warehouses=2, districts=3, customers=5, items=20),
        clients=6,
        habits=Habits(transactions=17, think_seconds=0.005),
        lines_max=4,
        shares=SHARES,
        fixed={"sessions_max": 6, "frames": 80},
        crashes=1,
        readers=2,
        reads=Habits(transactions=100, think_seconds=0.002),
    ),
    "large": Workload(
        scale=Scale(warehouses=2, districts=5, customers=10, items=50),
        clients=10,
        habits=Habits(transactions=80, think_seconds=0.01),
        lines_max=8,
        shares=SHARES,
        fixed={"sessions_max": 20, "frames": 256},
        crashes=3,
        has_replica=True,
        readers=4,
        reads=Habits(transactions=250, think_seconds=0.002),
        skew=Skew(rows=600),
    ),
}


def workload_of(size: Size, variant: str) -> Workload:
    """The workload of a size; the small one, in which bugs are looked for, changed as a variant says."""
    found = WORKLOADS[size]
    if not variant or size != "small":
        return found
    change = VARIANTS[variant]
    return replace(
        found,
        **change.workload,
        habits=replace(found.habits, **change.habits),
        fixed={**found.fixed, "vacuum_interval": None, **change.settings},
        is_harsh=False,
    )


def settings_of(params: Mapping[str, Any], workload: Workload) -> Settings:
    """The settings that parameters stand for. A run of a campaign draws those that are no parameters."""
    drawn: dict[str, Any] = {}
    if workload.is_harsh:
        drawn = {
            "level": detrun.choice(["serializable", "2pl"], key="level"),
            "policy": detrun.choice(sorted(POLICIES), key="policy"),
            "vacuum_interval": 0.02,
        }
        params = {**params, "checkpoint_interval": params["checkpoint_interval"] * 0.5}
    return Settings(**{**workload.fixed, **drawn, **params})


def program(setting: Setting) -> Program:
    """The database for a setting."""
    workload = workload_of(setting.size, setting.variant)
    parts = RIGHT if setting.bug is None else BUGS[setting.bug]
    faults = FaultPlan() if setting.faults is None else setting.faults

    async def run(params: Mapping[str, Any]) -> Losses:
        losses: dict[str, Any] = {}
        if setting.loss != "read_latency":
            losses = await _supply(setting, workload, settings_of(params, workload), parts, faults)
        if setting.loss == "read_latency" or (setting.loss is None and workload.readers):
            is_alone = setting.loss is not None
            losses["read_latency"] = await _read(workload, settings_of(params, workload), parts, is_alone)
        return {"read_latency": 0.0, **losses}

    return run


async def _supply(
    setting: Setting, workload: Workload, settings: Settings, parts: Parts, faults: Any
) -> dict[str, Any]:
    """The mix like TPC-C's."""
    recoveries: list[Any] = []
    measures_recovery = setting.loss in (None, "recovery_time")
    watch = Watch() if workload.is_watched else None
    async with database(workload.hardware, settings, workload.application(), parts, watch) as found:
        has_replica = (workload.has_replica and setting.loss is None) or setting.loss == "replica_lag"
        if workload.is_harsh:
            has_replica = bool(detrun.bernoulli(0.3, key="replica"))
        if has_replica:
            found.start_replica()
        async with inject(faults, found.world, allow_no_effect=True), trio.open_nursery() as operator:
            await found.ready()
            before = found.bytes_written
            clients = found.start_clients(workload.clients, workload.ask(), workload.habits)
            if workload.crashes and measures_recovery:
                if setting.loss is not None:
                    return {"recovery_time": await _crash(found, workload.crashes, recoveries)}
                operator.start_soon(_crash, found, workload.crashes, recoveries)
            for client in clients:
                await client.ended()
            written, lag = found.bytes_written - before, found.replica_lag
            operator.cancel_scope.cancel()
        if setting.loss is None:
            if workload.ends_without_power or not found.node.is_running:
                recoveries.append(await found.restart())
            await found.ready()
            await check(found.server.store, found.observed)
            if has_replica:
                await found.caught_up()
                primary = await committed_rows(Transaction(found.server.store, "snapshot"))
                check_replica(await committed_rows(await found.replicas[-1].reader()), primary)
        return losses_of(found.observed.latencies, recoveries, written, lag)


async def _crash(found: Database, crashes: int, recoveries: list[Any]) -> Any:
    """Cut the power so often, each time after a drawn while; the mean of the seconds that recovery took."""
    for _ in range(crashes):
        await trio.sleep(0.04 + detrun.uniform(0.0, 0.08))
        recoveries.append(await found.restart())
    return detrun.mean(recoveries)


async def _read(workload: Workload, settings: Settings, parts: Parts, is_alone: bool) -> Any:
    """The skewed mix; the mean of its latencies.

    Args:
        is_alone: it is the loss of the run. Each read is a cost then, so that the draw of a plan does not answer for
            the reads before it, and 0 remains.
    """
    skew = workload.skew
    settings = replace(
        settings,
        page_bytes=512,
        frames=skew.frames,
        sessions_max=workload.readers,
        plan_temperature=PLAN_TEMPERATURE,
    )
    async with database(Hardware(), settings, skew.application(), parts) as found:
        await found.ready()
        if is_alone:
            found.observed.cost_share = 1.0 / (workload.readers * workload.reads.transactions)
        for client in found.start_clients(workload.readers, skew.ask(), workload.reads):
            await client.ended()
        return 0.0 if is_alone else detrun.mean(found.observed.latencies)
