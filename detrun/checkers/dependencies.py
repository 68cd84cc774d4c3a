"""Dependencies between transactions, and the shortest cycles among them, of which an anomaly is made.

With versions of each key in their order, T1 → T2 is

``ww``  T2 wrote the version after one of T1's: T1 before T2,
``wr``  T2 read a version that T1 wrote: T1 before T2,
``rw``  T2 wrote the version after one that T1 read: T1, which has not seen it, before T2,
``rt``  T1 ended before T2 began; only asked for *strict* serializability.

Finding anomalies by cycles in this graph is from Elle (Kingsbury and Alvaro, VLDB 2020).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

from detrun.checkers.transactions import COMMITTED, Transaction, Writers
from detrun_scheduler.errors import UsageError

WW, WR, RW, RT = "ww", "wr", "rw", "rt"


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


def dependencies_of(
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


def realtime_dependencies(committed: Sequence[Transaction]) -> list[Dependency]:
    """Pairs of which one ended before the other began; what follows from other edges of this kind is left out."""
    moments = [(one.began, 1, one) for one in committed]
    moments += [(one.ended, 0, one) for one in committed if one.ended is not None and one.outcome == COMMITTED]
    moments.sort(key=lambda moment: moment[:2])
    found: list[Dependency] = []
    latest: dict[Transaction, None] = {}  # ended, and none that began after them has
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


def serial_order(transactions: Sequence[Transaction], dependencies: Iterable[Dependency]) -> list[Transaction] | None:
    """An order in which each comes after what it depends on, the first of ``transactions`` first where there is a
    choice; None if there is no such order.

    Most histories have one, and it is found for a fraction of what a search for cycles costs. Source: Kahn,
    "Topological sorting of large networks", CACM 5 (1962).
    """
    number = {one: place for place, one in enumerate(transactions)}
    following: list[list[int]] = [[] for _ in transactions]
    missing = [0] * len(transactions)  # of each, how many that it depends on are not in the order yet
    for one in dependencies:
        after = number[one.after]
        following[number[one.before]].append(after)
        missing[after] += 1
    ready = [place for place, count in enumerate(missing) if not count]  # sorted, and so a heap
    found = []
    while ready:
        place = heappop(ready)
        found.append(transactions[place])
        for after in following[place]:
            missing[after] -= 1
            if not missing[after]:
                heappush(ready, after)
    return found if len(found) == len(transactions) else None


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


def shortest_cycle(networkx: Any, dependencies: Sequence[Dependency]) -> list[Dependency] | None:
    """A shortest cycle, the one that begins at the oldest transaction among those."""
    graph = _graph(networkx, dependencies)
    components = [component for component in networkx.strongly_connected_components(graph) if len(component) > 1]
    best: list[Dependency] | None = None
    for start in sorted(node for component in components for node in component):
        for following in sorted(graph.successors(start)):
            back = _path(networkx, graph, following, start)
            if back is not None and (best is None or len(back) + 1 < len(best)):
                best = [graph.edges[start, following]["dependency"], *back]
    return best


def shortest_cycle_through_one(
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
