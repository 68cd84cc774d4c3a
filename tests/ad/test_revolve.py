"""Orders of kept states and repeated runs, against closed forms, dynamic programming and another implementation."""

from __future__ import annotations

from functools import cache
from itertools import islice
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun.ad.revolve import (
    Action,
    Advance,
    Free,
    Keep,
    OnlineReversal,
    Restore,
    Reverse,
    forward_steps,
    repetitions,
    reversal,
)
from detrun.errors import UsageError

UNREACHED = -1


class Carried:
    """Carries out actions on numbers alone and refuses what cannot be done; counts what it costs."""

    def __init__(self, windows: int, snapshots: int, held: dict[int, int] | None = None, present: int = 0) -> None:
        self.present = present
        self.slots = dict(held or {})
        self.snapshots = snapshots
        self.advanced = 0
        self.written = 0
        self.reversed_next = windows - 1

    def carry_out(self, actions) -> Carried:
        for action in actions:
            self.act(action)
        assert self.reversed_next == -1, f"windows up to {self.reversed_next} were never reversed"
        assert self.slots == {}, f"states left behind: {self.slots}"
        return self

    def act(self, action: Action) -> None:
        match action:
            case Advance(start, stop):
                assert self.present == start < stop
                self.advanced += stop - start
                self.present = stop
            case Keep(at, slot):
                assert self.present == at
                assert slot not in self.slots
                self.slots[slot] = at
                self.written += 1
                assert len(self.slots) <= self.snapshots
                assert 0 <= slot < self.snapshots
            case Restore(at, slot):
                assert self.slots[slot] == at
                self.present = at
            case Free(at, slot):
                assert self.slots.pop(slot) == at
            case Reverse(window):
                assert self.present == window == self.reversed_next
                self.present = UNREACHED
                self.reversed_next -= 1


@cache
def least(windows: int, snapshots: int) -> tuple[int, int]:
    """By trying every split: the fewest windows advanced, and then the fewest states kept, the first not counted."""
    if windows <= 1:
        return 0, 0
    if snapshots == 1:
        return windows * (windows - 1) // 2, 0
    found = []
    for j in range(1, windows):
        after, before = least(windows - j, snapshots - 1), least(j, snapshots)
        found.append((j + after[0] + before[0], after[1] + before[1] + (windows - j > 1)))
    return min(found)


@given(windows=st.integers(0, 400), snapshots=st.integers(1, 40))
def test_every_window_is_reversed_once_in_descending_order_within_its_slots(windows, snapshots):
    carried = Carried(windows, snapshots).carry_out(reversal(windows, snapshots))
    assert carried.advanced == forward_steps(windows, snapshots)


def test_no_split_whatever_advances_less_or_then_writes_less():
    for windows in range(2, 70):
        for snapshots in range(1, 9):
            carried = Carried(windows, snapshots).carry_out(reversal(windows, snapshots))
            assert (carried.advanced, carried.written - 1) == least(windows, snapshots)


def test_the_count_is_that_of_another_implementation():
    schedules = pytest.importorskip("checkpoint_schedules")
    for windows in range(1, 45):
        for snapshots in range(1, min(windows, 9)):
            theirs = sum(
                action.n1 - action.n0
                for action in schedules.MultistageCheckpointSchedule(windows, snapshots, 0)
                if isinstance(action, schedules.Forward)
            )
            # They count the taped run of each window as forward, too.
            assert theirs == forward_steps(windows, snapshots) + windows


@given(repetition=st.integers(1, 6), snapshots=st.integers(1, 6))
def test_the_repetition_number_steps_up_exactly_past_a_binomial(repetition, snapshots):
    """``beta(c, r) = binomial(c + r, c)`` windows need r repetitions, one more window needs r + 1."""
    most = comb(snapshots + repetition, snapshots)
    assert repetitions(most, snapshots) == repetition
    assert repetitions(most + 1, snapshots) == repetition + 1


@given(windows=st.integers(1, 200), snapshots=st.integers(1, 8))
def test_no_window_is_advanced_more_often_than_the_repetition_number(windows, snapshots):
    often = [0] * windows
    for action in reversal(windows, snapshots):
        if isinstance(action, Advance):
            for window in range(action.start, action.stop):
                often[window] += 1
    assert max(often) == repetitions(windows, snapshots)


def test_a_reversal_of_a_million_windows_starts_at_once_and_costs_what_was_promised():
    """Thirty kept states and 10**6 windows: r = 6, so 6 n - beta(31, 5) = 5,623,008 windows advanced."""
    assert forward_steps(10**6, 30) == 6 * 10**6 - comb(36, 31) == 5_623_008
    assert list(islice(reversal(10**6, 30), 2)) == [Keep(0, 0), Advance(0, comb(30 + 5, 30))]
    assert next(reversal(10**15, 30)) == Keep(0, 0)


@given(windows=st.integers(1, 300), snapshots=st.integers(1, 12))
def test_a_run_of_unknown_length_can_be_reversed_wherever_it_stops(windows, snapshots):
    """Wang, Moin and Iaccarino: the repetition number is minimal, so n + (advanced by the actions) <= r n + 1."""
    online = OnlineReversal(snapshots)
    held: dict[int, int] = {}
    for window in range(windows):
        for action in online.leave():
            if isinstance(action, Free):
                assert held.pop(action.slot) == action.at
            else:
                assert action.at == window
                assert action.slot not in held
                held[action.slot] = window
        assert len(held) <= snapshots
    assert online.kept == sorted((at, slot) for slot, at in held.items())
    carried = Carried(windows, snapshots, held, UNREACHED).carry_out(online.actions())
    assert carried.advanced == online.forward_steps()
    assert windows + carried.advanced <= max(repetitions(windows, snapshots), 1) * windows + 1


def test_not_knowing_the_length_costs_at_most_29_percent():
    worst = 0.0
    for snapshots in (1, 2, 3, 5, 10, 30):
        online = OnlineReversal(snapshots)
        for windows in range(1, 1500):
            online.leave()
            if windows > 50:
                mine = windows + online.forward_steps() + windows
                worst = max(worst, mine / (forward_steps(windows, snapshots) + windows))
    assert 1.2 < worst < 1.29  # the bound is not idle: some length comes near it


def test_keeping_evenly_spaced_states_would_break_the_bound():
    """The negative twin: 30 kept states at equal distances in 10**4 windows are far from minimal repetition."""
    distance = 10_000 // 30
    evenly = sum(forward_steps(distance, 30 - place) for place in range(30)) + 10_000
    assert evenly > 1.29 * (forward_steps(10_000, 30) + 10_000)


@pytest.mark.parametrize(("windows", "snapshots"), [(-1, 3), (10, 0), (0, -1)])
def test_an_impossible_reversal_is_refused_at_once(windows, snapshots):
    with pytest.raises(UsageError):
        reversal(windows, snapshots)
