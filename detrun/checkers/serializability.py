"""Serializability of transactions: whether what they read and wrote could have come from running them one by one.

Transactions become nodes of a graph. With versions of each key in their order, T1 → T2 is

``ww``  T2 wrote the version after one of T1's: T1 before T2,
``wr``  T2 read a version that T1 wrote: T1 before T2,
``rw``  T2 wrote the version after one that T1 read: T1, which has not seen it, before T2,
``rt``  T1 ended before T2 began; only asked for *strict* serializability.

The committed transactions are serializable, with the given order of versions, if and only if the graph has no cycle
and nobody read what was aborted, overwritten by its own writer, or other than what the reader had written itself. What
is reported is the worst anomaly, in the terms of Adya (PhD thesis, MIT 1999) and of Adya, Liskov and O'Neil (ICDE
2000): G1a (a read of an aborted write), G1b (of an intermediate one), G0 (a cycle of writes), G1c (of writes and
reads), G-single (one anti-dependency ``rw``), G2 (more than one); with ``-realtime`` where it takes an ``rt``. Finding
anomalies by cycles in this graph, and the anomaly ``internal`` (a read that contradicts the reader's own write), are
from Elle (Kingsbury and Alvaro, VLDB 2020).

A transaction of which nobody knows how it ended counts as committed if a committed one read from it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Any

from detrun.checkers.histories import PENDING
from detrun_scheduler import current
from detrun_scheduler.errors import DetrunError, UsageError

COMMITTED, ABORTED, UNDECIDED = "committed", "aborted", "undecided"
WW, WR, RW, RT = "ww", "wr", "rw", "rt"
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


@dataclass(slots=True, eq=False)
class Transaction:
    """What one transaction did.

    Attributes:
        name: what reports call it.
        operations: ``("read" or "write", key, version)`` in order. Version None of a read: nobody had written the key.
        began, ended: positions in the history; ``ended`` is None while it is going on.
        outcome: ``"committed"``, ``"aborted"`` or ``"undecided"``.
    """

    name: str
    began: int
    operations: list[tuple[str, Hashable, Hashable]] = field(default_factory=list)
    ended: int | None = None
    outcome: str = UNDECIDED
    _history: Transactions | None = field(default=None, repr=False)

    def read(self, key: Hashable, version: Hashable) -> None:
        """The transaction has read ``version`` of ``key``."""
        self.operations.append(("read", key, version))

    def write(self, key: Hashable, version: Hashable) -> None:
        """The transaction has made ``version`` of ``key``; no other write makes the same one."""
        self.operations.append(("write", key, version))

    def abort(self) -> None:
        """The transaction is known to have been rolled back."""
        self._end(ABORTED)

    def undecided(self) -> None:
        """Nobody knows how the transaction ended, as after a time-out."""
        self._end(UNDECIDED)

    def _end(self, outcome: str) -> None:
        if self.ended is None and self._history is not None:
            self.outcome, self.ended = outcome, self._history._next()

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A client that fails with an ordinary exception has rolled back; one that is cancelled or killed says nothing.
        self._end(COMMITTED if kind is None else ABORTED if issubclass(kind, Exception) else UNDECIDED)

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Transactions:
    """A history of transactions, recorded by those who run them; begins anew in each run."""

    transactions: list[Transaction] = field(default_factory=list)
    _position: int = 0
    _serial: int = -1

    def transaction(self, name: str | None = None) -> Transaction:
        """A transaction begins; leaving its block commits it, an exception aborts it, cancellation leaves it open.

        Args:
            name: what reports call it; the path of the running task and a number by default.
        """
        run = current.run
        if run is not None and self._serial != run.serial:
            self.transactions, self._position, self._serial = [], 0, run.serial
        if name is None:
            name = f"T{len(self.transactions) + 1}" + (f" ({run.path_of(run.current)})" if run is not None else "")
        one = Transaction(name, self._next(), _history=self)
        self.transactions.append(one)
        return one

    def _next(self) -> int:
        self._position += 1
        return self._position

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self.transactions)

    def __len__(self) -> int:
        return len(self.transactions)


@dataclass(frozen=True, slots=True)
class Dependency:
    """Why one transaction comes before another."""

    before: Transaction
    after: Transaction
    kind: str  # "ww", "wr", "rw" or "rt"
    key: Hashable = None
    versions: tuple[Hashable, ...] = ()

    def __str__(self) -> str:
        first, second = self.before.name, self.after.name
        if self.kind == RT:
            return f"{first} ended before {second} began"
        if self.kind == WR:
            return f"{second} read {self.key!r} version {self.versions[0]!r}, which {first} wrote"
        older = "before there was any" if self.versions[0] is None else f"version {self.versions[0]!r}"
        if self.kind == RW:
            return f"{first} read {self.key!r} {older}, which {second} replaced by version {self.versions[1]!r}"
        return f"{first} wrote {self.key!r} {older}, which {second} replaced by version {self.versions[1]!r}"


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
    dependencies = _dependencies(committed, writers, version_order or {})
    realtime = _realtime(committed) if strict else []
    for name, kinds, anti_dependencies in _CYCLES:
        for timed in (False, True) if strict else (False,):
            usable = [one for one in dependencies if one.kind in kinds] + (realtime if timed else [])
            if anti_dependencies == 1:
                anti = [one for one in dependencies if one.kind == RW]
                cycle = _cycle_through_one(networkx, usable, anti)
            else:
                cycle = _cycle(networkx, usable)
            if cycle:
                result.anomaly = name + ("-realtime" if any(one.kind == RT for one in cycle) else "")
                result.cycle = tuple(cycle)
                result.reason = f"{len(cycle)} dependencies contradict each other"
                return result
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(committed)))
    number = {one: index for index, one in enumerate(committed)}
    graph.add_edges_from((number[one.before], number[one.after]) for one in [*dependencies, *realtime])
    result.order = tuple(committed[index] for index in networkx.lexicographical_topological_sort(graph))
    return result


def _networkx() -> Any:
    try:
        import networkx
    except ImportError:
        raise UsageError("serializable needs networkx, which is not installed: pip install networkx") from None
    return networkx


Writers = dict[tuple[Hashable, Hashable], Transaction]


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
                    f"{one} read version {version!r} of {key!r}, which nobody wrote; read version None of what was "
                    "there in the beginning"
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


def _dependencies(
    committed: Sequence[Transaction], writers: Writers, version_order: Mapping[Any, Sequence[Hashable]]
) -> list[Dependency]:
    chosen = set(committed)
    written: dict[Hashable, list[Hashable]] = {}
    for (key, version), writer in writers.items():
        if writer in chosen:
            written.setdefault(key, []).append(version)
    following: dict[tuple[Hashable, Hashable], Hashable] = {}
    for key, versions in written.items():
        ordered = [None, *_in_order(key, versions, version_order.get(key))]
        following.update({(key, old): new for old, new in pairwise(ordered)})
    found: dict[Dependency, None] = {}
    for one in committed:
        for kind, key, version in one.operations:
            replacing = following.get((key, version))
            replacer = None if replacing is None else writers[key, replacing]
            if kind == "read" and version is not None and writers[key, version] is not one:
                found[Dependency(writers[key, version], one, WR, key, (version,))] = None
            if replacer is not None and replacer is not one:
                found[Dependency(one, replacer, WW if kind == "write" else RW, key, (version, replacing))] = None
    return list(found)


def _in_order(key: Hashable, versions: list[Hashable], given: Sequence[Hashable] | None) -> list[Hashable]:
    if given is not None:
        places = {version: place for place, version in enumerate(given)}
        missing = [version for version in versions if version not in places]
        if missing:
            raise UsageError(f"version_order[{key!r}] has no place for version {missing[0]!r}, which was written")
        return sorted(versions, key=places.__getitem__)
    try:
        return sorted(versions)  # type: ignore[type-var]
    except TypeError as error:
        raise UsageError(f"the versions of {key!r} have no order ({error}); pass version_order") from error


def _realtime(committed: Sequence[Transaction]) -> list[Dependency]:
    """Who ended before whom began; what follows from other edges of this kind is left out."""
    moments = [(one.began, 1, one) for one in committed]
    moments += [(one.ended, 0, one) for one in committed if one.ended is not None and one.outcome == COMMITTED]
    moments.sort(key=lambda moment: moment[:2])
    found: list[Dependency] = []
    latest: dict[Transaction, None] = {}  # ended, and nobody who began after them has
    earlier: dict[Transaction, list[Transaction]] = {}
    for _, begins, one in moments:
        if begins:
            earlier[one] = list(latest)
            found += [Dependency(other, one, RT) for other in latest]
        else:
            for other in earlier[one]:
                latest.pop(other, None)
            latest[one] = None
    return found


def _graph(networkx: Any, dependencies: Iterable[Dependency]) -> Any:
    # Nodes are positions, not transactions: networkx goes through sets, whose order would be that of addresses.
    graph = networkx.DiGraph()
    for one in sorted(dependencies, key=lambda one: (one.before.began, one.after.began, one.kind == RT)):
        if not graph.has_edge(one.before.began, one.after.began):
            graph.add_edge(one.before.began, one.after.began, dependency=one)
    return graph


def _path(networkx: Any, graph: Any, start: int, end: int) -> list[Dependency] | None:
    try:
        nodes = networkx.shortest_path(graph, start, end)
    except (networkx.NetworkXNoPath, networkx.NodeNotFound):
        return None
    return [graph.edges[pair]["dependency"] for pair in pairwise(nodes)]


def _cycle(networkx: Any, dependencies: Sequence[Dependency]) -> list[Dependency] | None:
    """A shortest cycle, the one that begins at the oldest transaction among those."""
    graph = _graph(networkx, dependencies)
    tangles = [component for component in networkx.strongly_connected_components(graph) if len(component) > 1]
    best: list[Dependency] | None = None
    for start in sorted(node for component in tangles for node in component):
        for following in sorted(graph.successors(start)):
            back = _path(networkx, graph, following, start)
            if back is not None and (best is None or len(back) + 1 < len(best)):
                best = [graph.edges[start, following]["dependency"], *back]
    return best


def _cycle_through_one(
    networkx: Any, dependencies: Sequence[Dependency], anti_dependencies: Sequence[Dependency]
) -> list[Dependency] | None:
    """A shortest cycle through exactly one of ``anti_dependencies``."""
    graph = _graph(networkx, dependencies)
    best: list[Dependency] | None = None
    for one in sorted(anti_dependencies, key=lambda one: (one.before.began, one.after.began)):
        back = _path(networkx, graph, one.after.began, one.before.began)
        if back is not None and (best is None or len(back) + 1 < len(best)):
            best = [one, *back]
    return best
