"""What goes wrong while a campaign looks for bugs: a swarm, and for some bugs a plan that drives servers towards them.

The swarm has crashes, power losses, pauses, partitions and bad links, of which at most one server at a time is the
victim: three servers need two. Disks forget what was not synced and otherwise keep their promises, for Raft does not
claim to survive a disk that lies. Clocks are wrong from the start (`Layout.drift`): by up to a fifth, which is more
than any quartz is, so that a lease that trusts them fails soon.

A plan names the role that its victim has in the protocol (`detrun_scenarios.consensus.roles`), because that is what
decides whether a fault can do harm. The right system survives every plan; `variants` has the settings beside it.
"""

from __future__ import annotations

from detrun.world import ClockDrift, FaultPlan, LinkLatency, Partition, PowerLoss, Swarm
from detrun.world.faults.swarm import CLASSES

SERVERS = ("server1", "server2", "server3", "server4")

SWARM = Swarm(
    nodes=SERVERS,
    seconds=1.5,
    faults=10,
    down_max=1,
    mean_seconds=0.25,
    weights={"disk_error": 0.0, "disk_damage": 0.0, "clock": 0.0, "buggify": 0.0, "reset": 0.0, "bandwidth": 0.0},
)

CUT_SECONDS = 0.4
CUTS = tuple(
    Partition(
        groups=(("@leader",), ("server*",)),
        between=(at, at + 0.1),
        lasts_seconds=CUT_SECONDS,
    )
    for at in (0.4, 1.1, 1.8)
)

CUT_LEADERS = FaultPlan(CUTS)
"""Leaders are cut off from the other servers, and from no client, for longer than an election takes."""

DRIFTING_LEADERS = FaultPlan(
    (
        *CUTS,
        *(ClockDrift(node=name, rate=0.2, at=0.0) for name in SERVERS[:3]),
        *(
            ClockDrift(node="@leader", rate=-0.2, at=cut.earliest - 0.1, lasts_seconds=0.2 + CUT_SECONDS)
            for cut in CUTS
        ),
    )
)
"""The same, and the clock of the leader is slow from before it is cut off, while those of the others are fast."""

FORGETFUL_VOTERS = FaultPlan(
    (
        LinkLatency(source="server*", destination="server*", mean_seconds=0.02, at=0.0),
        *(PowerLoss(node="@voter", at=0.2 * turn, down_seconds=0.005) for turn in range(10)),
    )
)
"""On links that let elections take long, servers that have just voted lose their power for an instant."""

FALLEN_LEADERS = FaultPlan(
    tuple(
        PowerLoss(
            node="@leader",
            between=(0.35 * turn, 0.35 * turn + 0.35),
            down_seconds=0.2,
        )
        for turn in range(12)
    )
)
"""Leaders lose their power one after the other, most of them before they have committed anything (figure 3.7)."""

RESTARTS = Swarm(
    nodes=SERVERS,
    seconds=2.5,
    faults=16,
    on_probability=1.0,
    weights={name: 0.0 for name in CLASSES if name not in ("power_loss", "partition")},
    mean_seconds=0.4,
)
"""Servers restart and are cut off in groups of any size, also without a majority, for longer than an election takes."""
