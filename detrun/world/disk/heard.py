"""What a narration hears of a simulated disk: which bytes of a file are read or written, and what is synced."""

from __future__ import annotations

from detrun_scheduler.footprints.footprints import READ, WRITE
from detrun_scheduler.footprints.marks import note

READS, WRITES, SYNCS = "reads a disk", "writes to a disk", "makes it durable"
"""Verbs of the marks."""


def hear_bytes(verb: str, disk: str, inode: int, begin: int, end: int) -> None:
    """Bytes of a file are read or written."""
    note(("disk", disk, inode, begin, end), READ if verb == READS else WRITE, verb)


def hear_sync(disk: str) -> None:
    """Something becomes durable."""
    note(("disk", disk), WRITE, SYNCS)
