"""`Frames`: the memory of the machine, of which each part holds one page of a tenant or is free.

A frame belongs to its tenant from the moment it is taken until it is put back. While it is *busy*, being filled or on
its way out, no other part of the kernel may decide about it.

The marks that hardware keeps in the entry of a page table, referenced and dirty, stand in the frame, since each frame
is mapped once.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import trio

from detrun_scenarios.frame.requirement import require
from detrun_scenarios.operating_system.invariants import FRAMES_CONSERVED


class Tenant(Protocol):
    """What has frames: an address space, or the cache of files."""

    async def evict(self, frame: Frame) -> bool:
        """Let a page leave memory, written if it has to be; False if it was wanted again meanwhile, and stays."""

    def holds(self, page: Any) -> Frame | None:
        """The frame in which the tenant has a page."""


class Frame:
    """A part of memory.

    Attributes:
        tenant, page: whose page is in it, and which one.
        content: version of the page.
        is_referenced: used since the policy looked last.
        is_dirty: changed since it was last written to the disk.
        is_busy: see the module.
        age, used_at: of the policies.
    """

    __slots__ = ("age", "content", "is_busy", "is_dirty", "is_referenced", "number", "page", "tenant", "used_at")

    def __init__(self, number: int) -> None:
        self.number = number
        self.tenant: Tenant | None = None
        self.page: Any = None
        self.content = 0
        self.is_referenced = self.is_dirty = self.is_busy = False
        self.age = 0
        self.used_at = 0.0

    @property
    def may_go(self) -> bool:
        """Whether a policy may choose it."""
        return self.tenant is not None and not self.is_busy


class Frames:
    """See the module.

    Attributes:
        all: of them, by their numbers.
        freed: where those wait who found no frame.
    """

    def __init__(self, count: int) -> None:
        self.all = tuple(Frame(number) for number in range(count))
        self.freed = trio.lowlevel.ParkingLot()
        self._free = deque(self.all)

    @property
    def free(self) -> int:
        """How many are free."""
        return len(self._free)

    def take(self, tenant: Tenant, page: Any) -> Frame | None:
        """A frame, busy until its tenant says otherwise; None if there is none."""
        if not self._free:
            return None
        frame = self._free.popleft()
        frame.tenant, frame.page = tenant, page
        frame.age = 0
        frame.is_busy, frame.is_referenced, frame.is_dirty = True, True, False
        return frame

    def put(self, frame: Frame) -> None:
        """A frame is free."""
        frame.tenant = frame.page = None
        frame.is_busy = False
        self._free.append(frame)
        self.freed.unpark_all()

    def check(self) -> None:
        """Each frame is free once, or held by its tenant, or on its way."""
        free = {frame.number for frame in self._free}
        held = [frame for frame in self.all if frame.tenant is not None]
        astray = [
            f"{frame.number} with {frame.page}"
            for frame in held
            if not frame.is_busy and frame.tenant is not None and frame.tenant.holds(frame.page) is not frame
        ]
        counts = f"{len(self._free)} free, {len(held)} held of {len(self.all)}; astray: {', '.join(astray) or 'none'}"
        fits = len(free) == len(self._free) and len(free) + len(held) == len(self.all)
        require(fits and not astray and not free & {frame.number for frame in held}, FRAMES_CONSERVED, counts)
