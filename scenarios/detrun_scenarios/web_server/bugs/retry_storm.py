"""Retries without a budget: an outage of half a second makes an overload that feeds itself and never ends.

Source: Bronson, Aghayev, Charapko and Zhu, "Metastable failures in distributed systems", HotOS 2021.
"""

from __future__ import annotations

from detrun_scenarios.web_server.resilience.retries import Retries


class RetryStorm(Retries):
    """Repeats whatever fails, up to the maximum of each call."""

    def may_retry(self) -> bool:
        """See `Retries.may_retry`."""
        return True  # right: if the budget pays for it
