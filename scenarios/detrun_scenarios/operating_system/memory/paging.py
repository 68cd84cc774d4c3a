"""`Paging`: what address spaces share: frames and how they are freed, the swap area, what cores remember."""

from __future__ import annotations

from detrun_scenarios.operating_system.memory.frames import Frames
from detrun_scenarios.operating_system.memory.reclaim import Reclaim
from detrun_scenarios.operating_system.memory.settings import MemorySettings
from detrun_scenarios.operating_system.memory.swap import SwapArea
from detrun_scenarios.operating_system.memory.translation import Translations
from detrun_scenarios.operating_system.storage.device import BlockDevice


class Paging:
    """See the module."""

    def __init__(self, settings: MemorySettings, device: BlockDevice, cores: int) -> None:
        self.settings = settings
        self.frames = Frames(settings.frames)
        self.reclaim = Reclaim(settings, self.frames)
        self.swap = SwapArea(device, settings.swap_pages)
        self.translations = Translations(cores, settings.translations, settings.interrupt_seconds)
