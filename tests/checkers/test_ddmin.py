"""Delta debugging against brute force: what is left fails, is 1-minimal, and nothing is tested in vain."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun.checkers.ddmin import ddmin

Fails = Callable[[frozenset[int]], bool]


class Subject:
    """A set of items that fails as `fails` says, and every test that it went through."""

    def __init__(self, count: int, fails: Fails) -> None:
        self.items: tuple[int, ...] = tuple(range(count))
        self.fails = fails
        self.tests: list[tuple[tuple[int, ...], tuple[int, ...]]] = []  # (items, chunk)

    def remove(self, chunk: Sequence[int]) -> bool:
        self.tests.append((self.items, tuple(chunk)))
        rest = tuple(one for one in self.items if one not in chunk)
        if not self.fails(frozenset(rest)):
            return False
        self.items = rest
        return True

    def minimize(self, first_size: int | None = None, *, until_minimal: bool = True) -> tuple[int, ...]:
        size = len(self.items) if first_size is None else first_size
        ddmin(lambda: self.items, self.remove, first_size=size, until_minimal=until_minimal)
        return self.items


def needs(*wanted: int) -> Fails:
    return lambda present: present.issuperset(wanted)


@st.composite
def failures(draw: st.DrawFn) -> tuple[int, Fails]:
    """Any predicate at all over the subsets of up to seven items that holds for the whole set."""
    count = draw(st.integers(0, 7))
    everything = frozenset(range(count))
    subsets = [frozenset(one) for size in range(count) for one in itertools.combinations(range(count), size)]
    failing = draw(st.sets(st.sampled_from(subsets))) if subsets else set()
    return count, lambda present: present == everything or present in failing


@given(failures())
def test_the_result_fails_and_is_1_minimal(case: tuple[int, Fails]) -> None:
    count, fails = case
    left = frozenset(Subject(count, fails).minimize())
    assert fails(left)
    assert [one for one in left if fails(left - {one})] == []


@given(failures(), st.integers(1, 8), st.booleans())
def test_no_chunk_is_tested_twice_while_the_items_are_the_same(
    case: tuple[int, Fails], first_size: int, until_minimal: bool
) -> None:
    subject = Subject(*case)
    subject.minimize(first_size, until_minimal=until_minimal)
    assert len(set(subject.tests)) == len(subject.tests)
    assert all(chunk and set(chunk) <= set(items) for items, chunk in subject.tests)


@given(failures(), st.integers(1, 8), st.booleans())
def test_the_tests_are_a_function_of_the_items_and_the_answers(
    case: tuple[int, Fails], first_size: int, until_minimal: bool
) -> None:
    one, other = Subject(*case), Subject(*case)
    assert one.minimize(first_size, until_minimal=until_minimal) == other.minimize(
        first_size, until_minimal=until_minimal
    )
    assert one.tests == other.tests


@given(st.integers(0, 40), st.data())
def test_of_a_failure_that_needs_certain_items_just_these_are_left_at_the_stated_cost(
    count: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.sets(st.integers(0, count - 1))) if count else set()
    for until_minimal in (False, True):  # one pass is enough where a smaller rest is never more likely to fail
        subject = Subject(count, needs(*wanted))
        assert subject.minimize(until_minimal=until_minimal) == tuple(sorted(wanted))
        refused = len(subject.tests) - sum(
            after != before for (before, _), (after, _) in itertools.pairwise([*subject.tests, (subject.items, ())])
        )
        assert refused <= 3 * count + (count**2 if until_minimal else 0)


def test_halves_come_before_single_items() -> None:
    subject = Subject(8, needs(5))
    assert subject.minimize() == (5,)
    assert [chunk for _, chunk in subject.tests] == [
        (0, 1, 2, 3, 4, 5, 6, 7),
        (0, 1, 2, 3),
        (4, 5, 6, 7),
        (4, 5),
        (6, 7),
        (4,),
        (5,),
    ]


def test_single_items_are_tried_again_only_if_that_is_asked_for() -> None:
    def fails(present: frozenset[int]) -> bool:  # 0 can go only once 1 has gone
        return present in (frozenset({0, 1}), frozenset({0}), frozenset())

    assert Subject(2, fails).minimize(1, until_minimal=False) == (0,)
    assert Subject(2, fails).minimize(1, until_minimal=True) == ()
    subject = Subject(2, fails)
    ddmin(lambda: subject.items, subject.remove, first_size=1)
    assert subject.items == (0,)


def test_a_chunk_comes_again_after_the_items_were_replaced() -> None:
    items = [["a", "b"], ["c", "b"]]
    tested: list[tuple[str, ...]] = []

    def remove(chunk: Sequence[str]) -> bool:
        tested.append(tuple(chunk))
        if len(items) > 1 and tuple(chunk) == ("a",):
            del items[0]  # nothing was removed, but what fails now is another
        return False

    ddmin(lambda: items[0], remove, first_size=1)
    assert tested == [("a",), ("b",)]
    tested.clear()
    ddmin(lambda: items[0], remove, first_size=2)
    assert tested == [("c", "b"), ("c",), ("b",)]


def test_what_is_held_when_a_search_is_cut_short_still_fails() -> None:
    subject = Subject(16, needs(3, 11))
    budget = 5

    def remove(chunk: Sequence[int]) -> bool:
        if len(subject.tests) == budget:
            raise TimeoutError
        return subject.remove(chunk)

    with pytest.raises(TimeoutError):
        ddmin(lambda: subject.items, remove, first_size=16, until_minimal=True)
    assert subject.fails(frozenset(subject.items))


def test_nothing_is_tested_where_there_is_nothing() -> None:
    subject = Subject(0, needs())
    assert subject.minimize() == () == Subject(0, needs()).minimize(1)
    assert subject.tests == []
