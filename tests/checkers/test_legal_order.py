"""The search for a legal order in long histories: what it remembers stays small, and a bound on it is kept."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.checkers.histories import History, Operation
from detrun.checkers.illegal_part import least_illegal_part
from detrun.checkers.legal_order import Meter, _Progress, legal_order
from detrun.checkers.linearizability import linearizable
from detrun.checkers.models import CompareAndSwapRegister, Counter, Model, Queue, Register
from tests.checkers.long_histories import a_long_history


@st.composite
def bars(draw: st.DrawFn) -> list[Operation]:
    """Up to ten operations with any times; some of them never return."""
    count = draw(st.integers(1, 10))
    moments = draw(st.permutations(range(2 * count)))
    made = []
    for i in range(count):
        called, returned = sorted(moments[2 * i : 2 * i + 2])
        made.append(Operation("read", (), "a", called, None, returned if draw(st.booleans()) else None))
    return sorted(made, key=lambda one: one.called)


@given(bars(), st.randoms(use_true_random=False))
def test_progress_tells_sets_of_ordered_operations_apart_and_knows_when_all_that_returned_are_ordered(
    operations: list[Operation], source: random.Random
) -> None:
    measure = _Progress(operations)
    known: dict[int, frozenset[int]] = {}
    for _ in range(20):
        ordered: set[int] = set()
        progress = 0
        while True:
            left = [i for i in range(len(operations)) if i not in ordered]
            end = min(
                (operations[i].returned or 10**9 for i in left if operations[i].returned is not None), default=None
            )
            assert (progress >= measure.whole) == (end is None)
            assert known.setdefault(progress, frozenset(ordered)) == ordered
            if end is None:
                break
            index = source.choice([i for i in left if operations[i].called < end])
            ordered.add(index)
            progress = measure.with_ordered(progress, index)
    assert len(set(known.values())) == len(known)


def test_progress_has_a_bit_for_each_operation_at_a_time_whatever_the_length() -> None:
    for count in (100, 1000, 10_000):
        operations = a_long_history(Register(), 5, count)
        measure = _Progress(operations)
        assert measure.bits == 5
        assert measure.whole.bit_length() <= 5 + count.bit_length()


def test_what_is_remembered_grows_as_the_history() -> None:
    remembered = []
    for count in (500, 1000, 2000, 4000):
        meter = Meter(None, None, None)
        assert legal_order(Register(), a_long_history(Register(), 5, count), meter)[0]
        remembered.append(meter.bytes / count)
    assert max(remembered) < 1.5 * min(remembered), remembered


def test_a_search_that_would_remember_too_much_is_given_up_and_says_so() -> None:
    operations = a_long_history(Register(), 5, 2000)
    found = linearizable(Register(), operations, timeout=None, memory=1 << 18)
    assert found.verdict == "unknown"
    assert "more than 256 KiB" in str(found)
    assert linearizable(Register(), operations, timeout=None, memory=1 << 22).verdict == "ok"
    with pytest.raises(detrun.UsageError, match="memory=0 must be positive"):
        linearizable(Register(), operations, memory=0)


def test_the_memory_of_one_partition_is_free_for_the_next() -> None:
    meter = Meter(None, None, 1 << 20)
    for _ in range(3):
        assert legal_order(Register(), a_long_history(Register(), 5, 2000), meter)[0]


def names_of(operations: Iterable[Operation]) -> list[str]:
    return [one.name for one in operations]


def observed(operations: list[Operation], name: str) -> list[Operation]:
    return [one for one in operations if one.name == name and one.result is not None]


def test_of_five_thousand_operations_the_one_read_of_what_nothing_wrote_is_shown() -> None:
    operations = a_long_history(Register(), 5, 5000)
    reads = observed(operations, "read")
    wrong = reads[len(reads) * 9 // 10]
    wrong.result = -5
    assert linearizable(Register(), operations, timeout=None).illegal == (wrong,)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_a_stale_read_is_shown_with_the_write_that_it_saw_and_one_that_came_between(place: float, seed: int) -> None:
    operations = a_long_history(Register(), 5, 3000, seed)
    reads = observed(operations, "read")
    wrong = reads[int(len(reads) * place)]
    wrong.result = reads[len(reads) // 10].result
    found = linearizable(Register(), operations, timeout=None)
    assert names_of(found.illegal) == ["write", "write", "read"]
    assert found.illegal[0].arguments == (wrong.result,)
    assert found.illegal[2] is wrong


@pytest.mark.parametrize(
    "model", [Register(), CompareAndSwapRegister(), Counter(), Queue()], ids=lambda one: type(one).__name__
)
def test_what_is_shown_of_a_long_history_has_no_legal_order_by_itself(model: Model[object]) -> None:
    shown = 0
    for seed in range(4):
        source = random.Random(seed)
        operations = a_long_history(model, 3, 150, seed)
        seen = [one for one in operations if one.result is not None and not isinstance(one.result, bool)]
        wrong = source.choice(seen)
        wrong.result = source.choice([one.result for one in seen if one.result != wrong.result])
        legal, longest, stuck = legal_order(model, operations, Meter(200_000, None))
        if legal:
            continue
        part = least_illegal_part(model, operations, longest, stuck)
        assert not legal_order(model, part, Meter(None, None))[0]
        assert {one.called for one in part} <= {one.called for one in operations}
        shown += 1
    assert shown >= 2


def test_many_operations_that_did_nothing_leave_a_history() -> None:
    history = History()
    for number in range(2000):
        with history.call("write", number) as call:
            if number % 2:
                call.did_nothing()
    assert [one.arguments[0] for one in history] == list(range(0, 2000, 2))
