"""What a narration hears of a simulated disk: what is read, written and synced, and what a power loss takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from detrun_scheduler.footprints.footprints import READ, WRITE
from detrun_scheduler.footprints.marks import note

READS, WRITES, SYNCS = "reads a disk", "writes to a disk", "makes it durable"
MAKES, LOSES, KEEPS = "changes a disk", "loses it", "keeps it"
"""Verbs of the marks."""
CHANGE = "disk change"
"""Marks of `MAKES`, `LOSES` and `KEEPS` have the key ``(CHANGE, disk, number of the change)``."""


def hear_bytes(verb: str, disk: str, inode: int, begin: int, end: int) -> None:
    """Bytes of a file are read or written."""
    note(("disk", disk, inode, begin, end), READ if verb == READS else WRITE, verb)


def hear_sync(disk: str) -> None:
    """Something becomes durable."""
    note(("disk", disk), WRITE, SYNCS)


def hear_change(disk: str, number: int) -> None:
    """A change is made, which is not durable yet."""
    note((CHANGE, disk, number), WRITE, MAKES)


def hear_power_loss(disk: str, pending: Iterable[int], survivors: Collection[int]) -> None:
    """The power goes, and of what was not durable these changes survive."""
    for number in pending:
        note((CHANGE, disk, number), WRITE, KEEPS if number in survivors else LOSES)
