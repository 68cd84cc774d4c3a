"""Actions of planned faults: for each kind, the calls that let it begin and those that end it.

`FaultActions.begin` looks at the kind of a fault and calls the same methods that a person would: ``node.crash()``,
``world.partition(…)``, ``link.loss = …``. Faults may overlap. Each link setting and each disk probability is an
*overlay*: the latest active one holds, and what was set before comes back when the last has ended, whatever the order
of ending.
"""

from __future__ import annotations

from detrun.world.faults import kinds as planned
from detrun.world.faults.active_fault import ActiveFault, Overlays
from detrun.world.faults.buggify import buggify_sites
from detrun.world.faults.kinds import FaultPlanError, PlannedFault
from detrun.world.faults.link_actions import LinkActions
from detrun.world.faults.node_actions import NodeActions
from detrun.world.faults.targets import Targets
from detrun.world.network.latency import Constant, Exponential
from detrun.world.world import World

# Settings of links -> the name under which the network counts them.
_RATES = {
    planned.Loss: ("loss", "loss"),
    planned.Duplication: ("duplication", "duplication"),
    planned.Reordering: ("reordering", "reordering"),
    planned.SlowTail: ("slow_tail", "slow tail"),
    planned.Reset: ("reset", "reset"),
}


class FaultActions:
    """Begins faults in one world, and remembers what is to come back."""

    def __init__(self, world: World, targets: Targets) -> None:
        overlays = Overlays()
        self._nodes = NodeActions(world, targets, overlays)
        self._links = LinkActions(world, targets, overlays)

    def begin(self, fault: PlannedFault) -> ActiveFault:
        """Let ``fault`` begin."""
        match fault:
            case planned.Crash() | planned.PowerLoss():
                return self._nodes.take_down(fault)
            case planned.Restart():
                return self._nodes.restart(fault)
            case planned.Upgrade():
                return self._nodes.upgrade(fault)
            case planned.Pause():
                return self._nodes.pause(fault)
            case planned.Resume():
                return self._nodes.resume(fault)
            case planned.Partition():
                return self._links.partition(fault)
            case planned.Clog():
                return self._links.clog(fault)
            case planned.LinkLatency():
                latency = (
                    Exponential(fault.mean_seconds, fault.seconds) if fault.mean_seconds else Constant(fault.seconds)
                )
                return self._links.change(fault, {"latency": latency}, "latency", witness=True)
            case planned.Bandwidth():
                settings = {"bandwidth": fault.bytes_per_second}
                if fault.queue_bytes_max is not None:
                    settings["queue_bytes_max"] = fault.queue_bytes_max
                return self._links.change(fault, settings, "bandwidth", witness=True)
            case planned.Loss() | planned.Duplication() | planned.Reordering() | planned.SlowTail() | planned.Reset():
                setting, counted = _RATES[type(fault)]
                delay = getattr(fault, "delay_seconds", None)
                # The delay comes first: a link reads it when its rate is set.
                before = {f"{setting}_delay": delay} if delay is not None else {}
                return self._links.change(fault, {**before, setting: fault.rate}, counted, witness=False)
            case planned.DiskFault():
                return self._nodes.disk(fault)
            case planned.ClockStep() | planned.ClockSkew() | planned.ClockDrift():
                return self._nodes.clock(fault)
            case planned.Buggify():
                return self._buggify(fault)
        raise FaultPlanError(f"{fault.name}: nothing is known about how to begin a {type(fault).__name__}")

    def _buggify(self, fault: planned.Buggify) -> ActiveFault:
        sites = buggify_sites()
        before = sites.enabled, sites.fires
        sites.enabled, sites.fires = fault.enabled, fault.fires

        def restore() -> None:
            sites.enabled, sites.fires = before

        return ActiveFault(lambda: sum(site.fired for site in sites.by_name.values()), undo=restore)
