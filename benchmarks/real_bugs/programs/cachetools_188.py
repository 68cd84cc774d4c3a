"""cachetools' `cached` gives two threads two different results for one key, and keeps only the second.

Reported: https://github.com/tkem/cachetools/pull/188; in 4.1.1, fixed in 4.2.0. Check, then act.

Two threads ask for the expensive resource that a cached function makes. The cache is there so that they share it.
"""

import threading

from cachetools import LRUCache, cached


class Resource:
    """A thing to have once."""


def main() -> None:
    @cached(LRUCache(maxsize=10), lock=threading.Lock())
    def resource(name: str) -> Resource:
        return Resource()

    taken: list[Resource] = []

    def use() -> None:
        taken.append(resource("printer"))

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken[0] is taken[1] is resource("printer")
