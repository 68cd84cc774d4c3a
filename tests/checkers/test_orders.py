"""The search for a legal order on small histories: against all orders, and step by step where it tells its own.

The larger histories, and what is remembered of them, are in `test_legal_order.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from sys import getsizeof
from typing import Any

import pytest

from detrun.checkers import legal_order as module
from detrun.checkers.histories import PENDING, Operation
from detrun.checkers.legal_order import Meter, OutOfBudgetError, _Entries, hashable, legal_order
from detrun.checkers.models import CompareAndSwapRegister, Model, Queue, Register

NEVER = 10**9


def operation(
    name: str, arguments: tuple[Any, ...], called: int, returned: int | None, result: Any = None
) -> Operation:
    return Operation(name, arguments, "client", called, PENDING if returned is None else result, returned)


def a_history(source: random.Random, model: Model[Any], most: int) -> list[Operation]:
    """Up to so many operations at any times, with results that may be wrong; a sixth of them never return."""
    count = source.randint(1, most)
    moments = list(range(2 * count))
    source.shuffle(moments)
    names = {"Queue": ["put", "get"], "Register": ["write", "read"]}.get(
        type(model).__name__, ["write", "read", "compare_and_swap"]
    )
    found = []
    for place in range(count):
        called, returned = sorted(moments[2 * place : 2 * place + 2])
        name = source.choice(names)
        arguments = tuple(
            source.randrange(2) for _ in range({"write": 1, "put": 1, "compare_and_swap": 2}.get(name, 0))
        )
        result = source.choice([False, True] if name == "compare_and_swap" else [0, 1, None])
        found.append(operation(name, arguments, called, None if source.randrange(6) == 0 else returned, result))
    return sorted(found, key=lambda one: one.called)


def ends(operations: Sequence[Operation]) -> int:
    """The earliest return among these."""
    return min((NEVER if one.returned is None else one.returned for one in operations), default=NEVER)


def beginnings(model: Model[Any], operations: list[Operation], state: Any) -> Iterator[list[Operation]]:
    """All legal beginnings of an order of these, the empty one among them."""
    yield []
    for one in operations:
        if one.called < ends(operations):
            legal, after = model.step(state, one, one.result)
            if legal:
                left = [other for other in operations if other is not one]
                yield from ([one, *rest] for rest in beginnings(model, left, after))


def left_of(operations: list[Operation], beginning: Sequence[Operation]) -> list[Operation]:
    return [one for one in operations if one not in beginning]


@pytest.mark.parametrize("model", [CompareAndSwapRegister(), Register(), Queue()], ids=lambda one: type(one).__name__)
def test_the_search_says_what_all_orders_say(model: Model[Any]) -> None:
    source = random.Random(1)
    verdicts = []
    for _ in range(150):
        operations = a_history(source, model, 6)
        everything = list(beginnings(model, operations, model.initial))
        legal, order, stuck = legal_order(model, operations, Meter(None, None))
        verdicts.append(legal)
        assert order in everything
        assert legal is (NEVER in {ends(left_of(operations, one)) for one in everything})
        if legal:
            assert ends(left_of(operations, order)) == NEVER
        else:
            assert stuck == max(ends(left_of(operations, one)) for one in everything)
            if all(one.returned is not None for one in operations):  # pending ones that change nothing are left out
                assert len(order) == max(map(len, everything))
    assert 20 < sum(verdicts) < 130


def test_a_search_may_begin_in_any_state() -> None:
    reads = [operation("read", (), 0, 1, 7)]
    assert legal_order(Register(), reads, Meter(None, None), 7)[0]
    assert not legal_order(Register(), reads, Meter(None, None), None)[0]
    assert not legal_order(Register(7), reads, Meter(None, None), 8)[0]
    assert legal_order(Register(7), reads, Meter(None, None))[0]


class Tried:
    """A register that writes down what it is asked; ``look`` is a read that it does not name as an observer."""

    initial = 0
    observers = ("read",)

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def step(self, state: Any, one: Operation, result: Any) -> tuple[bool, Any]:
        self.asked.append((one.called, result))
        if one.name == "write":
            return True, one.arguments[0]
        return result is PENDING or result == state, state

    def partition(self, one: Operation) -> None:
        return None


def test_operations_are_tried_in_the_order_of_their_calls_and_pending_ones_last() -> None:
    operations = [
        operation("write", (1,), 0, None),
        operation("write", (2,), 1, 11),
        operation("write", (3,), 2, 10),
    ]
    legal, order, _ = legal_order(Tried(), operations, Meter(None, None))
    assert (legal, [one.called for one in order]) == (True, [1, 2])


def test_of_several_beginnings_of_one_length_the_first_is_the_longest() -> None:
    operations = [
        operation("write", (1,), 0, 11),
        operation("write", (2,), 1, 10),
        operation("look", (), 12, 13, 9),
    ]
    legal, order, stuck = legal_order(Tried(), operations, Meter(None, None))
    assert (legal, [one.called for one in order], stuck) == (False, [0, 1], 13)


def test_an_observer_that_is_legal_comes_at_once_and_has_no_alternatives() -> None:
    read = operation("read", (), 0, 10, 0)
    model = Tried()
    assert legal_order(model, [read, operation("write", (1,), 1, 11)], Meter(None, None))[0]
    assert model.asked == [(0, 0), (1, None)]
    # Not so one that is pending, whatever it would return, and one that the model does not name.
    for other in (operation("read", (), 0, None), operation("look", (), 0, 10, 0)):
        model = Tried()
        legal_order(model, [other, operation("write", (1,), 1, 11)], Meter(None, None))
        assert [called for called, _ in model.asked[:2]] == [0, 1]


def test_a_pending_operation_that_would_change_nothing_is_left_for_later() -> None:
    operations = [operation("write", (0,), 0, None), operation("write", (5,), 1, 3), operation("read", (), 4, 5, 0)]
    legal, order, _ = legal_order(Tried(), operations, Meter(None, None))
    assert (legal, [one.called for one in order]) == (True, [1, 0, 4])


def test_a_state_is_looked_at_once_for_the_same_operations() -> None:
    """Four concurrent writes of one value have 24 orders and 16 sets; each set is entered once, the whole from one."""
    operations = [operation("write", (1,), place, 10 + place) for place in range(4)]
    wrong = operation("look", (), 20, 21, 9)
    meter = Meter(None, None)
    legal, order, _ = legal_order(Tried(), [*operations, wrong], meter)
    assert (legal, len(order)) == (False, 4)
    subsets_times_what_may_come = sum(4 - bin(subset).count("1") for subset in range(15))
    assert meter.steps == subsets_times_what_may_come + 1  # and once the read


@pytest.mark.parametrize("seed", range(5))
def test_the_list_of_entries_is_as_it_was_after_what_was_lifted_is_put_back(seed: int) -> None:
    source = random.Random(seed)
    operations = a_history(source, Register(), 8)
    entries = _Entries(operations)
    lifted: list[int] = []
    furthest = 0
    assert entries.furthest == furthest
    for _ in range(60):
        left = [index for index in range(len(operations)) if index not in lifted]
        end = ends([operations[index] for index in left])
        assert entries.first() == [index for index in left if operations[index].called < end]
        furthest = max(furthest, end if end < NEVER else 0)
        assert entries.furthest == furthest
        if lifted and (not left or source.randrange(2)):
            entries.put_back(lifted.pop())
        else:
            lifted.append(source.choice(left))
            entries.lift(lifted[-1])


def test_a_meter_counts_steps_up_to_its_limit() -> None:
    meter = Meter(3, None)
    for _ in range(3):
        meter.step()
    with pytest.raises(OutOfBudgetError, match="limit of 3 steps"):
        meter.step()


def test_a_meter_looks_at_the_clock_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    looked: list[int] = []
    meter = Meter(None, 5.0)
    monkeypatch.setattr(module, "real_seconds", lambda: looked.append(meter.steps) or now[0])
    for _ in range(600):
        meter.step()  # at the deadline there is still time
    assert looked == [256, 512]
    now[0] = 5.1
    for _ in range(600, 767):
        meter.step()
    with pytest.raises(OutOfBudgetError, match="after 768 steps"):
        meter.step()
    without = Meter(None, None)
    for _ in range(600):
        without.step()
    assert looked == [256, 512, 768]


def test_a_meter_counts_what_is_remembered_up_to_its_memory() -> None:
    each = module.CONFIGURATION_BYTES + getsizeof(1 << 80) + getsizeof("a state")
    meter = Meter(None, None, 2 * each)
    for _ in range(2):
        meter.remember(1 << 80, "a state")
    assert meter.bytes == 2 * each
    with pytest.raises(OutOfBudgetError, match="more memory"):
        meter.remember(1 << 80, "a state")
    meter.forget()
    assert meter.bytes == 0
    boundless = Meter(None, None, None)
    boundless.remember(1, "a state")
    assert Meter(None, None).memory == 1 << 30


def test_a_state_that_cannot_be_hashed_is_known_by_its_content() -> None:
    assert len({hashable(state) for state in ([1, {"a": 2}], [1, {"a": 2}], [1, {"a": 3}])}) == 2
    assert hashable((1, 2)) == (1, 2)
