"""psycopg's connection pool drops the connections it starts with when its workers are quicker than its opening.

Reported: https://github.com/psycopg/psycopg/issues/230; in psycopg_pool 3.1.0, fixed in 3.1.1. An order of two steps.

The pool starts its workers before it says that it is open. A worker that takes its first task in between throws the
task away, because the pool is closed. `wait` then waits for connections that never come.
"""

from psycopg import Connection
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool


class Status:
    transaction_status = TransactionStatus.IDLE


class Offline(Connection):
    """A connection to no server."""

    def __init__(self):
        self.pgconn = Status()

    @classmethod
    def connect(cls, *args, **options):
        return cls()

    def close(self):
        pass

    def __del__(self):
        pass


def main() -> None:
    pool = ConnectionPool(connection_class=Offline, min_size=2, num_workers=1)
    try:
        pool.wait(timeout=30)
    finally:
        pool.close()
