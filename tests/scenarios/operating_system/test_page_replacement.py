"""Policies of paging: traces worked by hand, and hit ratios beside Che's approximation for LRU."""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import pytest

from detrun_scenarios.operating_system.memory.frames import Frame, Frames
from detrun_scenarios.operating_system.memory.replacement import Aging, Clock, Replacement, WorkingSet

pytestmark = pytest.mark.one_python


class IdleTenant:
    """A tenant that is not asked."""

    async def evict(self, frame: Frame) -> bool:
        raise AssertionError

    def holds(self, page: Any) -> Frame | None:
        raise AssertionError


class Pages:
    """A memory of a few frames, without time and tasks."""

    def __init__(self, count: int) -> None:
        self.frames = Frames(count)
        self.here: dict[int, Frame] = {}

    def use(self, page: int, policy: Replacement, now: float = 0.0) -> bool:
        """Whether the page was there."""
        frame = self.here.get(page)
        if hit := frame is not None:
            frame.is_referenced = True
            return hit
        taken = self.frames.take(IdleTenant(), page)
        if taken is None:
            victim = policy.victim(now)
            assert victim is not None
            del self.here[victim.page]
            self.frames.put(victim)
            taken = self.frames.take(IdleTenant(), page)
        assert taken is not None
        taken.is_busy, taken.used_at = False, now
        self.here[page] = taken
        return False


def misses(policy: type[Replacement], trace: list[int]) -> list[int]:
    pages = Pages(3)
    chosen = policy(pages.frames.all)
    found = []
    for page in trace:
        if not pages.use(page, chosen):
            found.append(page)
        if chosen.looks:
            chosen.look()
    return found


def test_clock_gives_a_used_page_another_round() -> None:
    # 4 takes the place of 1 after a round that takes all marks away; then 2 is used, and 5 takes the place of 3.
    assert misses(Clock, [1, 2, 3, 4, 2, 5, 2, 3]) == [1, 2, 3, 4, 5, 3]


def test_aging_lets_the_longest_unused_page_go() -> None:
    assert misses(Aging, [1, 2, 3, 1, 4, 1, 2]) == [1, 2, 3, 4, 2]


def test_pages_leave_the_working_set_when_they_were_not_used_for_its_window() -> None:
    pages = Pages(3)
    policy = WorkingSet(pages.frames.all, window=1.0)
    for page in (1, 2, 3):
        pages.use(page, policy)
    for frame in pages.frames.all:
        frame.is_referenced = False
    pages.here[1].is_referenced = True
    pages.here[2].is_dirty = True
    # 1 was used just now, 2 has to be written first.
    victim = policy.victim(2.0)
    assert victim is pages.here[3]
    assert (pages.here[1].used_at, pages.here[1].is_referenced) == (2.0, False)
    pages.here[3].is_busy = True
    assert policy.victim(2.5) is pages.here[2]  # none other is out of the set, and 2 is unused for longer than 1


@pytest.mark.parametrize("policy", [Clock, Aging, lambda frames: WorkingSet(frames, 1.0)])
def test_no_policy_chooses_a_frame_that_is_free_or_busy(policy: Any) -> None:
    pages = Pages(3)
    chosen = policy(pages.frames.all)
    assert chosen.victim(0.0) is None
    pages.use(1, chosen)
    pages.use(2, chosen)
    pages.here[1].is_busy = True
    assert [chosen.victim(5.0).page for _ in range(3)] == [2, 2, 2]
    pages.here[2].is_busy = True
    assert chosen.victim(5.0) is None


# Hit ratios.

PAGES, FRAMES, USES = 200, 50, 8_000
ZIPF = [1 / (rank + 1) ** 0.8 for rank in range(PAGES)]


def che(popularity: Sequence[float], frames: int) -> float:
    """The hit ratio of LRU for independent uses (Che, Tung and Wang, IEEE JSAC 20(7), 2002, section III).

    A page is there if it was used within the characteristic time, at which as many pages as there are frames have been
    used once.
    """
    total = sum(popularity)
    shares = [one / total for one in popularity]
    low, high = 0.0, 1e7
    for _ in range(100):
        time = (low + high) / 2
        used = sum(1 - math.exp(-share * time) for share in shares)
        low, high = (time, high) if used < frames else (low, time)
    return sum(share * (1 - math.exp(-share * low)) for share in shares)


def trace() -> list[int]:
    return random.Random(3).choices(range(PAGES), ZIPF, k=USES)


def lru(pages: list[int]) -> float:
    """The exact hit ratio."""
    here: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for page in pages:
        hits += page in here
        here[page] = None
        here.move_to_end(page)
        if len(here) > FRAMES:
            here.popitem(last=False)
    return hits / len(pages)


def ratio(policy: type[Replacement], look_every: int) -> float:
    pages = Pages(FRAMES)
    chosen = policy(pages.frames.all)
    hits = 0
    for number, page in enumerate(trace()):
        hits += pages.use(page, chosen)
        if chosen.looks and number % look_every == 0:
            chosen.look()
    return hits / USES


class FirstInFirstOut(Aging):
    """Aging that never looks."""

    looks = False


def test_aging_and_clock_have_the_hit_ratio_of_lru_by_ches_approximation_and_first_in_first_out_has_not() -> None:
    expected = che(ZIPF, FRAMES)
    bound = 6 * math.sqrt(expected * (1 - expected) / USES)
    assert lru(trace()) == pytest.approx(expected, abs=bound)
    assert ratio(Aging, 20) == pytest.approx(expected, abs=bound)
    assert ratio(Clock, 0) == pytest.approx(expected, abs=bound)
    assert ratio(FirstInFirstOut, 0) < expected - bound
