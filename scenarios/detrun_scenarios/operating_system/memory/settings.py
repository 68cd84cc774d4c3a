"""What memory can be tuned by. Numbers that are marked so may be `Value`s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

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
        fault_seconds: of the processor, for each fault; a Value.
    """

    frames: int = 64
    policy: Policy = "clock"
    min_free: Any = 0.02
    low_free: Any = 0.04
    high_free: Any = 0.08
    fault_seconds: Any = 1e-6
