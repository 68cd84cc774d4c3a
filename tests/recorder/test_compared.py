"""Two recordings compared: the first difference by brute force, and the tasks that it changed by hand."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_recorder.compared import compare
from detrun_recorder.recording import Recording
from tests.examples import examples
from tests.execution.random_programs import STEPS_MAX, Body, interpret, programs


def recorded(program: Body, seed: int) -> Recording:
    return detrun.record(interpret, program, seed=seed, max_steps=STEPS_MAX, raise_errors=False).recording


@examples(25)
@given(programs(), st.integers(0, 3), st.integers(0, 3))
def test_two_runs_of_a_random_program_part_where_their_steps_do(program: Body, one: int, other: int) -> None:
    first, second = recorded(program, one), recorded(program, other)
    steps, others = list(first.iter_steps()), list(second.iter_steps())
    found = compare(first, second)

    def said(step):  # numbers of tasks are those of spawning, which is the same up to the first difference
        return (step.task, step.path, step.runnable, step.outcome, step.events, step.actions)

    same = [said(a) == said(b) for a, b in zip(steps, others, strict=False)]
    common = same.index(False) if False in same else min(len(steps), len(others))
    assert found.common == common
    assert found.equal is (common == len(steps) == len(others))
    backward = compare(second, first)
    assert (backward.common, backward.kind) == (found.common, found.kind)
    assert [(task.path, task.second, task.first) for task in backward.affected] == [
        (task.path, task.first, task.second) for task in found.affected
    ]
    assert found.equal or found.unaffected + len(found.affected) <= len({step.path for step in steps + others})


async def walks(extra: int) -> None:
    async def walk(steps: int) -> None:
        for _ in range(steps):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(walk, 5, name="left")
        nursery.start_soon(walk, 5 + extra, name="right")


async def plain() -> None:
    await walks(0)


async def longer() -> None:
    await walks(1)


def test_another_order_of_the_same_steps_affects_no_task() -> None:
    runs = [detrun.record(plain, seed=seed).recording for seed in range(8)]
    other = next(one for one in runs if one.digest != runs[0].digest)
    found = compare(runs[0], other)
    assert found.kind == "choice"
    assert found.affected == []


def test_a_task_with_a_step_more_is_the_one_that_is_affected() -> None:
    for seed in range(4):
        found = compare(*(detrun.record(main, seed=seed).recording for main in (plain, longer)))
        (affected,) = found.affected
        assert affected.path == "main/right"
        assert affected.first is not None
        assert affected.second is not None
        assert (affected.first.outcome, affected.second.outcome) == ("done", "checkpoint")


def test_a_recording_that_is_cut_ends_before_the_other() -> None:
    recording = detrun.record(plain).recording
    cut = Recording.from_chunks(recording.header, [])
    found = compare(recording, cut)
    assert (found.common, found.kind, found.second) == (0, "end", None)
    assert all(task.second is None for task in found.affected)
