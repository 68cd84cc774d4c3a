"""A failure of which there is nothing but its recording is explained as its exploration explained it."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import detrun
from detrun.reports.explained import explained
from tests.reports.test_failure_view import loses_an_update, waits_in_a_circle

pytestmark = pytest.mark.one_python


@pytest.mark.parametrize("main", [loses_an_update, waits_in_a_circle])
def test_a_recording_is_explained_as_the_exploration_that_found_it_did(main: Any) -> None:
    failure = detrun.explore(main, directory=None).failure
    assert failure is not None
    assert failure.program is not None
    program = failure.program
    found = explained(failure.recording, program.main, program.args, program.options)
    assert str(found) == str(failure.explanation)
    assert found is not None
    assert (found.passing is None) == (main is waits_in_a_circle)


def test_a_run_that_returned_has_nothing_to_explain() -> None:
    run = next(
        run
        for run in (detrun.record(loses_an_update, seed=seed, raise_errors=False) for seed in range(50))
        if run.exception is None
    )
    assert run.program is not None
    assert explained(run.recording, *run.program) is None


asked: list[int] = []


@detrun.external
def asks() -> int:
    asked.append(1)
    return len(asked)


async def fails_after_an_effect() -> None:
    await trio.lowlevel.checkpoint()
    assert asks() == 0


def test_external_effects_are_not_caused_again_for_an_explanation() -> None:
    run = detrun.record(fails_after_an_effect, raise_errors=False)
    assert run.program is not None
    before = len(asked)
    assert explained(run.recording, *run.program) is None
    assert len(asked) == before > 0
