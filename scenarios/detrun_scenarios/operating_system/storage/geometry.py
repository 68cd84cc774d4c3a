"""`Geometry`: where pages lie on a disk with one arm, and how long it takes to get to them.

An arm moves to a track, waits until the page comes by, and transfers. Tracks begin a little later from one to the next
(*skew*), so that one who reads on across the end of a track need not wait for a turn. The platter turns all the time:
where it stands is a function of the clock. So a request that begins a little later ends when it would have ended
anyway, or a whole turn later, and delays do not pass through a disk smoothly.

Source: Ruemmler and Wilkes, "An introduction to disk drive modeling", IEEE Computer 27(3), 1994, sections 2.1 and 2.2;
one law of seeks, ``a + b sqrt(distance)``, for all distances, in place of their two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from detrun_scenarios.frame.plain import plain

MEAN_ROOT = 8.0 / 15.0  # of the distance between two points of [0, 1]
_ROUNDING = 1e-7  # turns


@dataclass(frozen=True)
class Geometry:
    """A disk; seconds where nothing else is said.

    The defaults are those of a drive of 7,200 turns a minute, by the data sheet of Seagate's Barracuda 7200.9: 0.8 ms
    to the next track, 8.5 ms on average; about a megabyte on a track.

    Attributes:
        tracks: that the arm can be on.
        track_pages: pages on each.
        rotation: of one turn.
        seek_track, seek_mean: to the next track, and between two random ones.
    """

    tracks: int = 2000
    track_pages: int = 256
    rotation: float = 60.0 / 7200.0
    seek_track: float = 0.0008
    seek_mean: float = 0.0085

    @property
    def pages(self) -> int:
        """Of the whole disk."""
        return self.tracks * self.track_pages

    @cached_property
    def seek_root(self) -> float:
        """The factor of the square root in `seek`."""
        return (self.seek_mean - self.seek_track) / (MEAN_ROOT * math.sqrt(self.tracks))

    def seek(self, distance: int) -> float:
        """Seconds that the arm takes over so many tracks."""
        return self.seek_track + self.seek_root * math.sqrt(distance) if distance else 0.0

    @cached_property
    def skew_pages(self) -> int:
        """Places by which a track begins later than the one before."""
        return math.ceil(self.seek(1) / self.rotation * self.track_pages)

    def track(self, block: int) -> int:
        """Where a page lies."""
        return block // self.track_pages

    def angle(self, block: int) -> float:
        """Where on its track a page begins, as a share of a turn."""
        track, place = divmod(block, self.track_pages)
        return (place + track * self.skew_pages) % self.track_pages / self.track_pages

    def transfer(self, block: int, count: int) -> float:
        """Seconds from the beginning of a page to the end of the last of so many."""
        crossings = self.track(block + count - 1) - self.track(block)
        return (count + crossings * self.skew_pages) / self.track_pages * self.rotation

    def end(self, now: Any, arm: int, block: int, count: int) -> Any:
        """When a transfer is over that begins now, with the arm on the track ``arm``. Times may be Values."""
        there = now + self.seek(abs(self.track(block) - arm))
        turns = math.floor(plain(there) / self.rotation - self.angle(block) + _ROUNDING)
        passes = (turns + self.angle(block)) * self.rotation
        while passes < there - _ROUNDING * self.rotation:  # once: one comparison for the turn before, one for the next
            passes += self.rotation
        return passes + self.transfer(block, count)
