"""Serializability of transactions: whether what they read and wrote could have come from running them one by one.

Transactions become nodes of a graph, and dependencies its edges (`dependencies.py`). The committed transactions are
serializable, with the given order of versions, if and only if the graph has no cycle and no read returned what was
aborted, overwritten by its own writer, or other than what the reader had written itself. The worst anomaly is reported,
in the terms of Adya (PhD thesis, MIT 1999) and of Adya, Liskov and O'Neil (ICDE 2000): G1a (a read of an aborted
write), G1b (of an intermediate one), G0 (a cycle of writes), G1c (of writes and reads), G-single (one anti-dependency
``rw``), G2 (more than one); with ``-realtime`` where it takes an ``rt``. The anomaly ``internal`` (a read that
contradicts the reader's own write) is from Elle (Kingsbury and Alvaro, VLDB 2020).

A transaction whose end is not known counts as committed if a committed one read from it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detrun.checkers.dependencies import (
    RT,
    RW,
    WR,
    WW,
    Dependency,
    dependencies_of,
    realtime_dependencies,
    serial_order,
    shortest_cycle,
    shortest_cycle_through_one,
)
from detrun.checkers.histories import PENDING
from detrun.checkers.transactions import ABORTED, COMMITTED, UNDECIDED, Transaction, Writers
from detrun_scheduler.errors import DetrunError, UsageError

# Which edges may be in the cycle of each anomaly, the worst first; None for as many as there are.
_CYCLES: tuple[tuple[str, frozenset[str], int | None], ...] = (
    ("G0", frozenset({WW}), 0),
    ("G1c", frozenset({WW, WR}), 0),
    ("G-single", frozenset({WW, WR}), 1),
    ("G2", frozenset({WW, WR, RW}), None),
)


class NotSerializableError(DetrunError, AssertionError):
    """Transactions are not serializable; the anomaly is in ``serializability``."""

    def __init__(self, serializability: Serializability) -> None:
        super().__init__(str(serializability))
        self.serializability = serializability


@dataclass(slots=True)
class Serializability:
    """What `serializable` found; true if the transactions are serializable.

    Attributes:
        anomaly: None, or the worst: ``"G1a"``, ``"G1b"``, ``"internal"``, ``"G0"``, ``"G1c"``, ``"G-single"`` or
            ``"G2"``, the last four with ``"-realtime"`` where real time is part of it.
        cycle: the dependencies that contradict each other; each begins where the one before it ends.
        order: a serial order of the committed transactions, if there is one.
        strict: whether real time was respected.
        reason: the anomaly in words.
    """

    transactions: int
    strict: bool
    anomaly: str | None = None
    cycle: tuple[Dependency, ...] = ()
    order: tuple[Transaction, ...] = ()
    reason: str = ""

    def __bool__(self) -> bool:
        return self.anomaly is None

    def raise_on_failure(self) -> Serializability:
        """Return the result, or raise `NotSerializableError`."""
        if self.anomaly is not None:
            raise NotSerializableError(self)
        return self

    def __str__(self) -> str:
        kind = "strictly serializable" if self.strict else "serializable"
        count = f"{self.transactions:,} transaction{'' if self.transactions == 1 else 's'}"
        if self.anomaly is None:
            return f"{kind}: {count}"
        lines = [f"not {kind}: {self.anomaly}, {self.reason} ({count})"]
        lines += [f"  {one.before} → {one.after} ({one.kind}): {one}" for one in self.cycle]
        return "\n".join(lines)


def serializable(
    history: Iterable[Transaction],
    *,
    strict: bool = False,
    version_order: Mapping[Any, Sequence[Hashable]] | None = None,
) -> Serializability:
    """Whether the committed transactions of ``history`` are serializable.

    Args:
        strict: a transaction that ended before another began must also come before it.
        version_order: for each key its versions from old to new; sorted by default, as numbers that count up are.

    Raises:
        UsageError: a version was written twice or never, or has no place in the order; or networkx is missing.
    """
    networkx = _networkx()
    transactions = list(history)
    result = Serializability(len(transactions), strict)
    writers = _writers(transactions)
    committed = _committed(transactions, writers)
    wrong_read = _wrong_read(committed, writers)
    if wrong_read is not None:
        result.anomaly, result.reason = wrong_read
        return result
    dependencies = dependencies_of(committed, writers, version_order or {})
    realtime = realtime_dependencies(committed) if strict else []
    order = serial_order(committed, [*dependencies, *realtime])
    if order is not None:
        result.order = tuple(order)
        return result
    for name, kinds, anti_dependencies in _CYCLES:
        for timed in (False, True) if strict else (False,):
            usable = [one for one in dependencies if one.kind in kinds] + (realtime if timed else [])
            if anti_dependencies == 1:
                anti = [one for one in dependencies if one.kind == RW]
                cycle = shortest_cycle_through_one(networkx, usable, anti)
            else:
                cycle = shortest_cycle(networkx, usable)
            if cycle:
                result.anomaly = name + ("-realtime" if any(one.kind == RT for one in cycle) else "")
                result.cycle = tuple(cycle)
                result.reason = f"{len(cycle)} dependencies contradict each other"
                return result
    raise AssertionError("dependencies that have no order have a cycle")


def _networkx() -> Any:
    try:
        import networkx
    except ImportError:
        raise UsageError("serializable needs networkx, which is not installed: pip install networkx") from None
    return networkx


def _writers(transactions: Iterable[Transaction]) -> Writers:
    writers: Writers = {}
    for one in transactions:
        for kind, key, version in one.operations:
            if kind != "write":
                continue
            if version is None or version is PENDING:
                raise UsageError(f"{one} wrote {key!r} without a version; give each write one of its own")
            if (key, version) in writers:
                raise UsageError(
                    f"version {version!r} of {key!r} was written by {writers[key, version]} and by {one}; give each "
                    "write a version of its own"
                )
            writers[key, version] = one
    return writers


def _committed(transactions: Iterable[Transaction], writers: Writers) -> list[Transaction]:
    """Those that committed, and the undecided ones that one of these read from."""
    found = {one: None for one in transactions if one.outcome == COMMITTED}
    todo = list(found)
    for one in todo:  # which grows
        for kind, key, version in one.operations:
            writer = writers.get((key, version))
            if kind == "read" and version is not None and writer is None:
                raise UsageError(
                    f"{one} read version {version!r} of {key!r}, which was never written; read version None of what "
                    "was there in the beginning"
                )
            if kind == "read" and writer is not None and writer.outcome == UNDECIDED and writer not in found:
                found[writer] = None
                todo.append(writer)
    return sorted(found, key=lambda one: one.began)


def _wrong_read(committed: Iterable[Transaction], writers: Writers) -> tuple[str, str] | None:
    """A read of what was rolled back, of what its own writer replaced, or of not what the reader itself wrote."""
    final = {(writer, key): version for (key, version), writer in writers.items()}  # in the order of writing
    intermediate = internal = None
    for one in committed:
        own: dict[Hashable, Hashable] = {}
        for kind, key, version in one.operations:
            if kind == "write":
                own[key] = version
            elif key in own and own[key] != version and internal is None:
                internal = (
                    "internal",
                    f"{one} wrote {key!r} version {own[key]!r} and then read version {version!r}",
                )
            writer = writers.get((key, version)) if kind == "read" else None
            if writer is None or writer is one:
                continue
            if writer.outcome == ABORTED:
                return "G1a", f"{one} read {key!r} version {version!r}, but {writer}, which wrote it, aborted"
            if final[writer, key] != version and intermediate is None:
                intermediate = (
                    "G1b",
                    f"{one} read {key!r} version {version!r}, which {writer} itself replaced by {final[writer, key]!r}",
                )
    return intermediate or internal
