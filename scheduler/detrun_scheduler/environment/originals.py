"""Functions that runs replace, as they are outside of runs, for modules of detrun that may be imported late.

A module of detrun keeps what it takes by name, ``from time import monotonic``. One that is first imported in a run, or
between the runs of a campaign (`staying`), would take the replacement. This module is imported with the run loop, which
is before any run.
"""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from time import monotonic

__all__ = ["allocate_lock", "get_ident", "monotonic"]
