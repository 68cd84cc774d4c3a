"""What clients of the store did and were told, and what a store may therefore hold after it has recovered.

Each key has one writer, which writes 1, 2, 3, … and waits for each to be acknowledged. After a power loss the value of
a key must be one that was begun, whole, and not older than the last one acknowledged. `point` is whatever counts
moments: the length of the disk's log, or nothing but the present.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from scenarios.write_ahead_log.store import Store

VALUE_BYTES = 150  # more than a sector of the disks in use here, so that values can be torn


class LostWriteError(Exception):
    """The store does not hold what it must."""


def value_of(number: int) -> bytes:
    """The value that stands for the ``number``-th write of a key; 0 for none."""
    return (f"{number:06d} " * VALUE_BYTES)[:VALUE_BYTES].encode()


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

    def check(self, store: Store, first_point: int, last_point: int) -> None:
        """Whether a store is right that recovered from a state possible from the first to the last point.

        Raises:
            LostWriteError: it is not.
        """
        for key in self.begun:
            must = sum(point <= last_point for point in self.acknowledged.get(key, ()))
            may = sum(point <= first_point for point in self.begun[key])
            value = store.get(key)
            allowed = [value_of(number) for number in range(max(must, 1), may + 1)]
            if value not in allowed and not (value is None and must == 0):
                found = "nothing" if value is None else repr(bytes(value[:14]))
                where = f", at points {first_point} to {last_point} of the disk" if last_point else ""
                raise LostWriteError(
                    f"{key.decode()}: found {found} ({0 if value is None else len(value)} bytes), but write {must} was "
                    f"acknowledged and {may} were begun{where}"
                )
        for key in store.table:
            if key not in self.begun:
                raise LostWriteError(f"the store holds the key {key!r}, which nobody wrote")
