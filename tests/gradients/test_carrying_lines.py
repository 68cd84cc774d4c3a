"""Lines that carried a derivative: they add up to their steps, and each is the line that did it."""

from __future__ import annotations

import linecache
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.gradients.carrying_lines import carrying_lines
from detrun.gradients.flow import PARAMETER, Flow, strongest_path
from tests.gradients.test_flow import MOVES, chains
from tests.reports.pages import data_of


@given(st.lists(MOVES, min_size=1, max_size=3), st.integers(0, 20))
def test_the_lines_of_a_step_add_up_to_what_the_sweep_of_another_run_says_of_it(
    moves: list[list[tuple[str, int, float]]], seed: int
) -> None:
    """Sums of the same terms in another order: 1e-9 of their absolute sum bounds the rounding."""

    async def main(params: dict[str, Any]) -> Any:
        return await chains(params, moves)

    found = detrun.gradient(main, {"p": 0.7}, seed=seed, credit=10_000)
    lines = carrying_lines(main, {"p": 0.7}, found.recording, found.flips.options, tapes=True)
    sums = [(lines.credit["p"][one.step], one.contribution) for one in found.credit.get("p", [])]
    sums += [(lines.flow["p"][way.origin, way.target], way.contribution) for way in found.flow.get("p", [])]
    for by_line, whole in sums:
        assert abs(math.fsum(by_line.values()) - whole) <= 1e-9 * math.fsum(map(abs, by_line.values()))


def doubled(number: Any) -> Any:
    return number * 2.0


async def uses_it_on_three_lines(params: dict[str, Any]) -> Any:
    sender, receiver = trio.open_memory_channel[Any](1)
    first = doubled(params["p"]) + params["p"] * 10.0  # the product is of this line, though a call came between
    second = 5.0
    await sender.send(first + second)
    await trio.sleep(1)
    received = await receiver.receive()
    return received * 3.0


def test_each_line_has_what_it_did_itself() -> None:
    found = detrun.gradient(uses_it_on_three_lines, {"p": 1.0}, credit=10)
    lines = carrying_lines(uses_it_on_three_lines, {"p": 1.0}, found.recording, found.flips.options, tapes=True)
    said = {
        linecache.getline(line.file, line.number).partition("#")[0].strip(): contribution
        for by_line in lines.credit["p"].values()
        for line, contribution in by_line.items()
    }
    assert said == {"return number * 2.0": 6.0, 'first = doubled(params["p"]) + params["p"] * 10.0': 30.0}
    flowed = {
        linecache.getline(line.file, line.number).strip(): contribution
        for (origin, _), by_line in lines.flow["p"].items()
        for line, contribution in by_line.items()
        if origin != PARAMETER
    }
    assert flowed == {"return received * 3.0": 36.0}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5), st.floats(0.1, 9)), max_size=12))
def test_the_strongest_path_is_one_of_those_whose_weakest_flow_is_largest(edges: list[tuple[int, int, float]]) -> None:
    """Against all paths."""
    widths = {(PARAMETER, 0): 7.0} | {(one, one + more): wide for one, more, wide in edges}
    flow = [Flow(origin, target, wide, wide / 10) for (origin, target), wide in widths.items()]
    origins = {origin for origin, _ in widths}

    def paths(at: int) -> list[list[Flow]]:
        further = [one for one in flow if one.origin == at]
        return [[one, *rest] for one in further for rest in (paths(one.target) if one.target in origins else [[]])]

    best = max(min(abs(one.contribution) for one in path) for path in paths(PARAMETER))
    found = strongest_path(flow)
    assert found[0].origin == PARAMETER
    assert found[-1].target not in origins
    assert all(one.target == other.origin for one, other in pairwise(found))
    assert min(abs(one.contribution) for one in found) == best
    assert strongest_path([]) == []


def test_a_run_in_windows_has_the_lines_of_its_steps_alone() -> None:
    found = detrun.gradient(uses_it_on_three_lines, {"p": 1.0}, credit=10)
    lines = carrying_lines(uses_it_on_three_lines, {"p": 1.0}, found.recording, found.flips.options, tapes=False)
    assert lines.credit == lines.flow == {}
    assert lines.source.steps


def test_of_a_longer_run_the_first_steps_have_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    found = detrun.gradient(uses_it_on_three_lines, {"p": 1.0}, credit=10)
    whole = carrying_lines(uses_it_on_three_lines, {"p": 1.0}, found.recording, found.flips.options, tapes=True)
    heard = max(whole.source.steps)
    assert any(way[1] == heard and by_line for way, by_line in whole.flow["p"].items())
    monkeypatch.setattr("detrun.gradients.carrying_lines.STEPS_MAX", heard)
    cut = carrying_lines(uses_it_on_three_lines, {"p": 1.0}, found.recording, found.flips.options, tapes=True)
    assert cut.source.steps == {step: lines for step, lines in whole.source.steps.items() if step < heard}
    assert cut.credit == whole.credit
    assert cut.flow["p"] == {way: {} if way[1] >= heard else by_line for way, by_line in whole.flow["p"].items()}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"samples": 2}, "they are known of the gradient of one run by numbers"),
        ({"preemption": "line"}, "its threads give way within lines, where they cannot be heard, too"),
    ],
)
def test_a_page_without_lines_of_code_says_why(options: dict[str, Any], why: str, tmp_path: Path) -> None:
    found = detrun.gradient(uses_it_on_three_lines, {"p": 1.0}, **options)
    document = data_of(found.report(tmp_path / "page.html").read_text())
    assert f"without lines of code: {why}" in document["notes"]
    assert document["source"] is None
