"""Revolve: the states to keep and the windows to run again, so that ``n`` windows are reversed at the least cost.

Reversing needs the state before window ``n - 1``, then before ``n - 2``, down to 0. With room for ``c`` kept states,
the one at the start among them, the least number of windows that must be advanced without a tape is

    t(n, c) = r n - beta(c + 1, r - 1),   beta(s, t) = binomial(s + t, s),   beta(c, r - 1) < n <= beta(c, r)

and `reversal` meets it exactly. ``r``, the repetition number, is how often the most repeated window is advanced. Beyond
these every window is run once with the tape on, so the program is evaluated ``t(n, c) + n`` times in all. The state
after the last window is never advanced to: a run that needs it for its own sake (a loss) tapes that window at the end
of the first sweep, where `reversal` puts it.

Source: Griewank and Walther, "Algorithm 799: revolve", ACM TOMS 26 (2000). Its recursion is written here as a loop over
the states that are kept, which are a stack, so memory is O(c), an action costs O(log n), and nothing is computed ahead.
Where several splits are optimal we take, as they do, one that keeps the fewest states (``tests/ad/test_revolve.py``
compares both counts with dynamic programming). One departure: a slot is freed when its window is about to be reversed,
not after, so that a kept state that can be used only by consuming it, such as a forked process, need not be copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

from detrun_scheduler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep the state before window ``at``, which is the present one, in ``slot``."""

    at: int
    slot: int


@dataclass(frozen=True, slots=True)
class Restore:
    """Make the state before window ``at``, kept in ``slot``, the present one. The slot keeps it."""

    at: int
    slot: int


@dataclass(frozen=True, slots=True)
class Free:
    """Forget what ``slot`` keeps: the state before window ``at``."""

    at: int
    slot: int


