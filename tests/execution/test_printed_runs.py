"""A run and a moment that are printed say what they are, one fact in each line."""

from __future__ import annotations

import trio

import detrun


async def program() -> int:
    await trio.sleep(1.5)
    return 42


async def failing() -> None:
    raise ValueError("of no use")


def test_a_printed_run_has_its_result_its_length_and_its_digest() -> None:
    run = detrun.record(program, seed=7)
    lines = str(run).splitlines()
    assert lines[0] == "a run that returned"
    assert "  result  42" in lines
    assert f"  steps   {run.steps}" in lines
    assert "  time    1.5 s, virtual" in lines
    assert "  seed    7, strategy random" in lines
    assert f"  digest  {run.digest}" in lines


def test_a_printed_run_that_failed_says_by_what() -> None:
    run = detrun.record(failing, raise_errors=False)
    assert str(run).splitlines()[0] == "a run that failed"
    assert "  error   ValueError: of no use" in str(run).splitlines()


def test_a_printed_moment_says_where_each_task_stands() -> None:
    run = detrun.record(program)
    with run.at(virtual_time=1.0) as moment:
        text = str(moment)
    assert text.startswith("after step ")
    assert "(main) waits for sleep" in text
    assert f"at {__file__}:" in text
