"""What a run costs: each loss a number of a cluster that has done its work.

- ``commit_latency``: mean seconds from a client's request to its answer, of writes.
- ``read_latency``: the same for reads, which a leader answers at once while it has a lease.
- ``unavailability``: mean seconds from the crash of a leader to the first commitment of the next one.
- ``messages_per_commit``: messages between servers, heartbeats included, for each committed entry. A count: it moves
  only where some message is sent or is not.
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.consensus.cluster import Cluster
from detrun_scenarios.frame.measured import mean


def losses_of(cluster: Cluster, outages: list[Any]) -> dict[str, Any]:
    """All losses of a run; 0 for one that nothing was measured for."""
    return {
        "commit_latency": mean(cluster.observed.latencies),
        "read_latency": mean(cluster.observed.read_latencies),
        "unavailability": mean(outages),
        "messages_per_commit": cluster.messages / max(cluster.invariants.commits, 1),
    }
