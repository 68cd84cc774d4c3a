"""The journal of an exploration's runs, which serves one after another."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from detrun.execution.execute import ControlledProgram
from detrun.execution.options import Options
from detrun.execution.schedules import ScheduleJournal
from detrun_scheduler import current
from detrun_scheduler.strategies import make

_kept: trio.lowlevel.RunVar[Any] = trio.lowlevel.RunVar("kept")


class Telling:
    """Observes something when it is finalized."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def __del__(self) -> None:
        run: Any = current.run
        run.observe("finalized", b"1")
        self.told.append("finalized")


@pytest.mark.parametrize("has_finalizer", [False, True])
def test_a_journal_that_has_served_writes_the_next_run_down_as_a_new_one_does(has_finalizer: bool) -> None:
    """So it does where the end of the run lets go of an object whose finalizer writes something down, too."""
    told: list[str] = []

    async def program() -> None:
        run: Any = current.run
        run.observe("begun", b"2")
        if has_finalizer:
            _kept.set(Telling(told))
        async with trio.open_nursery() as nursery:
            for seconds in (1, 1, 2):
                nursery.start_soon(trio.sleep, seconds)

    controlled = ControlledProgram(program, Options())

    def written(journal: ScheduleJournal) -> tuple[bytes, int, int]:
        controlled.execute((), oracle=make("random"), seed=3, journal=journal)[1].unwrap()
        return journal.schedule, journal.behaviour, journal.operations

    first = written(ScheduleJournal())
    assert first[0]
    serving = ScheduleJournal()
    for _ in range(3):
        assert written(serving) == first
        serving.begin_anew()
        serving._check()
    assert told == ["finalized"] * (4 if has_finalizer else 0)
