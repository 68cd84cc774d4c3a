"""What a database can be tuned by, and what it is made of. Numbers that are marked so may be `Value`s.

The defaults are those of PostgreSQL 16 where it has such a thing, scaled to a virtual machine that does in seconds what
a real one does in minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detrun.ad.value import primal_of
from detrun_scenarios.database.log.segments import SEGMENT_BYTES
from detrun_scenarios.database.sql.cost import Costs
from detrun_scenarios.database.storage.buffer import Area
from detrun_scenarios.database.storage.replacement import PolicyName
from detrun_scenarios.database.transactions.transaction import Level

HEIGHT_MAX = 3  # of trees here
INDEX_PINS = HEIGHT_MAX + 2  # of one task: a path that is split, and what becomes of it
HEAP_PINS = 2  # the last page of a chain, and the next one


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The numbers of one server; seconds where nothing else is said.

    Attributes:
        frames: pages in memory.
        buffer_split: share of the frames that is for indexes; a Value.
        policy: by which pages leave memory.
        group_commit_delay: how long one who commits waits for others before the log is synced; a Value.
        checkpoint_interval: from the end of one checkpoint to the next; a Value.
        vacuum_interval: from the end of one vacuum to the next; None for none.
        writer_interval, writer_pages: the background writer writes so many dirty pages, so often.
        read_ahead: pages that a scan reads at once; a Value, of which the whole part counts.
        seq_page_cost, random_page_cost, cpu_tuple_cost: of the planner; Values.
        plan_temperature: 0 for the cheapest plan, else of the draw by which one is taken (`sql.choice`).
        replication_batch: records that are shipped to a replica at once; a Value.
        replication_delay: how long the first of them waits for others at most; a Value.
        is_synchronous: one who commits waits until a replica has the commit on its disk.
        resend_seconds: after which what was sent is taken to be lost; replicas say where they are twice as often.
        window_bytes: of the log that may be on their way to a replica.
        keep_bytes: of the log that are kept for replicas that lag; one that lags more gets all pages.
        copy_pages: sent at once then.
        segment_bytes: of the log in one file, the unit in which it is freed.
        level: of isolation.
        redo_seconds: of the processor, for each record that recovery reads, and again for each change that it makes.
        sessions_max: so many clients are served at a time.
        attempts_max: a transaction that is refused is tried so often.
        retry_seconds: mean time between two attempts.
    """

    page_bytes: int = 1024
    frames: int = 160
    buffer_split: Any = 0.5
    policy: PolicyName = "clock"
    group_commit_delay: Any = 0.0005
    checkpoint_interval: Any = 0.05
    vacuum_interval: Any = 0.2
    writer_interval: Any = 0.02
    writer_pages: int = 4
    read_ahead: Any = 8.0
    seq_page_cost: Any = 1.0
    random_page_cost: Any = 4.0
    cpu_tuple_cost: Any = 0.01
    plan_temperature: float = 0.0
    replication_batch: Any = 16.0
    replication_delay: Any = 0.002
    is_synchronous: bool = False
    resend_seconds: float = 0.02
    window_bytes: int = 1 << 15
    keep_bytes: int = 1 << 18
    segment_bytes: int = SEGMENT_BYTES
    copy_pages: int = 8
    redo_seconds: float = 0.00001
    level: Level = "serializable"
    sessions_max: int = 8
    attempts_max: int = 10
    retry_seconds: float = 0.002

    @property
    def capacity(self) -> dict[Area, int]:
        """Frames of each area. However they are split, all sessions can pin at once what they need."""
        least_index, least_heap = self.least(INDEX_PINS), self.least(HEAP_PINS)
        index = round(primal_of(self.buffer_split) * self.frames)
        index = max(min(index, self.frames - least_heap), least_index)
        return {"index": index, "heap": max(self.frames - index, least_heap)}

    def least(self, pins: int) -> int:
        """Frames of an area of which a session, or a vacuum, pins so many; checkpointer and writer pin one each."""
        return (self.sessions_max + (self.vacuum_interval is not None)) * pins + 3

    @property
    def costs(self) -> Costs:
        """The constants of the planner."""
        return Costs(self.seq_page_cost, self.random_page_cost, self.cpu_tuple_cost)

    @property
    def pages_at_once(self) -> int:
        """The whole part of `read_ahead`, at least 1."""
        return max(1, int(primal_of(self.read_ahead)))
