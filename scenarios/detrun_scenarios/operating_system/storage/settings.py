"""What files and the disk can be tuned by. Numbers that are marked so may be `Value`s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ElevatorName = Literal["deadline", "fair"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """The numbers of one disk and its cache; seconds where nothing else is said.

    Attributes:
        elevator: by which requests are ordered.
        cache_pages: of files, in memory.
        read_ahead: pages that a sequential reader is ahead of at most; a Value, of which the whole part counts.
        dirty_background: share of the cache that may be dirty before the kernel thread writes
            (`vm.dirty_background_ratio`); a Value.
        dirty_limit: share at which one who writes has to wait (`vm.dirty_ratio`); a Value.
        dirty_age: after so long a dirty page is written (`vm.dirty_expire_centisecs`); a Value.
    """

    elevator: ElevatorName = "deadline"
    cache_pages: int = 128
    read_ahead: Any = 32.0
    dirty_background: Any = 0.10
    dirty_limit: Any = 0.20
    dirty_age: Any = 30.0
