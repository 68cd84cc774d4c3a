"""What is taken away while a task uses it."""

from __future__ import annotations

import pytest
import trio

import detrun
from detrun.checkers.uses import Uses
from detrun.explore.failures.functions import function_at


class Connections:
    """One connection, which an idle timer closes: rightly if no request is on it."""

    def __init__(self, is_careful: bool) -> None:
        self.is_careful = is_careful
        self.is_open = True
        self.requests = 0
        self.uses = Uses()

    async def request(self, seconds: float) -> None:
        if not self.is_open:
            return
        self.requests += 1
        self.uses.begins("connection")
        await trio.sleep(seconds)
        self.uses.ends("connection")
        self.requests -= 1

    def may_close(self) -> bool:
        return not (self.is_careful and self.requests)

    async def close_idle(self, seconds: float) -> None:
        await trio.sleep(seconds)
        if self.may_close():
            detrun.always(self.uses.may_go("connection"), "connections in use stay")
            self.is_open = False


async def closes(is_careful: bool, seconds: float) -> None:
    connections = Connections(is_careful)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connections.request, seconds)
        nursery.start_soon(connections.close_idle, seconds / 2)


@pytest.mark.one_python
@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["at one time", "later"])
def test_who_uses_and_who_takes_away_are_named(seconds: float) -> None:
    failure = detrun.explore(closes, False, seconds, schedules=30, directory=None).failure
    assert failure is not None
    told = failure.explanation
    assert told is not None
    assert told.verified, str(told)
    assert told.labels == ("uses", "takes away")
    functions = ["" if one.line is None else function_at(one.line.file, one.line.number) for one in told.places]
    assert functions == ["Connections.request", "Connections.close_idle"]


@pytest.mark.one_python
def test_what_is_not_used_may_go() -> None:
    assert detrun.explore(closes, True, 1.0, schedules=30, directory=None).failure is None


def test_uses_are_counted_by_task_and_an_end_without_a_beginning_is_passed_over() -> None:
    async def main() -> list[str]:
        uses = Uses()
        uses.ends("page")
        found = [str(uses.may_go("page"))]
        uses.begins("page")
        uses.begins("page")
        uses.ends("page")
        found.append(str(uses.may_go("page")))
        uses.ends("page")
        return [*found, str(uses.may_go("page"))]

    free, used = "main takes page away", "main takes page away, which main uses"
    assert detrun.record(main).result == [free, used, free]
