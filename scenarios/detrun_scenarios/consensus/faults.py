"""What goes wrong while a campaign looks for bugs.

A swarm of crashes, power losses, pauses, partitions and bad links, of which at most one server at a time is the victim:
three servers need two. Disks forget what was not synced and otherwise keep their promises, for Raft does not claim to
survive a disk that lies. Clocks are wrong from the start (`Layout.drift`): by up to a fifth, which is more than any
quartz is, so that a lease that trusts them fails soon.
"""

from __future__ import annotations

from detrun.world import ClockDrift, FaultPlan, LinkLatency, Partition, PowerLoss, Swarm
from detrun.world.faults.kinds import PlannedFault

SWARM = Swarm(
    nodes=("server1", "server2", "server3", "server4"),
    seconds=1.5,
    faults=10,
    down_max=1,
    mean_seconds=0.25,
    weights={"disk_error": 0.0, "disk_damage": 0.0, "clock": 0.0, "buggify": 0.0, "reset": 0.0, "bandwidth": 0.0},
)


def _others(name: str) -> tuple[str, ...]:
    return tuple(other for other in SWARM.nodes if other != name)


def _cuts() -> list[PlannedFault]:
    return [
        Partition(
            groups=((name,), _others(name)),
            between=(0.2 + 0.4 * place, 0.25 + 0.4 * place),
            lasts_seconds=0.35,
            allow_no_effect=True,
        )
        for place, name in enumerate(SWARM.nodes[:3])
    ]


CUTS = FaultPlan(tuple(_cuts()))
"""One server after the other is cut off from the others, and from no client, for longer than an election takes."""

DRIFTS = FaultPlan(
    (
        *_cuts(),
        *(
            ClockDrift(
                node=node,
                rate=-0.2 if node == name else 0.2,
                at=0.1 + 0.4 * place,
                lasts_seconds=0.4,
                allow_no_effect=True,
            )
            for place, name in enumerate(SWARM.nodes[:3])
            for node in SWARM.nodes[:3]
        ),
    )
)
"""The same, and the clock of the one that is cut off is slow while those of the others are fast."""

SLOW = LinkLatency(mean_seconds=0.02, at=0.0, lasts_seconds=2.5, allow_no_effect=True)

OUTAGES = FaultPlan(
    (
        SLOW,
        Partition(groups=(("server1",), ("server2",)), at=0.0, lasts_seconds=2.5, allow_no_effect=True),
        *(
            PowerLoss(
                node="server3",
                between=(0.12 + 0.15 * turn, 0.27 + 0.15 * turn),
                down_seconds=0.003,
                allow_no_effect=True,
            )
            for turn in range(12)
        ),
    )
)
"""Two servers see a third one only, whose power fails for an instant again and again, on slow links."""

SLOW_LINKS = FaultPlan((SLOW,))
"""Elections and appends take long, so that leaders that are reaped leave work half done."""
