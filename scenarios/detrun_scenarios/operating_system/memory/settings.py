"""What memory can be tuned by. Numbers that are marked so may be `Value`s.

The shares are about those that Linux computes for a machine of a few gigabytes, widened for one of some dozen frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from detrun_scenarios.frame.plain import plain

Policy = Literal["clock", "aging", "working_set"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings:
    """The numbers of one machine's memory; seconds where nothing else is said.

    Attributes:
        frames: of a page each.
        policy: by which pages leave memory.
        min_free: share of the frames below which one who wants a frame has to free some (`vm.min_free_kbytes`).
        low_free, high_free: shares: when fewer are free the kernel thread wakes, and it frees until so many are;
            Values.
        swap_pages: of the disk, at its beginning.
        fault_seconds: of the processor, for each fault; a Value.
        translations: that a core remembers.
        walk_seconds: of a core, to look a page up in its table; a Value.
        interrupt_seconds: until all cores have forgotten a page; a Value.
        look_seconds: between two looks of the policy of aging at all marks.
        window_seconds: of the working set.
    """

    frames: int = 64
    policy: Policy = "clock"
    min_free: Any = 0.02
    low_free: Any = 0.04
    high_free: Any = 0.08
    swap_pages: int = 4096
    fault_seconds: Any = 1e-6
    translations: int = 64
    walk_seconds: Any = 3e-8
    interrupt_seconds: Any = 4e-6
    look_seconds: float = 0.02
    window_seconds: float = 0.1

    @property
    def min_frames(self) -> int:
        """Frames of `min_free`, at least 1."""
        return max(1, math.ceil(plain(self.min_free) * self.frames))

    @property
    def low_frames(self) -> int:
        """Frames of `low_free`, more than of `min_free`."""
        return max(self.min_frames + 1, math.ceil(plain(self.low_free) * self.frames))

    @property
    def high_frames(self) -> int:
        """Frames of `high_free`, more than of `low_free`."""
        return max(self.low_frames + 1, math.ceil(plain(self.high_free) * self.frames))
