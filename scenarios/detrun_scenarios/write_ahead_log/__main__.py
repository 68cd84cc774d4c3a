"""Every store against every crash state of a small workload: ``python -m detrun_scenarios.write_ahead_log``."""

from __future__ import annotations

import sys

import detrun
from detrun_scenarios.write_ahead_log.bugs import BUGS
from detrun_scenarios.write_ahead_log.crashes import every_crash
from detrun_scenarios.write_ahead_log.store import CORRECT


def main() -> int:
    """Print a verdict for each store; 0 if only the wrong ones are wrong."""
    as_expected = True
    for name, discipline in {"correct": CORRECT, **BUGS}.items():
        verdict = detrun.record(every_crash, discipline, 2, 3, strategy="fifo").result
        print(f"{name}: {verdict}")
        as_expected &= bool(verdict.failures) == (discipline is not CORRECT)
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
