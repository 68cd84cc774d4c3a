"""`FaultCounts`: counts of the strikes of each injected fault. A fault that never strikes tests nothing.

A fault counts when it changed what would have happened: a partition when it swallowed a message, a loss rate when it
lost one, a crash when there was a process to kill. Every count is written to the run's journal as a ``fault`` event, so
that a recording says which faults it contains and a replay that injects others is found out. The rule for plans: what
is switched on is *armed*, and what is armed and has not struck by the end is listed by `unfired`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from detrun_scheduler import current


class FaultCounts(Mapping[str, int]):
    """Fault name -> how often it has struck, in the order of the first time. A name that is absent reads as 0."""

    __slots__ = ("_armed", "_counts")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._armed: dict[str, None] = {}

    def count(self, name: str) -> None:
        """The fault ``name`` has struck once more."""
        self._counts[name] = self._counts.get(name, 0) + 1
        run = current.run
        if run is not None:
            run.fault(name)

    def arm(self, name: str) -> None:
        """The fault ``name`` has been switched on and is expected to strike."""
        self._armed[name] = None

    def unfired(self) -> tuple[str, ...]:
        """The faults that were switched on and never struck, in the order of arming."""
        return tuple(name for name in self._armed if name not in self._counts)

    @property
    def total(self) -> int:
        """How often all faults have struck together."""
        return sum(self._counts.values())

    def __getitem__(self, name: str) -> int:
        return self._counts.get(name, 0)

    def __contains__(self, name: object) -> bool:
        return name in self._counts

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"FaultCounts({self._counts!r})"
