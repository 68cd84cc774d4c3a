"""urllib3's pool manager closes a pool of connections that another thread was just given.

Reported: https://github.com/urllib3/urllib3/issues/1252; in 1.26.15, fixed in 1.26.16. Use after close.

A manager keeps one pool at a time. Two threads fetch from two hosts; each makes the other's pool leave the manager,
which must not keep the other one from using it.
"""

import io
import threading

from urllib3 import PoolManager
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool


class Socket:
    """To a server that always says the same."""

    def sendall(self, data):
        pass

    def makefile(self, mode):
        return io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    def settimeout(self, seconds):
        pass

    def close(self):
        pass


class Connection(HTTPConnection):
    def _new_conn(self):
        return Socket()


class Pool(HTTPConnectionPool):
    ConnectionCls = Connection


def main() -> None:
    manager = PoolManager(num_pools=1)
    manager.pool_classes_by_scheme = {"http": Pool}

    def fetch(host: str) -> None:
        assert manager.request("GET", f"http://{host}/").data == b"hello"

    threads = [threading.Thread(target=fetch, args=(host,)) for host in ("a.example", "b.example")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
