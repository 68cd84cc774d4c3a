"""Failures by an order that virtual time decides are explained by two operations, and by a message or timer moved."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun
from detrun.checkers.noted import About
from detrun.checkers.transactions import Place, noted_place
from detrun.execution.options import Options
from detrun.execution.schedules import unpacked
from detrun.explore.campaign.program import Program
from detrun.explore.failures.explain import Explanation
from detrun.explore.failures.narration import narrate
from detrun.explore.failures.occurrences import MESSAGE, SLEEP, TIMEOUT, Label, Timeline
from detrun.explore.failures.operations import pairs
from detrun.explore.failures.retiming import Retimings
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.trials import TrialRunner
from detrun.world import World
from tests.explore.failures import timed_programs
from tests.explore.failures.test_decisive_actions import line_with
from tests.explore.failures.test_explanations import assert_happened, marked_pairs


def explained(program: Callable[..., Any]) -> Explanation:
    failure = detrun.explore(program, schedules=20, early_timers=0, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    return failure.explanation


def marked_lines(program: Callable[..., Any]) -> set[int]:
    """The lines that comments ``# A1`` and ``# B1`` mark."""
    return marked_pairs(program)[0]


@pytest.mark.parametrize("program", timed_programs.OF_TIME, ids=lambda program: program.__name__)
def test_the_two_operations_are_named_and_verified(program: Callable[..., Any]) -> None:
    explanation = explained(program)
    assert explanation.verified, str(explanation)
    assert_happened(explanation)
    assert explanation.pair is not None
    lines = {operation.line.number for operation in explanation.pair if operation.line is not None}
    assert lines == marked_lines(program), str(explanation)
    steps = explanation.failing.steps
    first, then = (steps[operation.step].time for operation in explanation.pair)
    assert first < then  # no choice of the scheduler reverses them


def test_all_searches_of_a_moment_begin_with_one_run_as_it_was() -> None:
    runner = TrialRunner(Program(timed_programs.watched, (), Options()), 0)
    failing = runner.try_turns(())
    assert failing.error is not None
    narration = narrate(runner.program, runner.seed, unpacked(failing.schedule))
    reversals = Reversals(runner, failing, 3, 20.0)
    searches = [Retimings.of(reversals, narration) for _ in range(2)]
    assert None not in searches
    assert reversals.used == 1
    assert searches[0] is not None
    for used in (2, 3):
        for search in searches:
            assert search is not None
            assert search.at({1: float(used)}) is not None  # each moment is run once
        assert reversals.used == used
    assert Retimings.of(reversals, narration) is None  # nothing could be moved any more


def test_what_is_said_of_a_message_holds_when_its_draw_is_forced() -> None:
    """An oracle of its own: a run with nothing but this one latency forced, as the words say."""
    failure = detrun.explore(timed_programs.overtaken, schedules=20, early_timers=0, directory=None).failure
    assert failure is not None
    said = re.search(r"message one->store, .* took ([\d.]+) s\.\sHad it taken ([\d.]+) s", str(failure.explanation))
    assert said is not None, str(failure.explanation)
    took, instead = map(float, said.groups())
    assert instead < took
    drawn = "key 'one->store latency'", 0  # beyond the least of a millisecond
    with pytest.raises(AssertionError):
        detrun.record(timed_programs.overtaken, seed=failure.seed, force={drawn: took - 0.001})
    detrun.record(timed_programs.overtaken, seed=failure.seed, force={drawn: instead - 0.001})


@pytest.mark.parametrize(("program", "nap"), [(timed_programs.watched, 0.02), (timed_programs.added_up, 0.305)])
def test_what_is_said_of_a_sleep_holds_when_the_program_sleeps_so(program: Callable[..., Any], nap: float) -> None:
    """An oracle of its own. The sleep that is moved is the long one, and not the relay's that follows from it."""
    said = re.search(r"took ([\d.]+) s\.\sHad it taken ([\d.]+) s", str(explained(program)))
    assert said is not None
    took, instead = map(float, said.groups())
    assert took == nap
    assert abs(instead - took) < nap  # another moment of the same sleep
    detrun.record(program, instead)
    between = took + 0.9 * (instead - took)  # no more than it takes
    with pytest.raises(AssertionError):
        detrun.record(program, between)


