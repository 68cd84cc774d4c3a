"""What a run costs: each loss a number of a database that has done its work.

- ``mean_latency``: mean seconds from a client's request to its answer, of the mix like TPC-C's.
- ``p99_latency``: the 99th percentile of the same within a run: the time of one of the requests, which is a Value.
- ``bytes_written``: to the log and to the pages, for each transaction. A count: it moves only where something is
  written or is not.
- ``recovery_time``: mean seconds from the moment when the power is back until the server serves.
- ``replica_lag``: mean seconds from when a batch is ready until the replica has applied it.
- ``read_latency``: mean seconds of a read, where few rows get most of the reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detrun_scenarios.frame.measured import mean, quantile


def losses_of(latencies: Sequence[Any], recoveries: Sequence[Any], written: int, lag: Any) -> dict[str, Any]:
    """All but ``read_latency``, which has a run of its own."""
    return {
        "mean_latency": mean(latencies),
        "p99_latency": quantile(latencies, 0.99),
        "bytes_written": written / max(len(latencies), 1),
        "recovery_time": mean(recoveries),
        "replica_lag": lag,
    }
