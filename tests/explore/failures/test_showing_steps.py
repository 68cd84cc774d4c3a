"""The place in which a failure shows."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

import detrun
from detrun.checkers.transactions import Place, noted_place
from detrun.execution.options import Options
from detrun.execution.schedules import unpacked
from detrun.explore.campaign.program import Program
from detrun.explore.failures.functions import function_at
from detrun.explore.failures.narration import narrate
from detrun.explore.failures.noted_operations import noted_line
from detrun.explore.failures.showing_steps import failing_operation
from detrun.explore.failures.trials import TrialRunner
from tests.explore.failures.decisive_programs import Logged


class CheckedLogged(Logged):
    """Looks at what the overridden method did, which has returned by then."""

    def note(self) -> None:
        super().note()
        detrun.always(self.calls < 2, "noted once")


async def notes_twice() -> None:
    log = CheckedLogged()
    log.note()
    log.note()


async def checks_itself() -> None:
    log = Logged()
    log.note()
    detrun.always(log.calls > 1, "noted twice")


@pytest.mark.one_python
@pytest.mark.parametrize(("program", "shows_in"), [(notes_twice, "Logged.note"), (checks_itself, "checks_itself")])
def test_a_check_around_a_method_is_told_by_the_method(program: Any, shows_in: str) -> None:
    runner = TrialRunner(Program(program, (), Options()), 0)
    failing = runner.try_turns([])
    narration = narrate(runner.program, 0, unpacked(failing.schedule))
    assert narration.open_step is not None
    narration.steps.append(narration.open_step)
    told = failing_operation(narration, failing.error)
    assert told is not None
    assert told.line is not None
    assert function_at(told.line.file, told.line.number) == shows_in


class Places:
    """Two ways to note where something was done."""

    def __init__(self) -> None:
        self.noted: list[Place | None] = []

    def at_once(self) -> None:
        self.noted.append(noted_place(is_done_here=True))  # at once

    def afterwards(self, log: Logged) -> None:
        log.note()
        self.noted.append(noted_place(is_done_here=True))  # afterwards

    def within(self) -> None:
        with nullcontext():
            self.noted.append(noted_place(is_done_here=True))  # within

    def behind(self, log: Logged) -> None:
        with nullcontext():
            log.note()
        self.noted.append(noted_place(is_done_here=True))  # behind


async def notes_with_work_between(places: Places) -> None:
    log = Logged()
    places.at_once()
    log.note()
    places.at_once()
    places.afterwards(log)


async def notes_around_contexts(places: Places) -> None:
    log = Logged()
    places.within()
    log.note()
    places.within()
    places.behind(log)


async def notes_between_long_loops(places: Places) -> None:
    log, total = Logged(), 0
    for turn in range(600):
        total += turn
    places.afterwards(log)
    for turn in range(600):
        total += turn


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        (notes_between_long_loops, ["Logged.note"] * 2),  # in both runs
        (notes_with_work_between, ["Places.at_once", "Places.at_once", "Logged.note"]),
        (notes_around_contexts, ["Places.within", "Places.within", "Logged.note"]),
    ],
)
def test_what_a_function_has_called_is_named_for_what_it_notes_and_not_what_its_caller_did_before(
    program: Any, shown: list[str]
) -> None:
    places = Places()
    runner = TrialRunner(Program(program, (places,), Options()), 0)
    narration = narrate(runner.program, 0, unpacked(runner.try_turns([]).schedule))
    lines = [noted_line(narration, place) for place in places.noted[-3:] if place is not None]
    named = [function_at(line.file, line.number) for line in lines]
    assert named == shown