@dataclass(frozen=True, slots=True)
class Advance:
    """Run windows ``start`` to ``stop - 1`` without a tape."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Reverse:
    """Run ``window`` with the tape on, from the present state, and sweep the tape. Windows come in descending order."""

    window: int


Action = Keep | Restore | Free | Advance | Reverse


def check(windows: int, snapshots: int) -> None:
    """Raises `UsageError` unless ``snapshots`` is a whole number of at least 1 and ``windows`` is at least 0."""
    if windows < 0:
        raise UsageError(f"windows={windows} is not valid; give 0 or more")
    if not isinstance(snapshots, int) or snapshots < 1:
        raise UsageError(
            f"snapshots={snapshots!r} is not valid; give a whole number of at least 1, for the state at the start"
        )


def repetitions(windows: int, snapshots: int) -> int:
    """The least ``r`` with ``windows <= beta(snapshots, r)``: how often the most repeated window is advanced."""
    check(windows, snapshots)
    if windows <= 1:
        return 0
    # beta is increasing in r: bracket by doubling, then halve. One kept state needs r = n - 1, so counting is too slow.
    low, high = 0, 1
    while comb(snapshots + high, snapshots) < windows:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if comb(snapshots + middle, snapshots) < windows:
            low = middle
        else:
            high = middle
    return high


def forward_steps(windows: int, snapshots: int) -> int:
    """``t(n, c)``: windows advanced without a tape by an optimal reversal, in closed form."""
    r = repetitions(windows, snapshots)
    return r * windows - comb(snapshots + r, snapshots + 1)


def split(windows: int, snapshots: int) -> int:
    """The distance to advance before the next state is kept, with ``windows >= 2`` ahead and ``snapshots >= 2`` slots.

    The present state occupies one of the slots. ``j`` is optimal exactly if the ``j`` windows before the new kept state
    number between ``beta(c, r - 2)`` and ``beta(c, r - 1)``, and those after it, which have one slot less, between
    ``beta(c - 1, r - 1)`` and ``beta(c - 1, r)``, where ``r`` is the repetition number of the whole. Among these
    ``n - j = beta(c - 1, r - 1) + beta(c - 2, r - 1)``, or what comes closest, keeps the fewest states.
    """
    c, r = snapshots, repetitions(windows, snapshots)
    shortest = max(comb(c + r - 2, c), windows - comb(c + r - 1, c - 1), 1)
    longest = min(comb(c + r - 1, c), windows - comb(c + r - 2, c - 1))
    fewest_writes = windows - comb(c + r - 2, c - 1) - comb(c + r - 3, c - 2)
    return min(max(fewest_writes, shortest), longest)


def reversal(windows: int, snapshots: int, *, start: int = 0, held: int = 0) -> Iterator[Action]:
    """The actions that reverse ``windows`` windows from the state before the first, which is present, in order.

    Args:
        windows: how many; known ahead. See `OnlineReversal` where it is not.
        snapshots: how many slots may be in use at once. Numbers of slots in use are ``held, held + 1, …`` without gaps,
            so a low slot is written and read rarely: where storage differs in speed, give the slowest the lowest.
        start: number of the first window.
        held: number of the first slot.

    Raises:
        UsageError: as `check`, at once and not at the first action.
    """
    check(windows, snapshots)
    return _actions(start, start + windows, snapshots, held)


def _actions(start: int, end: int, snapshots: int, held: int) -> Iterator[Action]:
    kept: list[int] = []
    present = start
    while present < end:
        if end - present > 1 and not kept:
            kept.append(present)
            yield Keep(present, held)
        while end - present > 1:
            # The kept copy of the present state counts among the slots of the windows ahead.
            free = snapshots - len(kept)
            target = end - 1 if free == 0 else present + split(end - present, free + 1)
            yield Advance(present, target)
            present = target
            # A state that is reversed from right away is not kept.
            if end - present > 1:
                kept.append(present)
                yield Keep(present, held + len(kept) - 1)
        yield Reverse(end - 1)
        end -= 1
        if kept:
            present = kept[-1]
            yield Restore(present, held + len(kept) - 1)
            if end - present == 1:
                yield Free(kept.pop(), held + len(kept))


class OnlineReversal:
    """The states to keep while a run of unknown length goes on, and the actions that reverse it wherever it stops.

    Call `leave` before each window. Whenever the run stops, after ``n`` windows, `actions` reverses it, and

        (the n windows of the run itself) + (windows advanced by the actions) <= r n + 1

    where ``r`` is the repetition number of an offline reversal, whose own count is ``r n - beta(c + 1, r - 1)``.
    Counting also what is run with the tape on, at most 1.29 times the offline optimum (the worst over n = 51 … 20,000
    and c = 1 … 30, in which r ranges from 2 to n - 1; for n in the thousands it is 1.0 to 1.15).

    Source: Wang, Moin and Iaccarino, "Minimal repetition dynamic checkpointing algorithm for unsteady adjoint
    calculation", SIAM J. Sci. Comput. 31 (2009), algorithm 1; their theorem is that r is minimal for every n. A kept
    state has a *level*; one that lies before a kept state of higher level is dispensable, and the latest such makes
    room for a new one of level 0. If there is none, the newest moves on and rises by one level. Two departures: the
    newest is not stored until the run leaves it for good (their algorithm stores and removes it), and what lies between
    two kept states is reversed by the offline `reversal`, since its length is known by then.
    """

    def __init__(self, snapshots: int) -> None:
        check(0, snapshots)
        self.snapshots = snapshots
        self.windows = 0
        self._at: list[int] = []
        self._slot: list[int] = []
        self._level: list[int] = []
        self._present_level = 0

    @property
    def kept(self) -> list[tuple[int, int]]:
        """(window, slot) of every kept state, in ascending order of windows; the first is window 0."""
        return list(zip(self._at, self._slot, strict=True))

    def leave(self) -> list[Keep | Free]:
        """The run is about to advance its next window: what to forget, then whether to keep the present state."""
        present = self.windows
        self.windows += 1
        if len(self._at) < self.snapshots:
            return [self._keep(present, len(self._at))]
        highest_after = self._present_level
        # Window 0 has no level: it is never dispensable.
        for place in range(len(self._at) - 1, 0, -1):
            if self._level[place] < highest_after:
                freed = Free(self._at.pop(place), self._slot.pop(place))
                del self._level[place]
                return [freed, self._keep(present, freed.slot)]
            highest_after = max(highest_after, self._level[place])
        self._present_level += 1
        return []

    def _keep(self, present: int, slot: int) -> Keep:
        self._at.append(present)
        self._slot.append(slot)
        self._level.append(self._present_level)
        self._present_level = 0
        return Keep(present, slot)

    def actions(self) -> Iterator[Action]:
        """Reverse every window left so far. The present state is not used; ``snapshots`` slots are never exceeded.

        Slots are freed as the actions go; this object itself does not change.
        """
        end = self.windows
        for place in range(len(self._at) - 1, -1, -1):
            start, slot = self._at[place], self._slot[place]
            yield Restore(start, slot)
            free = [other for other in range(self.snapshots) if other not in self._slot[: place + 1]]
            if end - start == 1:
                yield Free(start, slot)
            for action in reversal(end - start, self.snapshots - place, start=start):
                yield from self._renumbered(action, [slot, *free])
            end = start

    @staticmethod
    def _renumbered(action: Action, slots: list[int]) -> Iterator[Action]:
        """The reversal of a segment counts slots from 0, and its slot 0 already holds what it would put there."""
        match action:
            case Keep(at, slot):
                if slot:
                    yield Keep(at, slots[slot])
            case Restore(at, slot):
                yield Restore(at, slots[slot])
            case Free(at, slot):
                yield Free(at, slots[slot])
            case _:
                yield action

    def forward_steps(self) -> int:
        """Windows that `actions` advances without a tape, in closed form; those of the run itself are not counted."""
        ends = [*self._at[1:], self.windows]
        return sum(
            forward_steps(end - start, self.snapshots - place)
            for place, (start, end) in enumerate(zip(self._at, ends, strict=True))
        )
