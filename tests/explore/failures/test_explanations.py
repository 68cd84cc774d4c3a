"""Explanations name what happened and what decides: known pairs, verified by a run with the two the other way round."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from detrun import explore
from detrun.execution.options import Options
from detrun.explore.campaign.program import Program
from detrun.explore.failures.explain import explain
from detrun.explore.failures.explanation import Explanation
from detrun.explore.failures.narrated_steps import Line, NarratedStep
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import pairs_of_lines
from detrun.explore.failures.trials import TrialRunner
from tests.explore.failures import decisive_programs
from tests.explore.failures.decisive_programs import OF_TASKS, OF_THREADS


def marked_pairs(program: Callable[..., Any]) -> list[set[int]]:
    """The line numbers that comments ``# A1`` and ``# B1`` mark in a program, for each number."""
    lines, first = inspect.getsourcelines(program)
    found: dict[str, set[int]] = {}
    for at, line in enumerate(lines):
        for name in re.findall(r"\b[AB](\d)\b", line.partition("# ")[2]):
            found.setdefault(name, set()).add(first + at)
    return list(found.values())


def assert_happened(explanation: Explanation) -> None:
    """Both operations are in the failing run, at the step that they name, the first before the second."""
    assert explanation.pair is not None
    steps = explanation.failing.steps
    for operation in explanation.pair:
        step = steps[operation.step]
        assert step.task == operation.task
        done = {(mark.line, mark.verb) for mark in step.marks} | {(line, "runs") for line in step.lines}
        assert (operation.line, operation.verb) in done, operation
    assert explanation.pair[0].step < explanation.pair[1].step


CASES: list[Any] = [(program, preemption) for program in OF_THREADS for preemption in ("line", "opcode")]
CASES += [pytest.param(program, "sync", marks=pytest.mark.one_python) for program in (*OF_THREADS, *OF_TASKS)]


@pytest.mark.parametrize(("program", "preemption"), CASES, ids=lambda case: getattr(case, "__name__", case))
def test_the_pair_that_decides_is_named_and_verified(program: Callable[[], Any], preemption: str) -> None:
    failure = explore(program, schedules=400, preemption=preemption, directory=None).failure
    assert failure is not None, "the search finds this bug"
    explanation = failure.explanation
    assert explanation is not None
    assert explanation.verified, str(explanation)
    assert "Verified: " in explanation.text
    assert_happened(explanation)
    assert explanation.pair is not None
    lines = {operation.line.number for operation in explanation.pair if operation.line is not None}
    assert lines in marked_pairs(program), str(explanation)


# A few tasks that each do a few things to what they share, some under a lock.
steps = st.lists(
    st.tuples(st.sampled_from(["read", "write", "append", "pop", "pause", "count"]), st.booleans()), max_size=4
)


def doing(plan: list[list[tuple[str, bool]]]) -> Callable[[], Any]:
    async def main() -> None:
        state = {"value": 0}
        items: list[int] = []
        lock = trio.Lock()
        counts = [0]

        async def act(what: str, seen: list[int]) -> None:
            match what:
                case "read":
                    seen.append(state["value"])
                case "write":
                    assert not seen or state["value"] == seen[-1]
                    state["value"] += 1
                case "append":
                    items.append(len(items))
                case "pop":
                    assert items
                    items.pop()
                case "count":
                    counts[0] += 1
                case "pause":
                    await trio.lowlevel.checkpoint()

        async def worker(own: list[tuple[str, bool]]) -> None:
            seen: list[int] = []
            for what, is_locked in own:
                if is_locked:
                    async with lock:
                        await act(what, seen)
                else:
                    await act(what, seen)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for own in plan:
                nursery.start_soon(worker, own)

    return main


