"""What is wrong near the moment at which no order goes on: parts of small histories that are told exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from detrun.checkers import before_the_moment as module
from detrun.checkers.before_the_moment import _fewest, near_the_moment
from detrun.checkers.histories import Operation
from detrun.checkers.legal_order import Meter
from detrun.checkers.models import Counter, Model, Queue, Register


def one_by_one(*calls: tuple[Any, ...]) -> list[Operation]:
    """Each called when the one before has returned: (name, result, arguments)."""
    return [
        Operation(name, tuple(arguments), "client", 2 * place, result, 2 * place + 1)
        for place, (name, result, *arguments) in enumerate(calls)
    ]


def added(*amounts: int) -> list[tuple[Any, ...]]:
    return [("add", None, amount) for amount in amounts]


def near(model: Model[Any], operations: list[Operation]) -> list[Operation]:
    """Of a history in which all but the last operation is in order."""
    return near_the_moment(model, operations, operations[:-1])


def test_a_stale_read_comes_with_the_write_it_saw_the_state_before_the_window_and_eight_operations() -> None:
    writes = [("write", None, number) for number in range(99)]
    operations = one_by_one(*writes, ("read", 5))
    assert near(Register(), operations) == [operations[place] for place in (5, 90, *range(91, 100))]


def test_histories_of_fewer_than_a_hundred_operations_are_looked_at_all_together() -> None:
    writes = [("write", None, number) for number in range(98)]
    assert near(Register(), one_by_one(*writes, ("read", 5))) == []


def test_the_latest_state_that_explains_a_result_is_the_one_that_is_shown() -> None:
    """Both the second and the 51st operation write a 7."""
    writes = [("write", None, 7 if number in (1, 50) else 1000 + number) for number in range(99)]
    operations = one_by_one(*writes, ("read", 7))
    assert [one.called // 2 for one in near(Register(), operations)] == [50, *range(90, 100)]


def test_the_first_operation_may_be_the_one_that_explains_a_result() -> None:
    writes = [("write", None, number) for number in range(99)]
    operations = one_by_one(*writes, ("read", 0))
    assert [one.called // 2 for one in near(Register(), operations)] == [0, *range(90, 100)]


@pytest.mark.parametrize("last", [("read", 7), ("fetch_add", 7, 1)])
def test_the_window_is_doubled_until_what_comes_together_is_wrong_by_itself(last: tuple[Any, ...]) -> None:
    """A 7 is added and taken off long before a 7 is seen: of the last eight and the add, that would be right."""
    operations = one_by_one(*added(*[1, -1] * 43, 7, -7, *[1, -1] * 6), last)
    assert near(Counter(), operations) == operations[-17:]


def test_where_all_operations_together_lead_to_the_state_nothing_is_near() -> None:
    operations = one_by_one(*added(*[1] * 110), ("read", 5000))
    assert near(Counter(), operations) == []


def test_of_a_history_that_is_legal_no_part_is_wrong() -> None:
    operations = one_by_one(*added(*[1, -1] * 60), ("read", 0))
    assert near(Counter(), operations) == []


class Counting(Register):
    """A register that counts how often it is asked."""

    asked = 0

    def step(self, state: Any, operation: Operation, result: Any) -> tuple[bool, Any]:
        self.asked += 1
        return super().step(state, operation, result)


def test_each_question_to_the_model_counts_and_when_they_are_used_up_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operations = one_by_one(*[("write", None, number) for number in range(99)], ("read", 5))
    model = Counting()
    found = near(model, operations)
    for steps, expected in ((model.asked, found), (model.asked - 1, [])):
        monkeypatch.setattr(module, "LOOKING_STEPS", steps)
        assert near(Register(), operations) == expected


@pytest.mark.parametrize(
    ("calls", "wanted", "left"),
    [
        ([("put", None, 1), ("get", 1), ("put", None, 2), ("put", None, 3), ("get", 2)], (3,), [2, 3, 4]),
        ([("put", None, 1), ("put", None, 2), ("get", 1)], (2,), [0, 1, 2]),  # without the first the get is not legal
        ([("put", None, 1), ("get", 1)], (), []),
        ([("put", None, 1), ("get", 1)], (9,), [0, 1]),  # which do not lead there either
    ],
)
def test_as_few_as_are_legal_and_lead_to_a_state_are_left(
    calls: Sequence[tuple[Any, ...]], wanted: tuple[int, ...], left: list[int]
) -> None:
    operations = one_by_one(*calls)
    found = _fewest(Queue(), operations, lambda state: state == wanted, Meter(None, None))
    assert found == [operations[place] for place in left]
