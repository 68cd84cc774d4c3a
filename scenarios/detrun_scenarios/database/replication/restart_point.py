"""`RestartPoint`: where a replica begins after a crash, in a small file on its disk."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import msgpack

from detrun.world.disk.disk import Disk
from detrun_scenarios.database.log.state_file import load, save
from detrun_scenarios.database.log.writer import DIRECTORY, MAGIC
from detrun_scenarios.database.replication.messages import CopyNumber

PATH = f"{DIRECTORY}/restart"


@dataclass(frozen=True, slots=True)
class RestartPoint:
    """See the module.

    Attributes:
        redo_from: the record at which redo begins.
        consistent_from: see `Standby`.
        copy: the last copy of all pages that was begun here.
        is_copying: it is not whole, and neither pages nor log are worth anything.
    """

    redo_from: int = len(MAGIC)
    consistent_from: int = 0
    copy: CopyNumber = (0, 0)
    is_copying: bool = False

    async def save(self, disk: Disk) -> None:
        """Durably, in place of the one before."""
        await save(disk, PATH, msgpack.packb(astuple(self)))


async def load_restart_point(disk: Disk) -> RestartPoint:
    """What was saved last; without that, the beginning of all."""
    data = await load(disk, PATH)
    if data is None:
        return RestartPoint()
    redo_from, consistent_from, copy, is_copying = msgpack.unpackb(data)
    return RestartPoint(redo_from, consistent_from, tuple(copy), is_copying)
