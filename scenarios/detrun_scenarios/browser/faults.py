"""What goes wrong while pages load: links that lose, delay or hold back segments, or are cut; a server that stops.

No connection is reset: a resource would then be asked for again, rightly.
"""

from __future__ import annotations

from detrun.world import Clog, FaultPlan, LinkLatency, Loss, Partition, Pause
from detrun_scenarios.browser.network.server import BROWSER, SERVER

TROUBLE = FaultPlan(
    (
        Loss(rate=0.2, between=(0.1, 0.8), lasts_seconds=0.2, probability=0.3),
        LinkLatency(mean_seconds=0.05, between=(0.1, 0.8), lasts_seconds=0.2, probability=0.3),
        Clog(source=SERVER, destination=BROWSER, between=(0.1, 0.8), lasts_seconds=0.15, probability=0.3),
        Partition(groups=((SERVER,), (BROWSER,)), between=(0.1, 0.8), lasts_seconds=0.1, probability=0.2),
        Pause(node=SERVER, between=(0.1, 0.8), lasts_seconds=0.15, probability=0.2),
    )
)
"""All kinds; about one or two of them in a run."""
