"""`ServerDisk`: the two disks of a database server, one for the log and one for pages.

The log is written in order and synced at each commitment; pages are read and written at random. On one disk each would
wait for the other, so that servers have two. The node's own disk is the one with the log; it passes on to the other one
what happens to the machine, with draws of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detrun.world import Exponential
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.disk.model import PersistenceModel
from detrun.world.fault_counts import FaultCounts
from detrun.world.nodes.node import Node
from detrun_scenarios.database.storage.volume import Volume, open_volume

PAGES = "/pages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What a server's machine is like: two solid-state disks.

    Attributes:
        fsync_seconds, page_read_seconds: mean times.
        bytes_per_second: of each disk.
        sector_bytes: what a power loss does not tear.
        link_seconds: mean time of a message between machines, on top of a tenth of it; 0 for none.
    """

    fsync_seconds: Any = 0.001
    page_read_seconds: Any = 0.0002
    bytes_per_second: Any = 200e6
    sector_bytes: int = 512
    link_seconds: Any = 0.0002

    def disk_of(self, node: Node) -> Disk:
        """The disks of a machine."""
        model = PersistenceModel(sector_bytes=self.sector_bytes)
        syncing = Exponential(self.fsync_seconds, minimum=self.fsync_seconds / 10)
        pages = Disk(
            f"{node.name} pages",
            model=model,
            latency=DiskLatency(
                read_seconds=Exponential(self.page_read_seconds, minimum=self.page_read_seconds / 10),
                fsync_seconds=syncing,
                bytes_per_second=self.bytes_per_second,
            ),
        )
        latency = DiskLatency(fsync_seconds=syncing, bytes_per_second=self.bytes_per_second)
        return ServerDisk(node.name, pages, model=model, latency=latency)


class ServerDisk(Disk):
    """The disk of the log.

    Attributes:
        pages: the other one.
    """

    def __init__(self, name: str, pages: Disk, *, model: PersistenceModel, latency: DiskLatency) -> None:
        super().__init__(name, model=model, latency=latency)
        self.pages = pages

    def crash(self) -> None:
        """See `Disk`."""
        super().crash()
        self.pages.crash()

    def power_loss(self, survivors: Any = None) -> None:
        """See `Disk`; what survives on the other one is drawn apart."""
        super().power_loss(survivors)
        self.pages.power_loss()

    def report_faults_to(self, counts: FaultCounts) -> None:
        """See `Disk`."""
        super().report_faults_to(counts)
        self.pages.report_faults_to(counts)


async def open_pages(disk: ServerDisk, page_bytes: int) -> Volume:
    """The file of pages on a server's disks, made if it is missing; a power loss leaves its name there."""
    volume = await open_volume(disk.pages, PAGES, page_bytes)
    await disk.pages.fsync_directory("/")
    return volume
