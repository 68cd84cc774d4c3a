"""One contender in a process of its own: ``python -m benchmarks.peers.measured NAME SECONDS SEED``.

Prints one line of JSON: how many schedules were run in how many CPU seconds of the whole process. A short exploration
comes first and tells how many schedules fit into ``SECONDS``; the measured one is a single exploration of so many. What
is on standard output before that line is the library's own.
"""

from __future__ import annotations

import json
import platform
import sys
import time

from benchmarks.peers.contenders import BY_NAME

WARM_UP_SCHEDULES = 20


def measure(name: str, seconds: float, seed: int) -> dict[str, float | str]:
    """Schedules and CPU seconds of the contender ``name`` in this process."""
    explore = BY_NAME[name].explore
    explore(WARM_UP_SCHEDULES, seed)
    start = time.process_time()
    explore(WARM_UP_SCHEDULES, seed + 1)
    rate = WARM_UP_SCHEDULES / max(time.process_time() - start, 1e-6)
    count = max(WARM_UP_SCHEDULES, int(rate * seconds))
    start = time.process_time()
    done = explore(count, seed + 2)
    return {"schedules": done, "cpu_seconds": time.process_time() - start, "python": platform.python_version()}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))