def test_of_a_failure_that_comes_again_and_again_the_order_that_averts_it_is_named() -> None:
    explanation = explained(timed_programs.overtaken_again)
    assert "so moved, with draws and choices as they were, it goes on, and fails anew at 0.2" in str(explanation)
    assert explanation.verified
    assert explanation.pair is not None
    lines = {operation.line.number for operation in explanation.pair if operation.line is not None}
    assert lines == marked_lines(timed_programs.overtaken_again), str(explanation)


async def overtaken_and_noted() -> None:
    """A check of which value is the last one says where each was made."""
    last, made = 0, dict[int, Place | None]()

    async def live() -> None:
        nonlocal last
        while True:
            last = await detrun.this_node().receive()

    async def put(value: int, after: float) -> None:
        await trio.sleep(after)
        made[value] = noted_place()  # made
        detrun.this_node().send("store", value)

    async with World() as world:
        world.node("store").start(live)
        for name, value, after, latency in (("one", 1, 0.0, 0.03), ("two", 2, 0.02, 0.001)):
            client = world.node(name)
            world.link(name, "store").latency = latency
            client.start(put, value, after)
        await trio.sleep(1.0)
    about = tuple((f"makes {value}", place) for value, place in made.items() if place is not None)
    detrun.always(About(last == 2, about), "the second value is the last one")


def test_what_the_check_is_about_is_named_beside_the_two_operations() -> None:
    explanation = explained(overtaken_and_noted)
    assert explanation.verified
    assert explanation.labels == ("first", "then", "makes 1", "makes 2", "and shows in"), str(explanation)
    line = line_with(overtaken_and_noted, "made")
    assert [one.line is not None and one.line.number for one in explanation.places[2:4]] == [line, line]


def test_a_failure_that_says_the_same_later_is_not_taken_for_another_one() -> None:
    """To move the message moves the check that fails, and no more."""

    async def fails() -> None:
        async with World(latency=0.01) as world:
            world.node("other").start(look)
            for turn in range(3):
                detrun.this_node().send("other", turn)
                await trio.sleep(1)

    async def look() -> None:
        while True:
            turn = await detrun.this_node().receive()
            detrun.always(turn < 1, "turn", "as ever")

    failure = detrun.explore(fails, schedules=20, early_timers=0, directory=None).failure
    assert failure is not None
    assert "fails anew" not in str(failure.explanation)


def test_where_no_order_decides_nothing_is_named() -> None:
    async def fails() -> None:
        async with World(latency=0.01) as world:
            world.node("other")
            detrun.this_node().send("other", 1)
            await trio.sleep(1)
            raise ValueError

    explanation = explained(fails)
    assert not explanation.verified
    assert "Had it taken" not in explanation.text


async def busy() -> None:
    """Two messages come while their reader sleeps, and one while it waits."""
    async with World(latency=0.01) as world:
        reader = world.node("reader")

        async def read() -> None:
            await detrun.sleep(0.05)
            for _ in range(3):
                await detrun.this_node().receive()

        async def write() -> None:
            for pause in (0.0, 0.01, 0.06):
                await detrun.sleep(pause)
                detrun.this_node().send("reader", pause)
            with trio.move_on_after(1):
                await trio.sleep_forever()

        reader.start(read)
        writer = world.node("writer")
        writer.start(write)
        await writer.ended()


def timeline_of(program: Callable[..., Any], timeline: Timeline) -> list[str]:
    """Runs a program and gives the task of each step."""
    trial = TrialRunner(Program(program, (), Options()), 0).try_timers((), timeline.hooks())
    timeline.close()
    return trial.order


