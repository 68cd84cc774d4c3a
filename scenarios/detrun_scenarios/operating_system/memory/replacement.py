"""Which page leaves memory when frames are short: CLOCK, aging, the working set.

Hardware says only whether a page was used since its mark was taken away. From that CLOCK tells used pages from unused
ones, aging approximates the order of last uses, and the working set the time of the last use.

Sources: Corbató, "A paging experiment with the Multics system", 1968 (CLOCK); Tanenbaum and Bos, *Modern Operating
Systems*, 4th edition, section 3.4.7 (aging); Carr and Hennessy, "WSClock: a simple and effective algorithm for virtual
memory management", SOSP 1981 (with the machine's time in place of each process's own).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from detrun_scenarios.operating_system.memory.frames import Frame

AGE_BITS = 8


class Replacement(ABC):
    """A policy. Its hand goes round the frames.

    Attributes:
        looks: whether it wants to look at all marks from time to time.
    """

    looks = False

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.hand = 0

    @abstractmethod
    def victim(self, now: float) -> Frame | None:
        """The frame to be emptied, of those that may be; None if none may. It is the caller's to make it busy."""

    def look(self) -> None:
        """Take the marks, if the policy `looks`."""
        raise NotImplementedError(f"{type(self).__name__} does not look at all frames")

    def _pass(self) -> Frame:
        frame = self.frames[self.hand]
        self.hand = (self.hand + 1) % len(self.frames)
        return frame


class Clock(Replacement):
    """A page that was used since the hand came by last stays for another round."""

    def victim(self, now: float) -> Frame | None:
        """See `Replacement`."""
        # Two rounds: the first may do nothing but take marks away.
        for _ in range(2 * len(self.frames)):
            frame = self._pass()
            if frame.may_go:
                if not frame.is_referenced:
                    return frame
                frame.is_referenced = False
        return None


class Aging(Replacement):
    """Each look halves the age of a page, and adds a high bit if it was used: the least age is the longest unused."""

    looks = True

    def victim(self, now: float) -> Frame | None:
        """See `Replacement`."""
        # A page that was used since the last look is younger than all that were not.
        count = len(self.frames)
        order = (self.frames[(self.hand + place) % count] for place in range(count))
        found = min(
            (frame for frame in order if frame.may_go), key=lambda one: (one.is_referenced, one.age), default=None
        )
        if found is not None:
            self.hand = (found.number + 1) % count
        return found

    def look(self) -> None:
        """See `Replacement`."""
        for frame in self.frames:
            frame.age = frame.age >> 1 | frame.is_referenced << (AGE_BITS - 1)
            frame.is_referenced = False


class WorkingSet(Replacement):
    """A page that was not used for ``window`` seconds is out of the working set, and goes; else the longest unused."""

    def __init__(self, frames: Sequence[Frame], window: float) -> None:
        super().__init__(frames)
        self.window = window

    def victim(self, now: float) -> Frame | None:
        """See `Replacement`."""
        oldest: Frame | None = None
        for _ in range(len(self.frames)):
            frame = self._pass()
            if not frame.may_go:
                continue
            if frame.is_referenced:
                frame.is_referenced = False
                frame.used_at = now
            elif now - frame.used_at > self.window and not frame.is_dirty:
                return frame
            if oldest is None or frame.used_at < oldest.used_at:
                oldest = frame
        return oldest
