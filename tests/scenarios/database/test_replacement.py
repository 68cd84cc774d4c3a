"""Policies of replacement: traces worked by hand, and what each is for."""

from __future__ import annotations

import pytest

from detrun_scenarios.database.storage.replacement import POLICIES, PolicyName


def misses(policy: PolicyName, trace: list[int], frames: int, pinned: frozenset[int] = frozenset()) -> list[int]:
    """The pages of a trace that were not there."""
    found, here, missed = POLICIES[policy](), set[int](), []
    for page_id in trace:
        if page_id not in here:
            missed.append(page_id)
            if len(here) == frames:
                victim = found.victim(lambda one: one not in pinned)
                assert victim in here
                assert victim is not None
                found.dropped(victim)
                here.remove(victim)
            here.add(page_id)
        found.touched(page_id)
    return missed


@pytest.mark.parametrize(
    ("policy", "missed"),
    [
        ("lru", [1, 2, 3, 4, 2, 5, 1]),  # 4 takes the place of 2, the longest unused
        ("clock", [1, 2, 3, 4, 5, 1]),  # a round takes all marks away, 1 goes; a new mark saves 2 from 5
        ("lru2", [1, 2, 3, 4, 2, 5]),  # 1 was used twice, and stays
    ],
)
def test_a_trace_by_hand(policy: PolicyName, missed: list[int]) -> None:
    found = misses(policy, [1, 2, 3, 1, 4, 2, 5, 1], 3)
    assert found == missed


@pytest.mark.parametrize("policy", POLICIES)
def test_a_pinned_page_never_goes_and_if_all_are_pinned_there_is_no_victim(policy: PolicyName) -> None:
    found = POLICIES[policy]()
    assert found.victim(lambda one: True) is None
    for page_id in (1, 2, 3):
        found.touched(page_id)
    assert [found.victim(lambda one, only=only: one == only) for only in (3, 1, 2)] == [3, 1, 2]  # type: ignore[misc]  # a lambda with a default
    assert found.victim(lambda one: False) is None
    found.dropped(2)
    found.dropped(2)
    assert found.victim(lambda one: one == 2) is None


def test_a_scan_drives_hot_pages_out_of_lru_and_leaves_them_in_lru_2() -> None:
    hot = [1, 2]
    trace = [*hot, *hot, *range(10, 20), *hot]
    assert misses("lru", trace, 4)[-2:] == hot
    assert misses("lru2", trace, 4)[-1] == 19


def test_uses_that_follow_each_other_at_once_count_as_one_in_lru_2() -> None:
    assert misses("lru2", [1, 1, 1, 2, 3, 2, 4, 1], 3) == [1, 2, 3, 4, 1]


def test_lru_2_remembers_a_page_that_has_left() -> None:
    # The second use of 1 comes after it has left, and counts as a second one.
    assert misses("lru2", [1, 2, 3, 1, 4, 5, 1], 2) == [1, 2, 3, 1, 4, 5]


@pytest.mark.parametrize("policy", POLICIES)
def test_with_enough_frames_each_page_is_missed_once(policy: PolicyName) -> None:
    assert misses(policy, [3, 1, 2, 3, 1, 2, 2], 3) == [3, 1, 2]