def test_each_message_is_ascribed_to_the_step_that_goes_on_with_it() -> None:
    timeline = Timeline()
    order = timeline_of(busy, timeline)
    found = timeline.labelled()
    messages = [found[Label(MESSAGE, "writer->reader", nth)] for nth in range(3)]
    steps = [one.handled_in for one in messages]
    assert [order[step] for step in steps] == ["main/reader/read"] * 3
    assert steps == sorted(set(steps))
    assert [timeline.times[step] for step in steps] == pytest.approx([0.05, 0.05, 0.08])
    assert [one.due for one in messages] == pytest.approx([0.01, 0.02, 0.08])
    assert all(one in timeline.fired and one.is_sent for one in messages)
    sleep = found[Label(SLEEP, "main/reader/read", 0)]
    assert order[sleep.handled_in] == "main/reader/read"
    assert timeline.times[sleep.handled_in] == pytest.approx(0.05)
    timeout = found[Label(TIMEOUT, "main/writer/write", 0)]
    assert order[timeout.handled_in] == "main/writer/write"
    assert timeline.times[timeout.handled_in] == pytest.approx(1.07)


def test_no_step_was_woken_by_itself_or_a_later_one() -> None:
    """A task whose check fails wakes itself where it cancels its children; who went back from there never ended."""

    async def checks() -> None:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
            detrun.always(len(tasks.child_tasks) == 2, "there are two")

    timeline = Timeline()
    timeline_of(checks, timeline)
    assert all(woken < step for step, woken in enumerate(timeline.woken_in)), timeline.woken_in


def test_who_woke_a_task_is_known_where_it_also_wakes_itself() -> None:
    """A child of a cancelled nursery begins, waits and is cancelled in one step; who started it has woken it."""

    async def cancels() -> None:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(trio.sleep_forever)
            tasks.cancel_scope.cancel()

    timeline = Timeline()
    order = timeline_of(cancels, timeline)
    began = next(step for step, task in enumerate(order) if task.endswith("sleep_forever"))
    assert order[timeline.woken_in[began]] == "main"


def test_a_moved_message_comes_when_it_is_said_to_and_nothing_else_moves() -> None:
    timeline = Timeline(lambda one: 0.03 if one.label == Label(MESSAGE, "writer->reader", 0) else None)
    timeline_of(busy, timeline)
    fired = [one.label for one in timeline.fired if one.label.kind == MESSAGE]
    assert fired == [Label(MESSAGE, "writer->reader", nth) for nth in (1, 0, 2)]
    plain = Timeline()
    timeline_of(busy, plain)
    moved = {one.label for one in timeline.all if one.due != plain.labelled()[one.label].due}
    assert moved == {Label(MESSAGE, "writer->reader", 0)}


def test_a_step_in_which_a_check_fails_is_narrated() -> None:
    async def checks() -> None:
        await trio.sleep(0.5)
        found = 1
        detrun.always(found == 2, "it is two")

    narration = narrate(Program(checks, (), Options()), 0, [])
    step = narration.open_step
    assert step is not None
    assert (step.task, step.time, step.ended) == ("main", 0.5, "failed")
    first = checks.__code__.co_firstlineno
    assert [line.number - first for line in step.lines][-2:] == [2, 3]


def test_pairs_at_two_times_are_none_for_the_scheduler() -> None:
    shared = {"value": 0.0}

    async def program() -> None:
        async def write(after: float) -> None:
            await trio.sleep(after)
            shared["value"] = after

        async with trio.open_nursery() as nursery:
            for after in (0.1, 0.1, 0.2):
                nursery.start_soon(write, after)

    narration = narrate(Program(program, (), Options()), 0, [])
    times = {narration.steps[one.step].time for pair in pairs(narration, None) for one in (pair.first, pair.second)}
    assert times == {0.1}
