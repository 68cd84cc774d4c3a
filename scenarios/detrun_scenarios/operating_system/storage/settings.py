"""What files and the disk can be tuned by. Numbers that are marked so may be `Value`s.

The defaults are Linux's (`Documentation/admin-guide/sysctl/vm.rst`, `read_ahead_kb` of 128).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from detrun_scenarios.operating_system.storage.deadline import Deadlines
from detrun_scenarios.operating_system.storage.fairness import Budgets
from detrun_scenarios.operating_system.storage.geometry import Geometry

ElevatorName = Literal["deadline", "fair"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """The numbers of one disk and of the pages of files in memory; seconds where nothing else is said.

    Attributes:
        elevator: by which requests are ordered; `deadlines` and `budgets` are its numbers.
        read_ahead: pages that a sequential reader is ahead of at most; a Value, of which the whole part counts.
        dirty_background: share of the frames that may be dirty pages of files before the kernel thread writes
            (`vm.dirty_background_ratio`); a Value.
        dirty_limit: share at which one who writes has to wait (`vm.dirty_ratio`); a Value.
        dirty_age: after so long a dirty page is written (`vm.dirty_expire_centisecs`); a Value.
        flush_interval: between two looks of the kernel thread (`vm.dirty_writeback_centisecs`); a Value.
        copy_seconds: of the processor, for a page between a process and the cache; a Value.
    """

    elevator: ElevatorName = "deadline"
    geometry: Geometry = field(default_factory=Geometry)
    deadlines: Deadlines = field(default_factory=Deadlines)
    budgets: Budgets = field(default_factory=Budgets)
    read_ahead: Any = 32.0
    dirty_background: Any = 0.10
    dirty_limit: Any = 0.20
    dirty_age: Any = 30.0
    flush_interval: Any = 5.0
    copy_seconds: Any = 5e-7
