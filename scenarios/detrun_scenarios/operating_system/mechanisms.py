"""The names of what the kernel does for memory, files and the disk, by which it says that it has just done it.

A run of the large workload shows how often each was done; one that is never done would be untested code.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import detrun

Mechanism: TypeAlias = Literal[
    "page of zeros",
    "page read from the swap area",
    "page came back on its way out",
    "core interrupted to forget a page",
    "page swapped out",
    "page dropped without a write",
    "page used since it was chosen to leave",
    "kernel thread freed frames",
    "direct reclaim",
    "page read ahead",
    "page wanted that is being read ahead",
    "writer held back",
    "page written in the background",
    "page synced",
]
"""See `memory.address_space`, `memory.translation`, `memory.reclaim`, `files.cached_files`, `files.write_back`."""

MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)


def used(mechanism: Mechanism) -> None:
    """The kernel has just done this: the run can say how often."""
    detrun.reachable(mechanism)
