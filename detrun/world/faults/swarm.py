"""`Swarm`: a random fault plan for each seed.

Not every kind of fault in every plan: for each seed every *class* of faults is switched off with probability one half,
and the rest share the plan. A run without partitions gets further into what crashes alone can do, and faults that hide
each other's consequences are sometimes apart; this finds more, in less time, than the full mixture in every run
(Groce et al., "Swarm testing", ISSTA 2012; FoundationDB's simulation does the same with its workloads).

**The budget.** With ``down_max=f`` at no moment are more than ``f`` nodes *down*, so that a system of 2f + 1 that is
right survives every plan. Down is a node that is crashed, without power, paused, cut off from a majority, or on whose
disk data may be lost for good (fsyncs that lie or fail, flipped bits, misdirected writes: from the moment on when
that begins to the end, also after the fault has ended). A one-way partition counts for both of its sides' minority. A
bridge or a ring leaves no side whole; under a budget it is drawn only if the budget is a minority of the nodes, and
uses all of it. Every fault ends before ``seconds``, so a plan leaves a system that can recover.

A plan is a function of the swarm and the seed, wherever it is drawn; what a run draws besides does not depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detrun.world.faults import kinds as planned
from detrun.world.faults.kinds import PlannedFault
from detrun.world.faults.plan import FaultPlan
from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import draw_bits, exponential, index_below, permutation, stream_key, to_unit

ON_PROBABILITY = 0.5
ATTEMPTS = 20  # at finding place in the budget for one fault
DAMAGING = ("fsync_loss", "fsync_failure", "bit_flip_at_rest", "misdirected_write")
HARMLESS = ("bit_flip_on_read", "read_error", "write_error", "no_space", "slow")

CLASSES = (
    "crash",
    "power_loss",
    "pause",
    "partition",
    "clog",
    "latency",
    "loss",
    "duplication",
    "reordering",
    "slow_tail",
    "reset",
    "bandwidth",
    "disk_error",
    "disk_damage",
    "clock",
    "buggify",
)


@dataclass(frozen=True, slots=True)
class _Busy:
    """A time during which a node is down."""

    node: str
    begin: float
    end: float
    alone: bool = False  # no other node may be down meanwhile


class _Stream:
    """Draws of one purpose."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._key = stream_key(seed, f"swarm {purpose}")
        self._index = 0

    def bits(self) -> int:
        self._index += 1
        return draw_bits(self._key, self._index)

    def unit(self) -> float:
        return to_unit(self.bits())

    def below(self, count: int) -> int:
        return index_below(self.bits(), count)

    def between(self, low: float, high: float) -> float:
        # Rounded, so that a plan that is written down is the plan that was drawn and can be read.
        return round(low + (high - low) * self.unit(), 6)

    def length(self, mean: float, most: float) -> float:
        return round(min(max(float(exponential(self.unit(), mean)), mean / 10), most), 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swarm:
    """Draws fault plans.

    Args:
        nodes: names of the nodes that faults may strike.
        seconds: the faults of a plan begin and end between 0 and this.
        faults: how many a plan has, about; fewer if the budget leaves no room.
        down_max: never more nodes down at once; None for no limit.
        on_probability: of each class to be in a plan.
        weights: class -> relative frequency among those that are switched on, 1 by default; 0 for never.
        mean_seconds: how long a fault lasts on average; a tenth of ``seconds`` by default.
        allow_no_effect: of every fault. True by default: a random plan may strike where nothing happens; a campaign
            shows by its counts whether every class has struck.
    """

    nodes: tuple[str, ...]
    seconds: float = 10.0
    faults: int = 10
    down_max: int | None = None
    on_probability: float = ON_PROBABILITY
    weights: Mapping[str, float] = field(default_factory=dict)
    mean_seconds: float | None = None
    allow_no_effect: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        if not self.nodes or len(set(self.nodes)) < len(self.nodes):
            raise UsageError(f"Swarm: nodes={self.nodes!r} must be names of nodes, each once")
        if not self.seconds > 0 or self.faults < 0:
            raise UsageError(f"Swarm: seconds={self.seconds!r} must be positive and faults={self.faults!r} at least 0")
        if self.down_max is not None and not 0 <= self.down_max <= len(self.nodes):
            raise UsageError(
                f"Swarm: down_max={self.down_max!r} of {len(self.nodes)} nodes; give a number from 0 to that"
            )
        if not 0 <= self.on_probability <= 1:
            raise UsageError(f"Swarm: on_probability={self.on_probability!r} is not one; give a number from 0 to 1")
        for name, weight in self.weights.items():
            if name not in CLASSES or not weight >= 0:
                raise UsageError(
                    f"Swarm: weights[{name!r}]={weight!r}; give numbers of at least 0 for some of {', '.join(CLASSES)}"
                )

    def classes(self, seed: int) -> tuple[str, ...]:
        """The classes that are switched on for ``seed``; at least one, unless all have weight 0."""
        possible = [name for name in CLASSES if self.weights.get(name, 1.0) > 0]
        on = tuple(name for name in possible if _Stream(seed, f"class {name}").unit() < self.on_probability)
        if on or not possible:
            return on
        return (possible[_Stream(seed, "only class").below(len(possible))],)

    def plan(self, seed: int) -> FaultPlan:
        """The plan for ``seed``."""
        return _Drawing(self, seed).plan()


class _Drawing:
    """One plan in the making."""

    def __init__(self, swarm: Swarm, seed: int) -> None:
        self.swarm = swarm
        self.on = swarm.classes(seed)
        self.weights = [swarm.weights.get(name, 1.0) for name in self.on]
        self.stream = _Stream(seed, "plan")
        self.busy: list[_Busy] = []
        self.mean = swarm.mean_seconds if swarm.mean_seconds is not None else swarm.seconds / 10

    def plan(self) -> FaultPlan:
        found: list[PlannedFault] = []
        if "buggify" in self.on:
            found.append(planned.Buggify(at=0.0, allow_no_effect=self.swarm.allow_no_effect))
        struck = [name for name in self.on if name != "buggify"]
        for _ in range(self.swarm.faults if struck else 0):
            for _ in range(ATTEMPTS):
                fault = self._fault(self._class_of(struck))
                if fault is not None:
                    found.append(fault)
                    break
        return FaultPlan(tuple(found)).ordered()

    def _class_of(self, names: Sequence[str]) -> str:
        weights = [self.swarm.weights.get(name, 1.0) for name in names]
        left = self.stream.unit() * sum(weights)
        for name, weight in zip(names, weights, strict=True):
            left -= weight
            if left < 0:
                return name
        return names[-1]

    def _fault(self, name: str) -> PlannedFault | None:
        """A fault of a class, None if the budget has no place for the one that was drawn."""
        stream, seconds = self.stream, self.swarm.seconds
        at = stream.between(0.0, seconds * 0.9)
        lasts = stream.length(self.mean, seconds - at)
        common: dict[str, Any] = {"at": at, "allow_no_effect": self.swarm.allow_no_effect}
        node = self.swarm.nodes[stream.below(len(self.swarm.nodes))]
        match name:
            case "crash" | "power_loss":
                kind = planned.Crash if name == "crash" else planned.PowerLoss
                return kind(node=node, down_seconds=lasts, **common) if self._take([node], at, at + lasts) else None
            case "pause":
                return (
                    planned.Pause(node=node, lasts_seconds=lasts, **common)
                    if self._take([node], at, at + lasts)
                    else None
                )
            case "partition":
                return self._partition(at, lasts, common)
            case "disk_error" | "disk_damage":
                return self._disk(name, node, at, lasts, common)
            case "clock":
                off = stream.between(-1.0, 1.0)
                if stream.unit() < 0.5:
                    return planned.ClockDrift(node=node, rate=round(off / 10, 6), lasts_seconds=lasts, **common)
                return planned.ClockSkew(node=node, seconds=off, lasts_seconds=lasts, **common)
            case _:
                return self._link(name, node, lasts, common)

    def _link(self, name: str, node: str, lasts: float, common: dict[str, Any]) -> PlannedFault:
        stream = self.stream
        ends = [{}, {"source": node}, {"destination": node}][stream.below(3)]
        common = {**common, **ends, "lasts_seconds": lasts}
        rate = stream.between(0.01, 0.5)
        match name:
            case "clog":
                # A clog of everything stops the clock of a protocol; one of a node tells it from the others.
                return planned.Clog(**({"source": node, **common} if not ends else common))
            case "latency":
                return planned.LinkLatency(mean_seconds=stream.between(self.mean / 100, self.mean / 2), **common)
            case "bandwidth":
                return planned.Bandwidth(bytes_per_second=stream.between(1_000.0, 100_000.0), **common)
            case "loss":
                return planned.Loss(rate=rate, **common)
            case "duplication":
                return planned.Duplication(rate=rate, **common)
            case "reordering":
                return planned.Reordering(rate=rate, **common)
            case "slow_tail":
                return planned.SlowTail(rate=rate / 5, **common)
            case _:
                return planned.Reset(rate=rate / 10, **common)

    def _disk(self, name: str, node: str, at: float, lasts: float, common: dict[str, Any]) -> PlannedFault | None:
        kinds = DAMAGING if name == "disk_damage" else HARMLESS
        kind = kinds[self.stream.below(len(kinds))]
        rate = self.stream.between(0.01, 0.3)
        # What is lost is lost for the rest of the run.
        if name == "disk_damage" and not self._take([node], at, float("inf")):
            return None
        return planned.DiskFault(node=node, fault=kind, rate=rate, lasts_seconds=lasts, **common)

    def _partition(self, at: float, lasts: float, common: dict[str, Any]) -> PlannedFault | None:
        nodes, stream = self.swarm.nodes, self.stream
        if len(nodes) < 2:
            return None
        common = {**common, "lasts_seconds": lasts}
        minority = (len(nodes) - 1) // 2
        shape = ("groups", "isolate", "bridge", "majorities ring")[stream.below(4)]
        order = [nodes[place] for place in permutation(stream.bits(), len(nodes))]
        if shape in ("bridge", "majorities ring"):
            if len(nodes) < 3 or (shape == "majorities ring" and len(nodes) < 4):
                return None
            if self.swarm.down_max is not None and self.swarm.down_max < minority:
                return None
            return (
                planned.Partition(shape=shape, nodes=nodes, **common)
                if self._take(order[: max(minority, 1)], at, at + lasts, alone=True)
                else None
            )
        size = 1 if shape == "isolate" else 1 + stream.below(max(len(nodes) // 2, 1))
        groups = (tuple(sorted(order[:size])), tuple(sorted(order[size:])))
        one_way = stream.unit() < 0.25
        if one_way and stream.unit() < 0.5:
            groups = groups[::-1]
        cut_off = order[:size]
        return (
            planned.Partition(groups=groups, one_way=one_way, **common) if self._take(cut_off, at, at + lasts) else None
        )

    def _take(self, nodes: Sequence[str], begin: float, end: float, *, alone: bool = False) -> bool:
        """Take ``nodes`` down from ``begin`` to ``end``, if the budget allows it.

        ``alone``: no other node may be down meanwhile.
        """
        most = self.swarm.down_max
        wanted = [_Busy(node, begin, end, alone) for node in nodes]
        if most is not None:
            meanwhile = [one for one in self.busy if one.begin <= end and begin <= one.end]
            if meanwhile and (alone or any(one.alone for one in meanwhile)):
                return False
            # The number of nodes down changes only where a time begins.
            starts = [begin, *(one.begin for one in meanwhile if one.begin > begin)]
            if any(
                len({one.node for one in (*meanwhile, *wanted) if one.begin <= start <= one.end}) > most
                for start in starts
            ):
                return False
        self.busy.extend(wanted)
        return True


def down_most(plan: FaultPlan, nodes: Sequence[str]) -> int:
    """The most nodes that ``plan`` has down at one moment, by the rules of the budget; the swarm's own check."""
    spans: list[_Busy] = []
    for fault in plan:
        begin = fault.earliest
        match fault:
            case planned.Crash() | planned.PowerLoss():
                spans.append(_Busy(fault.node, begin, _end(begin, fault.down_seconds)))
            case planned.Pause():
                spans.append(_Busy(fault.node, begin, _end(begin, fault.lasts_seconds)))
            case planned.DiskFault() if fault.fault in DAMAGING:
                spans.append(_Busy(fault.node, begin, float("inf")))
            case planned.Partition() if fault.groups:
                smaller = min(fault.groups, key=len)
                spans.extend(_Busy(name, begin, _end(begin, fault.lasts_seconds)) for name in smaller)
            case planned.Partition():
                # No node in particular: so many of their own.
                count = max((len(nodes) - 1) // 2, 1) if fault.shape != "isolate" else 1
                spans.extend(
                    _Busy(f"({fault.name} {i})", begin, _end(begin, fault.lasts_seconds)) for i in range(count)
                )
    return max((len({one.node for one in spans if one.begin <= span.begin <= one.end}) for span in spans), default=0)


def _end(begin: float, lasts: float | None) -> float:
    return float("inf") if lasts is None else begin + lasts
