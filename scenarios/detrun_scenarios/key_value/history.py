"""History of the store as its clients saw it, and a check that it is linearizable.

Each key has one writer, which writes 1, 2, 3, ...; all clients read. Then three comparisons decide whether a history is
linearizable (Lamport, "On interprocess communication", 1986, atomic registers with one writer): a read returns nothing
that was not written yet, nothing older than the last write that ended before it began, and nothing older than what an
earlier read has returned. They are checked as operations end, so a violation stops the run at the step that shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import detrun
from detrun.checkers.transactions import Place, noted_place
from detrun_scenarios.frame.requirement import about

READS_ARE_CONSISTENT = "reads are consistent"
WRITES_ARE_KEPT = "acknowledged writes are kept"


@dataclass(slots=True)
class History:
    """The operations of one run.

    Attributes:
        begun: key -> the last value that its writer asked to write.
        settled: key -> the greatest value that a finished operation has shown to be there.
        settled_at: key -> where that operation ended, for explanations.
        write_latencies: seconds from the first attempt to the acknowledgement, one for each write.
        reads: reads that ended.
        retries: attempts that timed out.
        elections: (time, replica) whenever a replica became the primary.
        elected_at: replica -> where it last became the primary, for explanations.
        crashes: (time, replica).
    """

    begun: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    settled_at: dict[str, Place] = field(default_factory=dict)
    write_latencies: list[Any] = field(default_factory=list)
    reads: int = 0
    retries: int = 0
    elections: list[tuple[Any, str]] = field(default_factory=list)
    elected_at: dict[str, Place | None] = field(default_factory=dict)
    crashes: list[tuple[Any, str]] = field(default_factory=list)

    @property
    def operations(self) -> int:
        """Reads and writes that ended."""
        return self.reads + len(self.write_latencies)

    def elected(self, replica: str, time: Any, place: Place | None) -> None:
        """A replica has become the primary."""
        self.elections.append((time, replica))
        self.elected_at[replica] = place

    def write_ended(self, key: str, value: int, latency: Any) -> None:
        """The store has acknowledged ``value``."""
        self._settle(key, value)
        self.write_latencies.append(latency)

    def read_ended(self, key: str, value: int, settled_before: int, answered_by: str = "") -> None:
        """A read returned ``value``, 0 for none; ``settled_before`` is ``settled[key]`` when it began.

        Args:
            answered_by: the replica.
        """
        detrun.always(
            about(
                settled_before <= value <= self.begun[key],
                ("newer in", self.settled_at.get(key)),
                ("answered by the primary of", self.elected_at.get(answered_by)),
            ),
            READS_ARE_CONSISTENT,
            lambda: (
                f"{key} was {settled_before} or more when a read of it began, and no more than {self.begun[key]} was "
                f"ever written to it, but the read returned {value}"
            ),
        )
        self._settle(key, value)
        self.reads += 1

    def _settle(self, key: str, value: int) -> None:
        if value > self.settled[key]:
            self.settled[key] = value
            place = noted_place()
            if place is not None:
                self.settled_at[key] = place

    def check_disks(self, disks: Iterable[dict[str, int]]) -> None:
        """``disks`` are those of any majority of the replicas, key -> value: together they know every settled value."""
        known: Counter[str] = Counter()
        for disk in disks:
            known |= Counter(disk)
        for key, value in self.settled.items():
            detrun.always(
                about(known[key] >= value, ("acknowledged in", self.settled_at.get(key))),
                WRITES_ARE_KEPT,
                f"{key} = {value} was acknowledged, but a majority of the replicas lost it",
            )
