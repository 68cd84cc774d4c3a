"""psycopg's connection pool is opened twice by two threads: each makes the lock that should keep the other out.

Reported: https://github.com/psycopg/psycopg/issues/1300; in psycopg_pool 3.3.0, fixed in 3.3.1. Check, then act.

Two threads open the pool before they use it, which is allowed ("it is safe to call it again"). The pool starts with
one connection and may have one.
"""

import threading

from psycopg import Connection
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool


class Status:
    transaction_status = TransactionStatus.IDLE


class Offline(Connection):
    """A connection to no server."""

    opened = 0

    def __init__(self):
        self.pgconn = Status()

    @classmethod
    def connect(cls, *args, **options):
        cls.opened += 1
        return cls()

    def close(self):
        pass

    def __del__(self):
        pass


def main() -> None:
    Offline.opened = 0
    pool = ConnectionPool(connection_class=Offline, min_size=1, max_size=1, num_workers=1, open=False)

    threads = [threading.Thread(target=pool.open) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.wait()
    size = pool.get_stats()["pool_size"]
    pool.close()
    assert (size, Offline.opened) == (1, 1), f"a pool of one has {size} connections and opened {Offline.opened}"
