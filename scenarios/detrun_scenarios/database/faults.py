"""What goes wrong while a campaign looks for bugs: the server's process and power go, and its network is bad.

The disks keep their promises: what was synced stays, and of the rest a power loss leaves any part, torn pages
included. A database claims to survive that and no more.
"""

from __future__ import annotations

from dataclasses import replace

from detrun.world import FaultPlan, Swarm
from detrun.world.faults.swarm import CLASSES

PRIMARY, REPLICA = "primary", "replica"
_KINDS = ("crash", "power_loss", "pause", "clog", "latency", "reset")

SWARM = Swarm(
    nodes=(PRIMARY,),
    seconds=0.2,
    faults=4,
    mean_seconds=0.01,
    weights={name: 0.0 for name in CLASSES if name not in _KINDS},
)

POWER_LOSSES = replace(SWARM, weights={name: 0.0 for name in CLASSES if name != "power_loss"})
"""For what only a disk can do that has lost a part."""

NO_FAULTS = FaultPlan()
"""For what tasks of one process do to each other."""
