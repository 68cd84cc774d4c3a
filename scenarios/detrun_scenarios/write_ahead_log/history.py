"""History of the store's clients, and a check of what the store holds after it has recovered.

Each key has one writer, which writes 1, 2, 3, … and waits for each to be acknowledged. After a power loss the value of
a key must be one that was begun, whole, and not older than the last one acknowledged. `point` is whatever counts
moments: the length of the disk's log, or nothing but the present.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from detrun_scenarios.write_ahead_log.store import Store

VALUE_BYTES = 150  # more than a sector of the disks in use here, so that values can be torn


WRITES_SURVIVE = "acknowledged writes survive"


def value_of(number: int) -> bytes:
    """The value that stands for the ``number``-th write of a key; 0 for none."""
    return (f"{number:06d} " * VALUE_BYTES)[:VALUE_BYTES].encode()


def number_of(value: bytes | None) -> int | None:
    """The write whose value this is, 0 for nothing; None if it is not the whole value of a write."""
    if value is None:
        return 0
    digits = bytes(value[:6])
    return int(digits) if digits.isdigit() and value == value_of(int(digits)) else None


def _where(first_point: int, last_point: int) -> str:
    if not last_point:
        return ""
    points = f"point {first_point}" if first_point == last_point else f"points {first_point} to {last_point}"
    return f", if the power goes at {points} of the disk's log"


@dataclass(slots=True)
class History:
    """Begun and acknowledged writes of each key, with their points."""

    point: Callable[[], int]
    begun: dict[bytes, list[int]] = field(default_factory=dict)  # the point of write 1, 2, 3, …
    acknowledged: dict[bytes, list[int]] = field(default_factory=dict)

    def begin(self, key: bytes) -> int:
        """A write begins; the result is its number."""
        points = self.begun.setdefault(key, [])
        points.append(self.point())
        return len(points)

    def acknowledge(self, key: bytes) -> None:
        """The write in progress is acknowledged."""
        self.acknowledged.setdefault(key, []).append(self.point())

    def lost(self, store: Store, first_point: int, last_point: int) -> str:
        """What a store that recovered from a state possible from the first to the last point has lost, in words.

        Empty if it holds nothing but what the history allows.
        """
        for key in self.begun:
            acknowledged = self.acknowledged.get(key, [])
            must = sum(point <= last_point for point in acknowledged)
            may = sum(point <= first_point for point in self.begun[key])
            value, name = store.get(key), key.decode()
            number = number_of(value)
            if number is None:
                assert value is not None
                return (
                    f"{name}: the store has {len(value)} bytes, {value[:10]!r} to {value[-10:]!r}, which are no "
                    f"write's value{_where(first_point, last_point)}"
                )
            found = f"write {number}" if number else "nothing"
            if number < must:
                since = max(first_point, acknowledged[must - 1])
                return f"{name}: write {must} was acknowledged, but the store has {found}{_where(since, last_point)}"
            if number > may:
                begins = [*self.begun[key], last_point + 1][min(number - 1, len(self.begun[key]))]
                until = min(last_point, begins - 1)
                return f"{name}: the store has write {number} before it was begun{_where(first_point, until)}"
        for key in store.table:
            if key not in self.begun:
                return f"the store holds the key {key!r}, which was never written"
        return ""
