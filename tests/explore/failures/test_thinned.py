"""Of a step that runs very many lines those are kept that its loops did not run over and over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detrun.explore.failures.narrated_steps import LEFT, OFTEN, Line, thinned


def lines_of(numbers: list[int]) -> list[Line]:
    return [Line("program.py", number) for number in numbers]


def test_what_is_run_once_between_two_loops_stays() -> None:
    loops = [1, 2] * 300
    kept = thinned(lines_of([*loops, 7, 8, *loops]))
    assert kept == lines_of([*[1, 2] * OFTEN, 7, 8, *[1, 2] * OFTEN])


def test_of_lines_that_no_loop_runs_the_first_and_the_last_stay() -> None:
    numbers = list(range(1_000))
    half = int(LEFT * 1_000) // 2
    assert thinned(lines_of(numbers)) == lines_of([*numbers[:half], *numbers[-half:]])


@given(st.lists(st.integers(0, 12), min_size=100, max_size=200))
def test_the_order_and_the_end_stay_and_a_part_is_left_out(numbers: list[int]) -> None:
    lines = lines_of(numbers)
    kept = thinned(lines)
    assert kept[-1] == lines[-1]
    assert len(kept) <= LEFT * len(lines)
    later = iter(lines)
    assert all(one in later for one in kept)  # each after the one before it
