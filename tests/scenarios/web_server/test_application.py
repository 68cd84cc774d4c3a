"""The application, its drain and those who ask: what ends when a client hangs up, who is refused, who is dropped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

import detrun
from detrun.checkers.assertions import AssertionViolatedError

pytest.importorskip("httpx")
pytest.importorskip("hypercorn")

import httpx

from detrun_scenarios.web_server.application.answers import answer_of
from detrun_scenarios.web_server.application.hanging_up import unless_hung_up
from detrun_scenarios.web_server.errors import BackendTimeoutError, OverloadedError
from detrun_scenarios.web_server.settings import Settings
from detrun_scenarios.web_server.site import site
from detrun_scenarios.web_server.workload.arrivals import Crowd, arrive
from detrun_scenarios.web_server.workload.browsers import Browsers
from detrun_scenarios.web_server.workload.runs import check_orders, fill

pytestmark = pytest.mark.one_python


@pytest.mark.parametrize(("hangs_up", "found"), [(0.5, None), (2.0, "done")])
def test_work_ends_when_its_client_hangs_up_and_otherwise_by_itself(hangs_up: float, found: str | None) -> None:
    async def main() -> Any:
        async def receive() -> dict[str, str]:
            await trio.sleep(hangs_up)
            return {"type": "http.disconnect"}

        async def work() -> str:
            await trio.sleep(1.0)
            return "done"

        return await unless_hung_up(receive, work), trio.current_time()

    assert detrun.record(main).result == (found, min(hangs_up, 1.0))


def test_errors_of_parts_are_statuses_and_seconds_are_whole_and_at_least_one() -> None:
    assert answer_of(BackendTimeoutError("late")).status == 504
    for seconds, header in ((0.0, b"1"), (1.2, b"2"), (3.0, b"3")):
        answer = answer_of(OverloadedError(seconds))
        assert (answer.status, answer.headers) == (503, ((b"retry-after", header),))


def test_a_crowd_comes_at_its_rate_and_during_the_flash_at_a_multiple_of_it() -> None:
    """The counts are Poisson numbers of means 200, 500 and 200; five standard deviations are allowed, for one seed."""
    times: list[float] = []

    class Noted(Browsers):
        async def ask(self, *arguments: object) -> Any:
            times.append(trio.current_time())

    crowd = Crowd(rate=100.0, seconds=5.0, flash=(2.0, 3.0), factor=5.0)
    detrun.record(arrive, Noted(1.0, 1), crowd, {"item": 1.0}, seed=2)
    for begin, end, mean in ((0.0, 2.0, 200), (2.0, 3.0, 500), (3.0, 5.0, 200)):
        assert abs(sum(begin <= one < end for one in times) - mean) < 5 * mean**0.5


async def statuses(drain_seconds: float, slowness: float) -> tuple[list[Any], bool, int]:
    """What two clients are told of whom the second asks while the server drains; whether that was late; the dropped."""
    async with site(Settings(drain_seconds=drain_seconds, database_timeout=9.0)) as found:
        fill(found, 2)
        found.database.slowness = slowness
        told: list[Any] = [None, None]

        async def get(number: int) -> None:
            async with httpx.AsyncClient(timeout=9.0, trust_env=False) as client:
                try:
                    told[number] = (await client.get(f"http://web:8000/item/{number}")).status_code
                except httpx.HTTPError as error:
                    told[number] = type(error).__name__

        async with trio.open_nursery() as nursery:
            nursery.start_soon(get, 0)
            await trio.sleep(0.05)
            found.web.terminate()
            nursery.start_soon(get, 1)
        await found.stop()
        stack = found.web.stack
        assert stack is not None
        return told, stack.drain.was_late, stack.application.dropped


@pytest.mark.parametrize(
    ("drain_seconds", "slowness", "told", "was_late", "dropped"),
    [(3.0, 60.0, [200, 503], False, 0), (0.05, 600.0, ["RemoteProtocolError", 503], True, 1)],
)
def test_a_server_that_drains_refuses_newcomers_and_answers_those_inside_if_there_is_time(
    drain_seconds: float, slowness: float, told: list[Any], was_late: bool, dropped: int
) -> None:
    assert detrun.record(statuses, drain_seconds, slowness, seed=1).result == (told, was_late, dropped)


def test_a_signal_before_the_first_step_of_a_server_stops_it() -> None:
    async def main() -> bool:
        async with site(Settings()) as found:
            await found.stop()
            found.web_node.start(found.web.run)
            await found.stop()  # nothing of the new process has run yet
            return found.web_node.is_running

    assert not detrun.record(main).result


@pytest.mark.parametrize(
    ("orders", "sold", "is_right"),
    [
        ({"order1": ("pen", 2)}, {"pen": 2}, True),
        ({}, {}, False),
        ({"order1": ("pen", 3)}, {"pen": 3}, False),
        ({"order1": ("pen", 2)}, {"pen": 4}, False),
    ],
)
def test_orders_that_are_lost_changed_or_counted_twice_break_the_invariant(
    orders: dict[str, Any], sold: dict[str, int], is_right: bool
) -> None:
    async def main() -> None:
        browsers = Browsers(1.0, 1)
        browsers.sent = browsers.confirmed = {"order1": ("pen", 2)}
        found: Any = SimpleNamespace(database=SimpleNamespace(orders=orders, sold=sold))
        check_orders(found, browsers)

    if is_right:
        detrun.record(main)
    else:
        with pytest.raises(AssertionViolatedError, match="each order that is confirmed is booked once"):
            detrun.record(main)
