"""`functools.cached_property` holds one lock for all instances of a class while it computes.

Reported: https://github.com/python/cpython/issues/87634; in Python 3.11, fixed in 3.12. A deadlock.

Each row of a table loads its details once, and takes the connection for that. Another thread holds the connection
already when it reads the details of another row.
"""

import threading
from functools import cached_property


class Row:
    def __init__(self, connection: threading.RLock) -> None:
        self.connection = connection

    @cached_property
    def details(self) -> str:
        with self.connection:
            return "details"


def main() -> None:
    connection = threading.RLock()
    first, second = Row(connection), Row(connection)

    def read() -> None:
        assert first.details == "details"

    def read_in_transaction() -> None:
        with connection:
            assert second.details == "details"

    threads = [threading.Thread(target=read), threading.Thread(target=read_in_transaction)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
