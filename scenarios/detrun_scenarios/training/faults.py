"""What goes wrong while a training runs, each with a probability.

Workers crash, stand still and are cut off from everyone; links lose, double, delay and reorder messages; a parameter
server loses its power. The role ``parameter_server`` is true of no node of a ring, whose coordinator never fails. The
first tenth of a second, in which workers join, is left alone.
"""

from __future__ import annotations

from detrun.world import (
    Crash,
    Duplication,
    FaultPlan,
    LinkLatency,
    Loss,
    Partition,
    Pause,
    PowerLoss,
    Reordering,
)

BEGINS, ENDS = 0.1, 0.4  # s
_WHEN = (BEGINS, ENDS)

TROUBLE = FaultPlan(
    (
        Crash(node="worker1", between=_WHEN, down_seconds=0.03, probability=0.4),
        Crash(node="worker*", between=_WHEN, down_seconds=0.15, probability=0.4),
        Pause(node="worker2", between=_WHEN, lasts_seconds=0.2, probability=0.2),
        Partition(groups=(("worker3",), ("*",)), between=_WHEN, lasts_seconds=0.2, probability=0.3),
        Loss(rate=0.2, between=_WHEN, lasts_seconds=0.2, probability=0.4),
        Duplication(rate=0.3, between=_WHEN, lasts_seconds=0.2, probability=0.4),
        LinkLatency(mean_seconds=0.02, between=_WHEN, lasts_seconds=0.1, probability=0.3),
        Reordering(rate=0.3, delay_seconds=0.02, between=_WHEN, lasts_seconds=0.2, probability=0.3),
        PowerLoss(node="@parameter_server", between=_WHEN, down_seconds=0.03, probability=0.4),
    )
)
"""All kinds; about three of them in a run."""

LOST_ANSWERS = FaultPlan((Loss(source="server", rate=0.4, between=_WHEN, lasts_seconds=0.1),))
"""Answers of the parameter server are lost, so that pushes come again."""

POWER_CUTS = FaultPlan(
    tuple(PowerLoss(node="@parameter_server", between=(at, at + 0.1), down_seconds=0.01) for at in (0.1, 0.2, 0.3, 0.4))
)
"""The parameter server loses its power again and again."""

CRASHES = FaultPlan(
    tuple(
        Crash(node="worker*", between=(at, at + 0.05), down_seconds=0.005) for at in (0.1, 0.15, 0.2, 0.25, 0.3, 0.35)
    )
)
"""Workers crash, and are up again at once."""

FAILING_SECONDS = 4.0
FAILURES = FaultPlan(
    tuple(
        PowerLoss(node="@parameter_server", between=(0.0, FAILING_SECONDS), down_seconds=0.05, allow_no_effect=True)
        for _ in range(4)
    )
)
"""The parameter server fails once in a second, at random, for what is measured of it."""
