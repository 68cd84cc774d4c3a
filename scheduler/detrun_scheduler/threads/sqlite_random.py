"""SQLite's own generator, seeded by the run: for ``random()`` in SQL and for the numbers in journals.

All connections of a process share it, and SQLite takes its seed from the system. From the first connection of a run to
the run's end it has a seed of the run's, by ``SQLITE_TESTCTRL_PRNG_SEED``. That needs ctypes to reach the library that
``sqlite3`` uses; otherwise the generator stays as it is.

Source: sqlite3.h and random.c of SQLite.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from detrun_scheduler.environment.seeding import seed_for_c
from detrun_scheduler.threads.threads import Threads

_PRNG_SEED = 28  # SQLITE_TESTCTRL_PRNG_SEED
_seeded_run = -1  # serial of the last run that has seeded it


def library() -> Any:
    """The SQLite library that ``sqlite3`` uses, by ctypes; where it cannot be reached its functions are missing."""
    return _loaded(getattr(sys.modules["_sqlite3"], "__file__", None))


@lru_cache(maxsize=1)
def _loaded(path: str | None) -> Any:
    import ctypes

    return ctypes.CDLL(path)  # a class of functions comes with each, in a cycle of garbage


def begin(threads: Threads) -> None:
    """Seed it for the run, unless that was done."""
    global _seeded_run
    if _seeded_run != threads.run.serial:
        _seeded_run = threads.run.serial
        _seed(seed_for_c(b"sqlite"))
        threads.at_end.append(_forget)


def _forget() -> None:
    _seed(0)  # from the system, at the next use


def _seed(number: int) -> None:
    import ctypes  # not before a run uses SQLite: it takes 3 ms

    control = getattr(library(), "sqlite3_test_control", None)
    if control is not None:
        control(_PRNG_SEED, ctypes.c_int(number), ctypes.c_void_p(None))
