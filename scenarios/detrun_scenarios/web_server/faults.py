"""What goes wrong in a campaign: a swarm of crashes, pauses, partitions, resets and bad links.

Every node but that of the clients and the monitor can be struck, one at a time. Each is started again: a server without
its supervisor would only be a server that is gone. Disks and clocks are not used.
"""

from __future__ import annotations

from detrun.world import FaultPlan, Pause, Swarm
from detrun.world.faults.swarm import CLASSES
from detrun_scenarios.web_server.addresses import DATABASE, UPSTREAM, WEB

KINDS = ("crash", "pause", "partition", "clog", "latency", "loss", "duplication", "reordering", "slow_tail", "reset")

SWARM = Swarm(
    nodes=(WEB, DATABASE, UPSTREAM),
    seconds=1.0,
    faults=5,
    down_max=1,
    mean_seconds=0.15,
    weights={name: 0.0 for name in CLASSES if name not in KINDS},
)

PAUSED = FaultPlan((Pause(node=UPSTREAM, between=(0.2, 0.4), lasts_seconds=0.5),))
"""The upstream service stands still for a while, and all who wait for it give up and ask again."""
