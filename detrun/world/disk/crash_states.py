"""Every state in which a power loss can leave a disk, at every point of a log of operations.

`crash_states` walks a `DiskLog` and keeps, at each point, all sets of pending changes that may have reached the disk
(closed under what each change needs, see `DiskState`). A set that is possible at a point stays possible until a sync
makes something durable that it lacks, so each state comes with the intervals of points at which it is possible. Sets
that leave the same files with the same contents are one state.

Cost: the number of sets, which is exponential in what is pending at once, never in the length of the log. Beyond
``limit`` sets at one point a sample goes on, and the result says so: `CrashStates.complete` is then False, and not
finding a bad state proves nothing.

Source: the exhaustive mode of ALICE (Pillai et al., OSDI 2014), which also replays micro-operations in every allowed
order; keeping the sets from point to point instead of enumerating anew for each is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from detrun.world.disk.image import Change, SymbolicLink, Tree
from detrun.world.disk.model import DiskLog, Dropped, Made, Synced
from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import draw_bits, stream_key

SETS_MAX = 20_000
_Key: TypeAlias = tuple[tuple[str, bytes | SymbolicLink | None], ...]


@dataclass(slots=True)
class CrashState:
    """What may be on the disk after a power loss, and when.

    Attributes:
        tree: paths and contents; see `Tree`.
        intervals: first and last point of each time during which a power loss can leave this.
    """

    tree: Tree
    intervals: list[tuple[int, int]] = field(default_factory=list)

    @property
    def first_point(self) -> int:
        """The first point at which this state is possible: nothing begun later can be in it."""
        return min(first for first, _ in self.intervals)

    @property
    def last_point(self) -> int:
        """The last point at which this state is possible: everything promised by then must be in it."""
        return max(last for _, last in self.intervals)

    def possible_at(self, point: int) -> bool:
        """Whether a power loss at that point can leave this state."""
        return any(first <= point <= last for first, last in self.intervals)


@dataclass(slots=True)
class CrashStates:
    """All crash states of a log, or a sample of them.

    Attributes:
        states: distinct trees, in the order in which they were first found.
        points: how many points there were, the one before the first operation included.
        sets: how many sets of surviving changes were looked at.
        complete: whether these are all there are.
    """

    states: list[CrashState]
    points: int
    sets: int
    complete: bool

    def __iter__(self) -> Iterator[CrashState]:
        return iter(self.states)

    def __len__(self) -> int:
        return len(self.states)

    def at(self, point: int) -> list[CrashState]:
        """The states possible at one point."""
        return [state for state in self.states if state.possible_at(point)]

    def __str__(self) -> str:
        kind = "all of them" if self.complete else "a sample: there are more"
        return (
            f"{len(self.states):,} crash states at {self.points:,} points, from {self.sets:,} sets of surviving "
            f"changes ({kind})"
        )


class _Reached(NamedTuple):
    key: _Key  # the tree
    since: int


def crash_states(log: DiskLog, *, limit: int = SETS_MAX, seed: int = 0) -> CrashStates:
    """Every state that a power loss at any point of the log can leave.

    Args:
        log: from `Disk.start_log`.
        limit: go on with a sample of so many sets wherever there are more.
        seed: of the sample.
    """
    if limit < 2:
        raise UsageError(f"crash_states: limit={limit!r} must be at least 2, for nothing and everything surviving")
    return _Enumeration(log, limit, seed).run()


class _Enumeration:
    """Sets of surviving changes as bit masks; bit k stands for the change that was made k-th."""

    def __init__(self, log: DiskLog, limit: int, seed: int) -> None:
        self.log = log
        self.limit = limit
        self.stream = stream_key(seed, "crash states")
        self.drawn = 0
        self.durable = log.base.copy()
        self.pending: dict[int, tuple[int, Change]] = {}  # number -> (bit, change)
        self.found: dict[_Key, CrashState] = {}
        self.sets = 1
        self.complete = True
        self.alive: dict[int, _Reached] = {0: self._reached(0, 0)}
        self.bits = 0

    def run(self) -> CrashStates:
        point = 0
        for point, entry in enumerate(self.log.entries, 1):
            if isinstance(entry, Made):
                self._made(point, entry)
            elif isinstance(entry, Synced):
                self._synced(point, entry)
            else:
                self._dropped(point, entry)
        for reached in self.alive.values():
            self._close(reached, point)
        states = list(self.found.values())
        for state in states:
            state.intervals = _merged(state.intervals)
        return CrashStates(states, len(self.log.entries) + 1, self.sets, self.complete)

    def _made(self, point: int, entry: Made) -> None:
        bit = 1 << self.bits
        self.bits += 1
        needs = 0
        for number in entry.needs:
            if number in self.pending:
                needs |= self.pending[number][0]
        self.pending[entry.number] = (bit, entry.change)
        larger = [mask | bit for mask in self.alive if mask & needs == needs]
        if len(self.alive) + len(larger) > self.limit:
            larger = self._thinned(point, larger)
        for mask in larger:
            self.sets += 1
            self.alive[mask] = self._reached(mask, point)

    def _thinned(self, point: int, larger: list[int]) -> list[int]:
        """Half of the room for sets with the newest change, half for those without; the extremes always stay."""
        self.complete = False
        half = self.limit // 2
        if len(self.alive) > half:
            kept = self._sample(list(self.alive), half)
            for mask in [mask for mask in self.alive if mask not in kept]:
                self._close(self.alive.pop(mask), point - 1)
        room = self.limit - len(self.alive)
        return list(self._sample(larger, room)) if len(larger) > room else larger

    def _sample(self, masks: list[int], count: int) -> dict[int, None]:
        # The smallest and the largest set come first; the rest in the order of their draws.
        extremes = [min(masks), max(masks)][:count]
        rest = []
        for mask in masks:
            if mask not in extremes:
                rest.append((draw_bits(self.stream, self.drawn), mask))
                self.drawn += 1
        rest.sort()
        return dict.fromkeys([*extremes, *(mask for _, mask in rest[: max(count - len(extremes), 0)])])

    def _synced(self, point: int, entry: Synced) -> None:
        damaged = dict(entry.damaged)
        synced = 0
        for number in entry.numbers:
            bit, change = self.pending.pop(number)
            synced |= bit
            # In this order nothing that is still pending comes before a synced change of the same atom: what a
            # synced change needs is synced with it.
            damaged.get(number, change).apply(self.durable)
        alive: dict[int, _Reached] = {}
        for mask, reached in self.alive.items():
            if mask & synced == synced and not damaged:
                alive[mask & ~synced] = reached
            else:
                self._close(reached, point - 1)
        for mask in self.alive:
            rest = mask & ~synced
            if rest not in alive:
                # Only after damage or in a sample: the union of two surviving sets survives, so it was alive already.
                alive[rest] = self._reached(rest, point)
        self.alive = alive

    def _dropped(self, point: int, entry: Dropped) -> None:
        dropped = 0
        for number in entry.numbers:
            dropped |= self.pending.pop(number)[0]
        alive: dict[int, _Reached] = {}
        for mask, reached in self.alive.items():
            if mask & dropped:
                self._close(reached, point - 1)
            else:
                alive[mask] = reached
        for mask in self.alive:
            rest = mask & ~dropped
            if rest not in alive:
                # What needs a dropped change may survive without it: the later sector holds the earlier bytes, too.
                alive[rest] = self._reached(rest, point)
        self.alive = alive

    def _reached(self, mask: int, point: int) -> _Reached:
        image = self.durable.copy()
        for bit, change in self.pending.values():
            if mask & bit:
                change.apply(image)
        return _Reached(tuple(image.tree().items()), point)

    def _close(self, reached: _Reached, point: int) -> None:
        if point < reached.since:
            return
        state = self.found.get(reached.key)
        if state is None:
            state = self.found[reached.key] = CrashState(dict(reached.key))
        state.intervals.append((reached.since, point))


def _merged(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
