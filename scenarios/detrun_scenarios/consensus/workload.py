"""How much clients ask of the cluster, what happens to it meanwhile, and how parameters become its settings.

A *small* run is for campaigns: everything that can go wrong, in two thousand steps (`faults`). A *medium* one is a
sample of a loss: clients of five servers, and for the unavailability a leader that crashes twice. A *large* one is the
medium one for longer, with faults and an operator, so that every mechanism is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio

import detrun
from detrun.world import FaultPlan, inject
from detrun_scenarios.consensus.bugs.table import BUGS
from detrun_scenarios.consensus.client import Habits
from detrun_scenarios.consensus.cluster import Layout, cluster
from detrun_scenarios.consensus.losses import losses_of
from detrun_scenarios.consensus.operator import operate, replace_members
from detrun_scenarios.consensus.outages import crash_leaders, reap_leaders
from detrun_scenarios.consensus.replica import RIGHT
from detrun_scenarios.consensus.roles import declare_roles
from detrun_scenarios.consensus.settings import Settings
from detrun_scenarios.consensus.variants import VARIANTS
from detrun_scenarios.frame.declaration import Losses, Program, Setting, Size

DRIFT = 0.2
READ_SHARE = 0.8  # of the operations, where the latency of reads is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One size.

    Attributes:
        crashes: how often the leader crashes, where the unavailability is measured.
        actions: how often the operator does something.
        is_harsh: whether settings are drawn: time-outs close to each other, narrow links; and leaders are reaped.
        members: that the operator makes the voters, once; empty for an operator who does as drawn.
        factors, fixed: of a variant, see `Variant`.
        mixes_reads: whether some reads are confirmed by a round of heartbeats; else a lease is enough for all.
    """

    layout: Layout
    habits: Habits
    snapshot_entries: int
    crashes: int = 0
    actions: int = 0
    is_harsh: bool = False
    members: tuple[str, ...] = ()
    factors: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    mixes_reads: bool = False


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(
        layout=Layout(servers=3, spares=1, clients=3, readers=1, drift=DRIFT),
        habits=Habits(operations=12, think_seconds=0.03, read_share=0.4, retry_seconds=0.06, keys=2),
        snapshot_entries=8,
        actions=4,
        is_harsh=True,
    ),
    "medium": Workload(
        layout=Layout(clients=4),
        habits=Habits(operations=20, read_share=0.2),
        snapshot_entries=64,
        crashes=2,
    ),
    "large": Workload(
        layout=Layout(clients=8, spares=1, drift=0.01),
        habits=Habits(operations=440, think_seconds=0.02),
        snapshot_entries=128,
        crashes=3,
        actions=24,
        mixes_reads=True,
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
        layout=replace(found.layout, **change.layout),
        habits=replace(found.habits, **change.habits),
        actions=0,
        is_harsh=False,
        members=change.members,
        factors=change.factors,
        fixed=change.settings,
    )


def settings_of(params: Mapping[str, Any], workload: Workload) -> Settings:
    """The settings that parameters stand for.

    A run of a campaign draws the others, and waits shorter than it should: what differs from run to run finds more.
    """
    drawn: dict[str, Any] = {}
    if workload.is_harsh:
        drawn = {
            "has_leases": _coin("has leases"),
            "append_entries_max": 1 if _coin("append entries") else 64,
            "bandwidth": 20_000.0 if _coin("bandwidth") else 1e6,
        }
    params = {**params, **{name: params[name] * factor for name, factor in workload.factors.items()}}
    found = Settings(
        election_timeout=params["election_timeout"],
        election_spread=params["election_spread"] * (0.1 if workload.is_harsh and _coin("spread") else 1.0),
        lease_margin=params["lease_margin"],
        heartbeat_interval=params["heartbeat_interval"],
        batch_delay=params["batch_delay"],
        batch_size=params["batch_size"],
        weights={name: params[f"weight_{name}"] for name in workload.layout.names if f"weight_{name}" in params},
        snapshot_entries=workload.snapshot_entries,
        **drawn,
    )
    return replace(found, **workload.fixed)


def _coin(what: str) -> bool:
    return bool(detrun.bernoulli(0.5, key=f"setting {what}"))


def program(setting: Setting) -> Program:
    """The cluster for a setting."""
    workload = workload_of(setting.size, setting.variant)
    parts = RIGHT if setting.bug is None else BUGS[setting.bug]
    faults = FaultPlan() if setting.faults is None else setting.faults
    habits = workload.habits
    measures_reads = setting.loss == "read_latency"
    if measures_reads:
        habits = replace(habits, read_share=READ_SHARE)
    measures_outages = setting.loss == "unavailability"
    crashes = workload.crashes if setting.loss in (None, "unavailability") and setting.size != "small" else 0

    async def run(params: Mapping[str, Any]) -> Losses:
        mixed = measures_reads or workload.mixes_reads
        of_clients = replace(habits, lease_share=params["lease_share"]) if mixed else habits
        async with cluster(workload.layout, settings_of(params, workload), parts) as found:
            declare_roles(found)
            outages: list[Any] = []
            async with inject(faults, found.world, allow_no_effect=True), trio.open_nursery() as operator:
                if workload.members:
                    operator.start_soon(replace_members, found, workload.members)
                elif setting.loss is None:
                    operator.start_soon(operate, found, 0.4, workload.actions)
                if workload.is_harsh and setting.faults is not None and _coin("reaper"):
                    operator.start_soon(reap_leaders, found, 8, 0.05, 0.1)
                clients = [] if measures_outages else found.start_clients(of_clients)
                if crashes:
                    outages = await crash_leaders(found, crashes, 0.3, ends_there=measures_outages)
                for client in clients:
                    await client.ended()
                operator.cancel_scope.cancel()
            found.check_history()
            if setting.faults is not None:
                await detrun.liveness(found.has_converged, within=5.0)
            return losses_of(found, outages)

    return run
