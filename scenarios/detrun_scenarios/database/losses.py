"""What a run costs: each loss a number of a database that has done its work.

- ``mean_latency``: mean seconds from a client's request to its answer, of the mix like TPC-C's.
- ``p99_latency``: the 99th percentile of the same within a run: the time of one of the requests, which is a Value.
- ``bytes_written``: to the log and to the pages, for each transaction. A count: it moves only where something is
  written or is not.
- ``recovery_time``: mean seconds from the moment when the power is back until the server serves.
- ``read_latency``: mean seconds of a read, where few rows get most of the reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from detrun.ad.value import primal_of


def quantile(values: Sequence[Any], share: float) -> Any:
    """The smallest value such that this share of all is no greater; its derivative is that of the one it is.

    Where two change places it has a kink and no jump.
    """
    ordered = sorted(values, key=primal_of)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
