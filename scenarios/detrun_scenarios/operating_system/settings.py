"""What a machine can be tuned by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.memory.settings import MemorySettings
from detrun_scenarios.operating_system.storage.settings import StorageSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The numbers of one machine; seconds where nothing else is said.

    Attributes:
        call_seconds: of a core, for each call into the kernel; a Value.
        watch_interval: between two looks of the watchdog.
    """

    cpu: CpuSettings = field(default_factory=CpuSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    call_seconds: Any = 5e-7
    watch_interval: float = 0.004
