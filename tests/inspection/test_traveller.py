"""`Traveller`: at every step of a walk forth and back the run is what `at` shows of it there."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.inspection.time_travel import Traveller, at
from detrun_scheduler.errors import DivergenceError, UsageError
from tests.examples import examples
from tests.execution.random_programs import STEPS_MAX, Body, interpret, programs


@examples(20)
@given(programs(), st.integers(0, 2**32), st.lists(st.floats(0.0, 1.0), min_size=1, max_size=2))
def test_a_walk_through_a_random_run_shows_at_each_place_what_a_replay_up_to_there_shows(
    program: Body, seed: int, walk: list[float]
) -> None:
    run = detrun.record(interpret, program, seed=seed, max_steps=STEPS_MAX, raise_errors=False)
    traveller = Traveller(interpret, (program,), run.recording)
    try:
        for share in walk:
            step = round(share * run.steps)
            traveller.go(step)
            found = traveller.moment.document()
            assert traveller.step == step
            traveller.close()
            with at(interpret, (program,), run.recording, step=step) as moment:
                expected = moment.document()
            assert found == expected
            traveller.go(max(step - 1, 0))  # so that the next place is reached from a held run, too
    finally:
        traveller.close()


async def counts() -> int:
    total = detrun.Atomic(0, name="total")

    async def add(amount: int) -> None:
        for turn in range(3):
            total.fetch_add(amount + turn)
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add, 1, name="one")
        nursery.start_soon(add, 10, name="ten")
    return total.load()


@pytest.fixture
def traveller() -> Any:
    run = detrun.record(counts)
    found = Traveller(counts, (), run.recording)
    yield found
    found.close()


def test_expressions_are_evaluated_where_a_task_stands_and_change_nothing(traveller: Traveller) -> None:
    ends = [step.index for step in traveller.recording.iter_steps() if step.path == "main/one"]
    for turn, step in enumerate(ends[:3]):
        traveller.go(step + 1)
        assert traveller.evaluate("(amount, turn)", "main/one") == (1, turn)
        assert traveller.evaluate("total.load()", "main/one") >= 1
    traveller.go(traveller.recording.steps)
    traveller.go(2)
    with pytest.raises(UsageError, match="no task 'main/three' lives"):
        traveller.evaluate("amount", "main/three")
    with pytest.raises(NameError):
        traveller.evaluate("unheard_of", "main/one")


def test_after_it_is_closed_other_runs_begin_and_the_recording_still_replays(traveller: Traveller) -> None:
    traveller.go(4)
    assert traveller.moment.step == 4
    traveller.close()
    assert detrun.replay(counts, recording=traveller.recording).result == detrun.record(counts).result


async def counts_otherwise() -> int:
    await trio.sleep(7)
    return 0


def test_a_program_that_does_otherwise_is_held_up_to_where_it_does_and_no_further() -> None:
    recording = detrun.record(counts).recording
    traveller = Traveller(counts_otherwise, (), recording)
    traveller.go(1)
    with pytest.raises(DivergenceError):
        traveller.go(recording.steps)
    traveller.go(1)
    assert traveller.moment.step == 1
    with pytest.raises(UsageError, match="there is no moment at step 10000"):
        traveller.go(10_000)
    traveller.close()
