"""zict's LRU mapping breaks its own heap when two threads read one key.

Reported: https://github.com/dask/zict/issues/69; in 2.2.0, fixed in 3.0.0. A structure that two threads repair at once.

Two threads read what is there. Reading must not fail, and the mapping must go on working.
"""

import threading

from zict import LRU


def main() -> None:
    cache = LRU(2, {})
    cache["a"] = 1

    def read() -> None:
        assert cache["a"] == 1

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache["b"], cache["c"] = 2, 3
    assert len(cache) == 2
