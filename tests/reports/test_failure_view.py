"""Two schedules beside each other, and what a report says of a failure."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.checkers.histories import History
from detrun.checkers.linearizability import linearizable
from detrun.checkers.models import Register
from detrun.explore.failures.listing import Row
from detrun.reports import failure_view as failure_view_module
from detrun.reports.failure_view import aligned, failure_view, latest
from detrun.reports.report import told_of_failure
from tests.reports.test_page import NAME

ROWS = st.lists(
    st.builds(Row, st.just(0), st.sampled_from("ab"), st.lists(st.sampled_from("xy"), max_size=1)), max_size=9
)


@given(ROWS, ROWS)
def test_every_turn_of_both_schedules_has_one_place_in_its_order_and_partners_are_equal(
    first: list[Row], second: list[Row]
) -> None:
    found = aligned(first, second)
    assert [one for one, _ in found if one is not None] == list(range(len(first)))
    assert [other for _, other in found if other is not None] == list(range(len(second)))
    for one, other in found:
        if one is not None and other is not None:
            assert (first[one].task, first[one].lines) == (second[other].task, second[other].lines)


@given(ROWS)
def test_a_schedule_beside_itself_has_a_partner_for_each_turn(rows: list[Row]) -> None:
    assert aligned(rows, rows) == [(at, at) for at in range(len(rows))]


async def loses_an_update() -> None:
    counter = detrun.Atomic(0)

    async def add() -> None:
        seen = counter.load()
        await trio.lowlevel.checkpoint()
        counter.store(seen + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        nursery.start_soon(add)
    assert counter.load() == 2


def test_the_operations_that_decide_stand_in_the_turns_that_made_them_and_values_are_known_after_each_step() -> None:
    failure = detrun.explore(loses_an_update, directory=None).failure
    assert failure is not None
    told = told_of_failure(failure)
    view = told.failure
    assert view is not None
    assert view.verified
    for at, task, _, place, code in view.deciding:
        assert at is not None
        assert view.failing[at].task == task
        assert any(line.endswith(code) for line in view.failing[at].lines)
        assert "test_failure_view.py" in place
    assert told.values is not None
    assert told.passing_values is not None
    for values, end in ((told.values, "1"), (told.passing_values, "2")):  # of two updates one is lost
        assert list(values.objects.values())[-1].get("Atomic[0]") == end
        assert list(values.tasks) == values.moments == values.ends
    lines = [one for state in told.values.tasks.values() for stack in state.values() for one in stack]
    assert ("seen", "0") in {item for one in lines for item in one.variables.items()}


def test_values_are_those_after_each_turn_as_a_schedule_shows_it() -> None:
    failure = detrun.explore(loses_an_update, directory=None).failure
    assert failure is not None
    told = told_of_failure(failure)
    assert told.values is not None
    assert told.passing_values is not None
    assert told.failure is not None
    for values, rows in ((told.values, told.failure.failing), (told.passing_values, told.failure.passing)):
        assert values.moments[: len(rows) - 1] == [row.first for row in rows[1:]]


@given(ROWS, ROWS)
def test_of_long_schedules_the_last_turns_are_kept_and_the_others_counted(first: list[Row], second: list[Row]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failure_view_module, "ROWS_MAX", 3)
        ones, others, (left, more) = latest(first, second)
    assert (first[left:], second[more:]) == (ones, others)
    assert len(ones) <= 3 or len(others) <= 3 or left == more
    if second and first != second:
        assert ones or not first


async def waits_in_a_circle() -> None:
    one, other = trio.Lock(), trio.Lock()

    async def takes(first: trio.Lock, second: trio.Lock) -> None:
        async with first:
            await trio.sleep(1)
            async with second:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(takes, one, other, name="left")
        nursery.start_soon(takes, other, one, name="right")


def test_a_deadlock_shows_its_circle_and_what_each_task_waits_for() -> None:
    error = detrun.record(waits_in_a_circle, raise_errors=False).exception
    assert error is not None
    view = failure_view(error)
    assert view.cycle[0] == view.cycle[-1]
    assert set(view.cycle) == {"main/left", "main/right"}
    assert {"main/left", "main/right"} <= {task for task, _ in view.blocked}


async def reads_what_was_overwritten() -> None:
    """A reader with a hostile name answers from its cache."""
    history = History()

    async def reads() -> None:
        with history.call("read", process=NAME) as call:
            await trio.lowlevel.checkpoint()
            call.result(0)

    with history.call("write", 1, process="writer"):
        await trio.lowlevel.checkpoint()
    await reads()
    linearizable(Register(0), history).raise_on_failure()


def test_a_failure_of_linearizability_has_its_history() -> None:
    error = detrun.record(reads_what_was_overwritten, raise_errors=False).exception
    assert error is not None
    view = failure_view(error)
    assert view.history is not None
    assert {one.role for one in view.history.bars} == {"legal", "stuck"}
    assert all(one.called is not None for one in view.history.bars)
