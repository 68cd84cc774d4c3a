"""The line that answers share, against closed forms, and the weights of priorities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio

import detrun
from detrun.ad.temperature import temperature_of
from detrun_scenarios.browser.network.line import Line
from detrun_scenarios.browser.network.priorities import WEIGHTS, weight_of

pytestmark = pytest.mark.one_python


async def two_answers(params: Mapping[str, Any]) -> dict[str, Any]:
    """400 bytes from the beginning, and 100 bytes of another answer from 1 s on: when each ends."""
    line, ends = Line(params["bandwidth"]), {}

    async def answer(name: str, number: int, weight: Any, begins: float, count: int) -> None:
        await trio.sleep(begins)
        line.join(number, weight)
        await line.send(number, count)
        line.leave(number)
        ends[name] = trio.current_time()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, "long", 1, params["weight"], 0.0, 400)
        nursery.start_soon(answer, "short", 2, 1.0, 1.0, 100)
    return ends


AT = {"bandwidth": 100.0, "weight": 2.0}


def test_answers_share_the_line_by_weight_and_one_that_is_alone_has_all_of_it() -> None:
    """The short one has a third from 1 s on; when it has ended at 4 s, 100 bytes of the long one are left."""
    ends = detrun.record(two_answers, AT).result
    assert float(ends["short"]) == pytest.approx(4.0, rel=1e-12)
    assert float(ends["long"]) == pytest.approx(5.0, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "by_weight", "by_bandwidth"),
    # The short one ends after 1 + (weight + 1) 100 / bandwidth, the long one after 500 / bandwidth.
    [("short", 1.0, -0.03), ("long", 0.0, -0.05)],
)
def test_times_have_the_derivatives_of_their_closed_forms(name: str, by_weight: float, by_bandwidth: float) -> None:
    async def end(params: Mapping[str, Any]) -> Any:
        return (await two_answers(params))[name]

    found = detrun.gradient(end, AT, validity=False).grads
    assert found["weight"] == pytest.approx(by_weight, abs=1e-12)
    assert found["bandwidth"] == pytest.approx(by_bandwidth, rel=1e-12)


def test_a_priority_has_the_weight_of_its_level_and_softly_a_mean_of_those_around() -> None:
    assert [weight_of(float(level)) for level in range(5)] == list(WEIGHTS)
    assert weight_of(2.4) == WEIGHTS[2]
    with temperature_of(1.0):
        steps = [weight_of(at + 0.5) - weight_of(at - 0.5) for at in (1.5, 2.0, 2.5)]
    assert all(0.7 * 36.5 < -step < 1.1 * 36.5 for step in steps)  # levels are 36.5 apart
