"""One library after one bug in its own process: ``python -m benchmarks.peers.hunted TOOL BUG SCHEDULES SECONDS``.

Prints a line of JSON for each seed, as it goes, so that what was found before a library hangs is not lost. Ends when
all seeds are done, when the CPU seconds are over, or when a run has hung, since its threads may still be about. The
libraries know real time only: they are given `PATIENCE` times what is left, for a machine with other work to do.
"""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks.bugs.catalogue import bug
from benchmarks.peers.hunters import BY_NAME, CannotExpress

SEEDS = 20
PATIENCE = 3.0


def main(tool_name: str, bug_name: str, schedules: int, seconds: float) -> None:
    """Hunt with each seed."""
    tool, hunted = BY_NAME[tool_name], bug(bug_name)
    began = time.process_time()
    for seed in range(SEEDS if tool.has_seed else 1):
        start = time.process_time()
        left = seconds - (start - began)
        if left <= 0:
            break
        try:
            hunt = tool.hunt(hunted, schedules, seed, PATIENCE * left)
        except CannotExpress as reason:
            say({"cannot": str(reason)})
            return
        say({"seed": seed, **hunt.as_json(), "cpu_seconds": time.process_time() - start})
        if not hunt.is_sure:
            break


def say(line: dict[str, object]) -> None:
    """One line for the parent."""
    print("hunt " + json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    sys.stdout.flush()
    os._exit(0)  # threads that hang must not keep the process
