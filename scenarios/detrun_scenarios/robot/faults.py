"""What goes wrong while a robot works, each with a probability: links that lose, delay, double and reorder messages or
are cut, and a brain that is stopped for a while.

Nothing happens in the first 0.3 s, in which the clocks are compared. The base never stops: a watchdog that does
not run could not stop anything.
"""

from __future__ import annotations

from detrun.world import Clog, Duplication, FaultPlan, LinkLatency, Loss, Partition, Pause, Reordering
from detrun_scenarios.robot.body.sensors import BRAIN
from detrun_scenarios.robot.brain import BASE

TROUBLE = FaultPlan(
    (
        Loss(rate=0.3, between=(0.3, 1.2), lasts_seconds=0.4, probability=0.4),
        LinkLatency(mean_seconds=0.03, between=(0.3, 1.2), lasts_seconds=0.4, probability=0.4),
        Clog(source=BASE, destination=BRAIN, between=(0.3, 1.2), lasts_seconds=0.25, probability=0.4),
        Duplication(rate=0.3, between=(0.3, 1.2), lasts_seconds=0.4, probability=0.4),
        Reordering(rate=0.3, delay_seconds=0.06, between=(0.3, 1.2), lasts_seconds=0.6, probability=0.4),
        Partition(groups=((BASE,), (BRAIN,)), between=(0.3, 1.2), lasts_seconds=0.3, probability=0.3),
        Pause(node=BRAIN, between=(0.3, 1.2), lasts_seconds=0.2, probability=0.3),
    )
)
"""All kinds; about two or three of them in a run."""

CUT_OFF = FaultPlan((Partition(groups=((BRAIN,), (BASE,)), one_way=True, between=(0.5, 1.0), lasts_seconds=0.6),))
"""Commands no longer come to the base, which is on its way."""

OUTAGE = FaultPlan((Partition(groups=((BRAIN,), (BASE,)), one_way=True, between=(2.0, 4.0), lasts_seconds=0.7),))
"""The same in the middle of a drive, for what is measured of it."""

OVERTAKING = FaultPlan((Reordering(source=BRAIN, destination=BASE, rate=0.3, delay_seconds=0.06, at=0.3),))
"""Commands overtake each other, and the next goal overtakes them."""
