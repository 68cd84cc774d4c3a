"""The self-optimizing database: layouts against brute force, answers under every layout, and what is promised."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("sqlglot")

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.studies.self_optimizing_database import SCENARIO
from detrun_scenarios.studies.self_optimizing_database.layout import Laid, ordered, rank_of_key
from detrun_scenarios.studies.self_optimizing_database.server import ANSWERED, check_answers
from tests.scenarios.whole import looked_at, program_of, survived

pytestmark = pytest.mark.one_python

PROMISED = {one.name for one in SCENARIO.invariants}
ROWS, PAGE = 300, 7  # rows, and so many on a page


@pytest.mark.parametrize("seeds", [10, pytest.param(2_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_many_seeds_keep_what_the_database_promises(seeds: int) -> None:
    assert looked_at(survived(program_of(SCENARIO, "small"), range(seeds))) >= PROMISED


@pytest.mark.parametrize("weights", [(8.0, 0.05), (0.05, 8.0), (8.0, 8.0)])
def test_answers_are_right_under_every_layout(weights: tuple[float, float]) -> None:
    program = program_of(SCENARIO, "small")
    detrun.record(program, {**SCENARIO.defaults, "by_key": weights[0], "by_heat": weights[1]}, seed=1)


def test_a_wrong_answer_is_noticed() -> None:
    from types import SimpleNamespace

    from detrun_scenarios.database.workload.terminals import Done

    def main():
        laid = Laid(rows=20)
        right = Done("read_range", [18, 25], 2)
        check_answers(SimpleNamespace(observed=SimpleNamespace(done=[right])), laid)
        wrong = Done("read_range", [18, 25], 3)
        check_answers(SimpleNamespace(observed=SimpleNamespace(done=[right, wrong])), laid)

    with pytest.raises(AssertionViolatedError, match=ANSWERED):
        detrun.record(main)


def noise_of(seed: int) -> list[float]:
    def main():
        return [float(detrun.uniform(key=key)) for key in range(ROWS)]

    found: list[float] = detrun.record(main, seed=seed).result
    return found


def pages_of(order: list[int], keys: list[int]) -> int:
    """How many pages a set of rows lies on."""
    place = {key: at for at, key in enumerate(order)}
    return len({place[key] // PAGE for key in keys})


def test_heat_brings_hot_rows_onto_few_pages_and_keys_bring_ranges_onto_few() -> None:
    hot = sorted(range(ROWS), key=rank_of_key(ROWS).__getitem__)[:21]
    ranges = list(range(100, 121))
    noise = noise_of(1)
    assert pages_of(ordered(ROWS, 0.0, 1e6, noise), hot) == 3  # 21 rows, seven to a page
    assert pages_of(ordered(ROWS, 1e6, 0.0, noise), ranges) == 4  # they begin in the middle of one
    assert ordered(ROWS, 1e6, 0.0, noise) == list(range(ROWS))


def test_rows_without_an_order_lie_on_as_many_pages_as_chance_says() -> None:
    """Of P pages of s rows, n rows drawn without return leave a page free with C(N - s, n) / C(N, n); 100 layouts.

    The standard deviation of the count is below 2, so that four standard errors are 0.8.
    """
    hot = sorted(range(ROWS), key=rank_of_key(ROWS).__getitem__)[:21]
    counts = [pages_of(ordered(ROWS, 0.0, 0.0, noise_of(seed)), hot) for seed in range(100)]
    full, rest = divmod(ROWS, PAGE)
    sizes = [PAGE] * full + ([rest] if rest else [])
    expected = sum(1.0 - math.comb(ROWS - size, 21) / math.comb(ROWS, 21) for size in sizes)
    assert abs(sum(counts) / 100 - expected) < 0.8