@pytest.mark.one_python
@settings(max_examples=20, deadline=None)
@given(st.lists(steps, min_size=2, max_size=3), st.integers(0, 20))
def test_whatever_is_named_happened_and_its_reversal_passes(plan: list[list[tuple[str, bool]]], seed: int) -> None:
    program = doing(plan)
    failure = explore(program, strategy="random", schedules=20, seed=seed, directory=None).failure
    assume(failure is not None)  # what is drawn need not be able to fail; too few that do make this fail
    assert failure is not None
    explanation = failure.explanation
    assert explanation is not None
    if explanation.pair is not None:
        assert_happened(explanation)
    assert explanation.verified == ("Verified: " in explanation.text)
    assert explanation.verified != ("Not verified: " in explanation.text)
    if explanation.verified:
        assert explanation.passing is not None
        assert all(step.ended != "failed" for step in explanation.passing.steps)


def test_a_failure_of_every_schedule_is_not_verified() -> None:
    async def main() -> None:
        flags: list[int] = []

        async def note() -> None:
            await trio.lowlevel.checkpoint()
            flags.append(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(note)
            nursery.start_soon(note)
        assert not flags

    failure = explore(main, schedules=3, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    assert not failure.explanation.verified
    assert failure.explanation.pair is None
    assert "Not verified: " in failure.explanation.text
    assert "this may not be a matter of the schedule" in failure.explanation.text


def test_reversals_stop_with_their_budget_and_say_so() -> None:
    program = Program(decisive_programs.task_check_then_act, (), Options(max_steps=1_000))
    found = explore(program.main, directory=None, explain=False).failure
    assert found is not None
    runner = TrialRunner(program, found.seed)
    trial = runner.try_schedule(found.schedule)
    cut = explain(runner, trial, seconds=0.0)
    assert not cut.verified
    assert "0 reversals of two operations were tried in 0 s, which is the limit" in cut.text
    assert cut.pair is not None
    assert_happened(cut)
    assert not explain(runner, trial, trials=0).verified
    assert explain(runner, trial).verified


def test_a_task_that_is_cancelled_is_listed_as_cancelled() -> None:
    async def main() -> None:
        async def fail() -> None:
            await trio.lowlevel.checkpoint()
            raise ValueError

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fail)

    failure = explore(main, schedules=1, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    ended = {step.task: step.ended for step in failure.explanation.failing.steps}
    assert ended["main/sleep"] == ended["main/sleep_forever"] == "cancelled"
    assert ended["main/fail"] == "failed"


def test_lines_where_two_tasks_wait_come_before_a_librarys_that_both_run(tmp_path: Path) -> None:
    library = tmp_path / "site-packages" / "protocol.py"
    library.parent.mkdir()
    library.write_text("state = states[role]\n")
    program = tmp_path / "program.py"
    program.write_text("await stream.aclose()\nawait stream.send_all(answer)\n")
    in_library, closes, sends = Line(str(library), 1), Line(str(program), 1), Line(str(program), 2)
    steps = [NarratedStep(0, "serve", [in_library, closes]), NarratedStep(1, "read", [in_library, sends])]
    (pair,) = pairs_of_lines(Narration(steps, {}))
    assert (pair.first.line, pair.second.line) == (closes, sends)
    # In code of the project's own, and where nothing waits, it is the line that both run.
    steps[1].lines = [in_library]
    (pair,) = pairs_of_lines(Narration(steps, {}))
    assert (pair.first.line, pair.second.line) == (in_library, in_library)


class Answering:
    """A program that is an object, and runs lines of its own whenever an attribute is looked up that it lacks."""

    def __init__(self, program: Callable[[], Any]) -> None:
        self.program = program

    async def __call__(self) -> None:
        await self.program()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def test_an_object_that_answers_for_attributes_is_narrated_too() -> None:
    """What it runs before the run begins is no part of a step, and keeps no later line from being heard."""

    async def fails() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError

    failure = explore(Answering(fails), schedules=1, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    lines = {line.number for step in failure.explanation.failing.steps for line in step.lines}
    assert fails.__code__.co_firstlineno + 2 in lines
