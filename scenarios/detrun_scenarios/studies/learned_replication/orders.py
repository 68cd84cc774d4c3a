"""Order statistics of exponential times: how long a quorum takes whose replicas are alike and independent.

The k-th smallest of n exponential times of mean m has the mean ``m (1/n + 1/(n-1) + ... + 1/(n-k+1))``: the least of n
takes m/n, and behind it n - 1 begin anew (Rényi 1953; David and Nagaraja, "Order statistics", section 2.5).
"""

from __future__ import annotations

import math


def mean_of_kth(k: int, n: int, mean: float) -> float:
    """The mean of the k-th smallest of n."""
    return mean * math.fsum(1.0 / (n - index) for index in range(k))


def mean_of_quorum(quorum: float, n: int, mean: float) -> float:
    """Where the quorum is one of two whole numbers, whose mean is given."""
    least = math.floor(quorum)
    below = mean_of_kth(least, n, mean)
    return below if least == quorum else below + (quorum - least) * mean / (n - least)


def mean_of_quorum_by_quorum(quorum: float, n: int, mean: float) -> float:
    """Its derivative, for a quorum between whole numbers: what the next replica takes."""
    return mean / (n - math.floor(quorum))
