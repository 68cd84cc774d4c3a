"""A pool that lends a connection again on which an answer is due: the next borrower reads the answer of the one before.

A library with this error mixed the data of users in March 2023 (redis-py, issue 2624): a request was cancelled between
its command and the answer, and the connection went back to the pool.
"""

from __future__ import annotations

from detrun_scenarios.web_server.backend.connection import DatabaseConnection
from detrun_scenarios.web_server.resilience.pool import ConnectionPool


class MixedResponses(ConnectionPool):
    """Looks only whether a connection is open."""

    def may_lend_again(self, connection: DatabaseConnection) -> bool:
        """See `ConnectionPool.may_lend_again`."""
        return connection.is_open  # right: also, that no answer is due
