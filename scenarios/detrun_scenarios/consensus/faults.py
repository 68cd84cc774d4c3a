"""What goes wrong while a campaign looks for bugs.

A swarm of crashes, power losses, pauses, partitions and bad links, of which at most one server at a time is the victim:
three servers need two. Disks forget what was not synced and otherwise keep their promises, for Raft does not claim to
survive a disk that lies. Clocks are wrong from the start (`Layout.drift`): by up to a fifth, which is more than any
quartz is, so that a lease that trusts them fails soon.
"""

from __future__ import annotations

from detrun.world import Swarm

SWARM = Swarm(
    nodes=("server1", "server2", "server3", "server4"),
    seconds=1.5,
    faults=10,
    down_max=1,
    mean_seconds=0.25,
    weights={"disk_error": 0.0, "disk_damage": 0.0, "clock": 0.0, "buggify": 0.0, "reset": 0.0, "bandwidth": 0.0},
)
