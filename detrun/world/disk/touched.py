"""What a step touches of a simulated disk, for searches that run all orders of steps that touch the same.

A look at a name reads the entry of a directory, also one that is missing; creating, moving and removing write it. A
directory's entries together are read by a listing, and changed by each of these, which commute among themselves. Of a
file, content, size and status are one thing. New inodes are numbered, so that two steps that create are in an order.
What a power loss takes depends on all changes before it, and everything that asks the disk depends on the power loss.

Source of the rule: two calls commute if neither result tells which came first (Clements et al., "The scalable
commutativity rule", SOSP 2013).
"""

from __future__ import annotations

from detrun_scheduler.footprints.footprints import COMMUTE, READ, WRITE
from detrun_scheduler.footprints.marks import touch_state


def look_up(disk: str, directory: int, name: str) -> None:
    """An entry of a directory is asked for."""
    touch_state(("disk entry", disk, directory, name), READ)


def list_entries(disk: str, directory: int) -> None:
    """All entries of a directory are asked for."""
    touch_state(("disk entries", disk, directory), READ)


def set_entry(disk: str, directory: int, name: str) -> None:
    """An entry of a directory is made, replaced or removed."""
    touch_state(("disk entry", disk, directory, name), WRITE)
    touch_state(("disk entries", disk, directory), COMMUTE)


def read_file(disk: str, inode: int) -> None:
    """Content, size or status of a file or directory is asked for."""
    touch_state(("disk file", disk, inode), READ)
    ask(disk)


def change_file(disk: str, inode: int) -> None:
    """Content, size or status of a file or directory changes."""
    touch_state(("disk file", disk, inode), WRITE)


def number_inode(disk: str) -> None:
    """A file, directory or symbolic link is created."""
    touch_state(("disk inodes", disk), WRITE)


def move_directory(disk: str) -> None:
    """A directory moves, and all paths below it."""
    touch_state(("disk moves", disk), WRITE)


def follow_moves(disk: str) -> None:
    """It is asked where a directory has moved."""
    touch_state(("disk moves", disk), READ)


def use_room(disk: str, *, is_limited: bool) -> None:
    """Sectors are taken or given back."""
    touch_state(("disk room", disk), WRITE if is_limited else COMMUTE)


def ask_room(disk: str) -> None:
    """It is asked how much room is left."""
    touch_state(("disk room", disk), READ)


def take_time(disk: str) -> None:
    """The device works for a call, after those that came before."""
    touch_state(("disk time", disk), WRITE)


def ask(disk: str) -> None:
    """Something on the disk is asked for that a power loss can take."""
    touch_state(("disk power", disk), READ)


def change(disk: str) -> None:
    """A change is made, or becomes durable."""
    touch_state(("disk changes", disk), COMMUTE)
    ask(disk)


def ask_changes(disk: str) -> None:
    """It is asked which changes are not durable yet."""
    touch_state(("disk changes", disk), READ)


def lose_power(disk: str) -> None:
    """What is not durable may go, and what is cached."""
    touch_state(("disk changes", disk), WRITE)
    touch_state(("disk power", disk), WRITE)
