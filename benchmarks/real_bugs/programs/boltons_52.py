"""boltons' LRU cache forgets a key in one of its two structures when two threads fill it.

Reported: https://github.com/mahmoud/boltons/issues/52; in 15.1.0, fixed in 16.0.0. A lost update.

Two threads put more into the cache than it holds. It has as many entries as allowed, and each is readable.
"""

import threading

from boltons.cacheutils import LRU


def main() -> None:
    cache = LRU(max_size=2)

    def fill(names: str) -> None:
        for name in names:
            cache[name] = name

    threads = [threading.Thread(target=fill, args=(names,)) for names in ("abc", "xyz")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) == 2
    assert all(cache[name] == name for name in list(cache))
