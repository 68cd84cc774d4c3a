"""How margins between deadlines are named: by the line that waits, that of the timer before, or in words."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import detrun
from detrun.ad import state
from detrun.ad.value import Value
from detrun.gradients import timing
from detrun.gradients.timing import TimingSites


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the margins are called that some calls make; keys are the lines that wait, or None."""
    monkeypatch.setattr(timing, "line_that_waits", lambda key: key)

    def names(act: Any) -> list[str]:
        with state.taped() as tape:
            act(TimingSites(), Value(3.0))
        return [str(one) for one in tape.sites]

    return names


def test_a_timer_that_fires_is_named_by_its_line_or_that_of_the_one_before(named: Any) -> None:
    def fires(sites: TimingSites, moment: Value) -> None:
        sites.advanced(moment, 1.0, None, 1)
        sites.advanced(moment, 1.0, "a.py:1", 2)
        sites.advanced(moment, None, "a.py:2", 3)  # nothing to compare with
        sites.advanced(moment, 2.0, None, 4)

    assert named(fires) == [
        "timer order: two timers fire in the other order",
        "timer order: a.py:1",
        "timer order: a.py:2",
    ]


def test_a_timer_that_is_late_is_named_by_its_line_or_in_words(named: Any) -> None:
    def late(sites: TimingSites, moment: Value) -> None:
        for key in ("a.py:1", None):
            sites.overdue(moment, 4.0, key)

    assert named(late) == ["late timer: a.py:1", "late timer: a timer that was due at once has to wait"]


def test_scopes_that_end_sleeps_are_named_by_the_line_that_sleeps() -> None:
    """A sleep has a scope of its own, so that the scope around it has no task but in that."""

    async def give_up(after: Any) -> None:
        with trio.move_on_after(after):
            await trio.sleep(100.0)

    async def main(params: Any) -> Any:
        async with trio.open_nursery() as nursery:
            for name in ("one", "other"):
                nursery.start_soon(give_up, params[name])
        return trio.current_time()

    found = detrun.gradient(main, {"one": 1.0, "other": 2.0})
    (order,) = [one for one in found.diagnostics.nearest_margins if one.kind == "timer order"]
    assert order.where.startswith(f"{__file__}:")
    assert order.code == "await trio.sleep(100.0)"


@pytest.mark.parametrize("line", [None, "a.py:1"])
def test_a_timeout_is_named_by_the_nearest_line_of_the_program_or_in_words(
    line: str | None, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "nearest_user_line", lambda: line)
    (name,) = named(lambda sites, moment: sites.disarmed(moment, 1.0, 1))
    if line is None:
        assert name == "timeout: a timeout fires before what it guards has ended"
    else:
        assert name.startswith(f"timeout at {__file__}:")
