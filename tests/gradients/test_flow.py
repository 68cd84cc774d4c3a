"""Flows of a derivative: conserved in every step, equal to the derivative across every cut, and drawn on a page."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.gradients.adjoint_sizes import adjoint_sizes
from detrun.gradients.flow import PARAMETER
from tests.reports.pages import data_of

FACTORS = st.sampled_from((-2.0, -0.5, 0.25, 1.0, 3.0))
MOVES = st.lists(st.tuples(st.sampled_from("amsc"), st.integers(0, 2), FACTORS), min_size=1, max_size=6)


async def chains(params: dict[str, Any], moves: list[list[tuple[str, int, float]]]) -> Any:
    """Tasks that add to, multiply and copy three shared cells, with the parameter and with numbers."""
    cells = [detrun.Atomic(params["p"] * 1.0), detrun.Atomic(1.0), detrun.Atomic(0.5)]

    async def work(todo: list[tuple[str, int, float]]) -> None:
        for kind, at, factor in todo:
            await trio.lowlevel.checkpoint()
            if kind == "a":
                cells[at].fetch_add(params["p"] * factor)
            elif kind == "m":
                cells[at].fetch_mul(factor)
            elif kind == "s":
                cells[at].store(detrun.sin(cells[(at + 1) % 3].load()) * factor)
            else:
                cells[at].store(cells[(at + 1) % 3].load() * params["p"])

    async with trio.open_nursery() as nursery:
        for todo in moves:
            nursery.start_soon(work, todo)
    return cells[0].load() + 2.0 * cells[1].load() + 3.0 * cells[2].load()


@given(st.lists(MOVES, min_size=1, max_size=3), st.integers(0, 20))
def test_what_flows_across_every_cut_of_a_random_run_is_the_derivative(
    moves: list[list[tuple[str, int, float]]], seed: int
) -> None:
    """Against the sweep, which knows nothing of tangents; 1e-9 of the sum of absolute flows bounds cancellation."""

    async def main(params: dict[str, Any]) -> Any:
        return await chains(params, moves)

    found = detrun.gradient(main, {"p": 0.7}, seed=seed, credit=10_000)
    gradient, flow = found.grads["p"], found.flow["p"]
    size = 1e-9 * (math.fsum(abs(one.contribution) for one in flow) + 1.0)
    last = max((one.target for one in flow), default=0)
    for cut in range(last):
        across = math.fsum(one.contribution for one in flow if one.origin <= cut < one.target)
        assert across == pytest.approx(gradient, abs=size), cut
    into: dict[int, float] = defaultdict(float)
    out: dict[int, float] = defaultdict(float)
    for one in flow:
        into[one.target] += one.contribution
        out[one.origin] += one.contribution
    for step in into:
        if step != last:
            assert out[step] == pytest.approx(into[step], abs=size)


async def passes_on(params: dict[str, Any]) -> Any:
    """One task sends half of the parameter to another, which squares it."""
    sender, receiver = trio.open_memory_channel[Any](1)
    results = []

    async def square() -> None:
        received = await receiver.receive()
        results.append(received * received)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(square, name="square")
        await trio.sleep(1)
        await sender.send(params["p"] * 0.5)
    return results[0] + params["p"]


def test_a_message_carries_what_was_sent_by_it() -> None:
    """L = (p / 2)² + p at p = 6: 3 by way of the message, from the step that halved to the one that squared, and 1."""
    found = detrun.gradient(passes_on, {"p": 6.0}, credit=10)
    assert found.grads["p"] == 4.0
    steps = {step.index: step.path for step in found.recording.iter_steps()}
    ways = [(steps.get(one.origin, "p"), steps[one.target], one.contribution) for one in found.flow["p"]]
    assert sorted(ways) == [
        ("main", "main/square", 3.0),
        ("main/square", "main", 3.0),
        ("p", "main", 1.0),
        ("p", "main", 3.0),
    ]
    assert {one.origin for one in found.flow["p"] if one.contribution == 1.0} == {PARAMETER}
    assert detrun.gradient(passes_on, {"p": 6.0}).flow == {}


def test_a_page_has_the_numbers_the_steps_and_the_ways(tmp_path: Path) -> None:
    found = detrun.gradient(passes_on, {"p": 6.0}, credit=10)
    view = data_of(found.report(tmp_path / "page.html").read_text())["gradient"]
    assert (view["value"], [(row["name"], row["gradient"]) for row in view["rows"]]) == (15.0, [("p", 4.0)])
    assert [step for step, *_ in view["credit"]["p"]] == [one.step for one in found.credit["p"]]
    assert len(view["flow"]["p"]) == len(found.flow["p"])


def test_adjoints_are_largest_in_the_steps_that_matter_most_to_the_loss(tmp_path: Path) -> None:
    """L = (p / 2)² + p at p = 6: dL/d(p / 2) = 6 where it is halved; what the last steps compute has adjoint 1."""
    found = detrun.gradient(passes_on, {"p": 6.0}, credit=10)
    steps = list(found.recording.iter_steps())
    assert [(steps[step].path, size) for step, size in found.adjoint_sizes[1:]] == [
        ("main", 6.0),
        ("main/square", 1.0),
        ("main", 1.0),
    ]
    growth = data_of(found.report(tmp_path / "page.html").read_text())["gradient"]["growth"]
    assert growth["along"] == "virtual time, in seconds"
    assert [time for time, _ in growth["points"]] == [steps[step].time for step, _ in found.adjoint_sizes]
    assert detrun.gradient(passes_on, {"p": 6.0}).adjoint_sizes == []


def test_many_steps_are_cut_into_stretches_that_keep_the_largest() -> None:
    class Marked:
        first_id, end_id = 0, 1000

        def step_of(self, entry: int) -> int:
            return entry // 2

    adjoints = {entry: float(-entry) for entry in range(1000)}
    found = adjoint_sizes(Marked(), adjoints, 100)  # type: ignore[arg-type]  # what it reads of a tape
    assert found == [(5 * at, 10.0 * at + 9.0) for at in range(100)]
