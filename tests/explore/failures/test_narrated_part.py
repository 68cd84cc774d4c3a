"""Narrations of some steps of a run: as in a narration of all, and the steps after them run untraced."""

from __future__ import annotations

import sys

import trio

import detrun
from detrun.execution.options import Options
from detrun.explore.failures.narrated_recording import narrated

traced: list[bool] = []


async def takes_a_lock_again_and_again() -> None:
    traced.clear()
    lock = trio.Lock()

    async def take() -> None:
        for _ in range(5):
            with trio.CancelScope():
                async with lock:
                    await trio.lowlevel.checkpoint()
            traced.append(sys.gettrace() is not None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        nursery.start_soon(take)


def test_a_part_has_the_lines_and_marks_that_its_steps_have_in_the_whole() -> None:
    recording = detrun.record(takes_a_lock_again_and_again).recording
    whole = narrated(recording, takes_a_lock_again_and_again, (), Options())
    for part in (range(4), range(5, 12), range(recording.steps - 4, recording.steps)):
        found = narrated(recording, takes_a_lock_again_and_again, (), Options(), part)
        assert [step.index for step in found.steps] == list(part)
        for step in found.steps:
            same = whole.steps[step.index]
            assert (step.task, step.ended) == (same.task, same.ended)
            assert [(found.name_of(mark.key), mark.mode, mark.line, mark.verb) for mark in step.marks] == [
                (whole.name_of(mark.key), mark.mode, mark.line, mark.verb) for mark in same.marks
            ]
            if step.index > part.start:  # where a task stands, which a step without lines shows, is heard before it
                assert step.lines == same.lines
        assert found.spawned == whole.spawned


def test_after_the_last_step_that_is_wanted_nothing_is_traced() -> None:
    recording = detrun.record(takes_a_lock_again_and_again).recording
    narrated(recording, takes_a_lock_again_and_again, (), Options(), range(6))
    assert traced[0]
    assert not traced[-1]
    narrated(recording, takes_a_lock_again_and_again, (), Options())
    assert all(traced)
