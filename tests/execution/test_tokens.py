"""Tokens: short schedules as text, replayed."""

from __future__ import annotations

import pytest
import trio

import detrun
from detrun_recorder.token import to_token


async def lost_update(tasks: int) -> int:
    counter = 0

    async def increment() -> None:
        nonlocal counter
        seen = counter
        await trio.lowlevel.checkpoint()
        counter = seen + 1

    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(increment)
    return counter


def test_a_token_makes_the_same_run_again() -> None:
    results = set()
    for seed in range(20):
        run = detrun.record(lost_update, 4, seed=seed)
        again = detrun.replay(lost_update, 4, recording=to_token(run.recording))
        assert (again.result, again.digest, again.steps) == (run.result, run.digest, run.steps)
        results.add(run.result)
    assert len(results) > 1  # the schedules did differ


def test_a_token_of_another_program_is_found_out_by_its_length() -> None:
    token = to_token(detrun.record(lost_update, 4).recording)
    with pytest.raises(detrun.DivergenceError, match="the token is of a run of 13 steps, but this run took 17"):
        detrun.replay(lost_update, 6, recording=token)


def test_what_is_neither_a_file_nor_a_token_is_named() -> None:
    with pytest.raises(detrun.RecordingFormatError, match="nothing-here"):
        detrun.replay(lost_update, 4, recording="nothing-here.detrun")
    with pytest.raises(detrun.RecordingFormatError, match="token"):
        detrun.replay(lost_update, 4, recording="detrun1-garbage")
