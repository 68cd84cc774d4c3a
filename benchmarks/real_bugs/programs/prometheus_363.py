"""prometheus_client counts collections in a callback of the collector, with locks that the interrupted code may hold.

Reported: https://github.com/prometheus/client_python/issues/363; in 0.5.0, fixed in 0.6.0. A deadlock of a thread with
itself, by the garbage collector.

A service counts requests in one thread and shows the metrics in another. Whenever the collector runs, both go on.
"""

import threading

from prometheus_client import REGISTRY, Counter, generate_latest

REQUESTS = Counter("requests", "Requests served", ["path"])


def main() -> None:
    def serve() -> None:
        for path in ("/a", "/b"):
            REQUESTS.labels(path).inc()

    def show() -> None:
        assert b"requests" in generate_latest(REGISTRY)

    threads = [threading.Thread(target=serve), threading.Thread(target=show)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
