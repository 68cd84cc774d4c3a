"""`Translations`: what each core remembers of page tables (its TLB), and how it is made to forget.

A core asks no table for a page that it has looked up before. So a page that leaves must be forgotten by every core
before its frame is used otherwise, or before what is in it counts as final: until then a core goes on reading and
writing there. The core that takes the page away sends an interrupt to the others and waits for them (*shootdown*).

Source: Black et al., "Translation lookaside buffer consistency: a software approach", ASPLOS 1989.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeAlias

import detrun
from detrun_scenarios.operating_system.mechanisms import used
from detrun_scenarios.operating_system.memory.frames import Frame

Key: TypeAlias = tuple[int, int]  # number of the address space, page


class Translations:
    """See the module.

    Args:
        entries: of each core; the one whose last use is longest ago is forgotten first.
        interrupt_seconds: until all cores have answered.

    Attributes:
        shootdowns: that had to be waited for.
    """

    def __init__(self, cores: int, entries: int, interrupt_seconds: Any) -> None:
        self.entries = entries
        self.interrupt_seconds = interrupt_seconds
        self.shootdowns = 0
        self._cores: list[OrderedDict[Key, Frame]] = [OrderedDict() for _ in range(cores)]

    def find(self, core: int, key: Key) -> Frame | None:
        """What a core remembers."""
        known = self._cores[core]
        frame = known.get(key)
        if frame is not None:
            known.move_to_end(key)
        return frame

    def learn(self, core: int, key: Key, frame: Frame) -> None:
        """A core has looked a page up."""
        known = self._cores[core]
        known[key] = frame
        if len(known) > self.entries:
            known.popitem(last=False)

    async def shoot_down(self, key: Key) -> None:
        """Return when no core remembers a page, which its table no longer has."""
        if any(key in known for known in self._cores):
            self.shootdowns += 1
            used("core interrupted to forget a page")
            await detrun.sleep(self.interrupt_seconds)
            for known in self._cores:
                known.pop(key, None)

    def forget(self, space: int) -> None:
        """An address space is gone."""
        for known in self._cores:
            for key in [one for one in known if one[0] == space]:
                del known[key]
