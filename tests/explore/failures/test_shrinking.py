"""Shrunk schedules are as simple as brute force finds them, and explanations name the right lines."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import detrun
from detrun import explore
from detrun.execution.options import Options
from detrun.execution.schedules import packed, unpacked
from detrun.explore.campaign.program import Program
from detrun.explore.campaign.signatures import signature_of
from detrun.explore.failures.listing import Listing, code_of
from detrun.explore.failures.shrink_schedule import shrink
from detrun.explore.failures.trials import LimitedTrials, TrialRunner, Turn
from tests.explore.racy_programs import embrace, lost_update, rare

checkpoint = trio.lowlevel.checkpoint


def racing(plan: list[list[tuple[int, int]]]) -> Any:
    """Tasks that each add to variables by reading, passing a checkpoint, and writing; a lost update fails."""

    async def main() -> None:
        variables = [detrun.Shared(0) for _ in range(2)]

        async def worker(steps: list[tuple[int, int]]) -> None:
            for variable, wait in steps:
                value = variables[variable].value
                for _ in range(wait):
                    await checkpoint()
                variables[variable].value = value + 1
                await checkpoint()

        async with trio.open_nursery() as nursery:
            for steps in plan:
                nursery.start_soon(worker, steps)
        for variable in range(2):
            wanted = sum(step[0] == variable for steps in plan for step in steps)
            assert variables[variable].value == wanted, variable

    return main


plans = st.lists(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=2), min_size=2, max_size=3
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.filter_too_much])
@given(plans, st.integers(0, 50))
def test_shrinking_keeps_the_failure_and_reaches_the_fewest_preemptions(plan: Any, seed: int) -> None:
    program = racing(plan)
    failure = explore(program, strategy="random", schedules=40, seed=seed, directory=None, explain=False).failure
    assume(failure is not None)
    assert failure is not None
    assert failure.shrunk is not None
    shrunk = failure.shrunk
    assert shrunk.after <= shrunk.before
    fewest = next(
        bound
        for bound in range(5)
        if explore(
            program, strategy=f"bounded:{bound}", schedules=50_000, directory=None, shrink=False, explain=False
        ).failed
    )
    # Both variables are checked on one line, so every lost update is the same failure.
    assert shrunk.after[0] == fewest


@settings(max_examples=10, suppress_health_check=[HealthCheck.filter_too_much])
@given(plans, st.integers(0, 50))
def test_no_turn_of_a_shrunk_schedule_can_be_left_out(plan: Any, seed: int) -> None:
    program = racing(plan)
    failure = explore(program, strategy="random", schedules=40, seed=seed, directory=None, explain=False).failure
    assume(failure is not None)
    assert failure is not None
    assert failure.shrunk is not None
    assert failure.shrunk.complete
    assert signature_of(failure.exception) == failure.shrunk.trial.signature
    trial = failure.shrunk.trial
    limited = LimitedTrials(TrialRunner(Program(program, (), Options(max_steps=1_000)), failure.seed), 1_000)
    for index in range(len(trial.turns)):
        shorter = limited.try_turns([turn for at, turn in enumerate(trial.turns) if at != index])
        assert shorter is not None
        assert shorter.signature != trial.signature


def test_a_long_detour_shrinks_to_the_turn_that_matters() -> None:
    failure = explore(rare, 6, strategy="random", schedules=5_000, directory=None).failure
    assert failure is not None
    assert failure.shrunk is not None
    preemptions, _, turns, _ = failure.shrunk.after
    assert (preemptions, turns) == (0, 1)


def test_shrinking_stops_with_its_budget() -> None:
    found = explore(rare, 6, strategy="random", schedules=5_000, directory=None, shrink=False).failure
    assert found is not None
    runner = TrialRunner(Program(rare, (6,), Options(max_steps=1_000)), found.seed)
    shrunk = shrink(runner, runner.try_schedule(found.schedule), trials=1)
    assert shrunk is not None
    assert shrunk.trials <= 1
    assert not shrunk.complete
    assert "stopped early" in str(shrunk)


def test_shrinking_says_that_time_ran_out_and_gives_what_it_has() -> None:
    found = explore(rare, 6, strategy="random", schedules=5_000, directory=None, shrink=False, explain=False).failure
    assert found is not None
    runner = TrialRunner(Program(rare, (6,), Options(max_steps=1_000)), found.seed)
    shrunk = shrink(runner, runner.try_schedule(found.schedule), seconds=0.0)
    assert not shrunk.complete
    assert shrunk.trials == 0
    assert shrunk.after == shrunk.before
    assert "(stopped early, after 0 s)" in str(shrunk)


@pytest.mark.parametrize("trials", [5, 50, pytest.param(2_000, marks=pytest.mark.slow)])
def test_shrinking_is_a_function_of_its_budget_in_trials(trials: int) -> None:
    found = explore(both_lost, strategy="random", schedules=40, directory=None, shrink=False, explain=False).failure
    assert found is not None
    results = []
    for _ in range(2):
        runner = TrialRunner(Program(both_lost, (), Options(max_steps=1_000)), found.seed)
        shrunk = shrink(runner, runner.try_schedule(found.schedule), trials=trials)
        results.append((shrunk.trial.schedule, shrunk.after, shrunk.trials, shrunk.complete))
    assert results[0] == results[1]
    assert results[0][2] <= 1.5 * trials


async def both_lost() -> None:
    """Fails only if an update of each of two variables is lost: two preemptions."""
    flags = [detrun.Shared(0) for _ in range(2)]

    async def worker(me: int) -> None:
        await checkpoint()
        old = flags[me % 2].value
        await checkpoint()
        flags[me % 2].value = old + 1

    async with trio.open_nursery() as nursery:
        for me in range(4):
            nursery.start_soon(worker, me)
    assert flags[0].value == 2 or flags[1].value == 2


def test_a_failure_that_needs_two_preemptions_shrinks_to_two() -> None:
    assert not explore(both_lost, strategy="bounded:1", schedules=50_000, directory=None).failed
    for seed in range(2):
        failure = explore(both_lost, strategy="random", schedules=40, seed=seed, directory=None, explain=False).failure
        assert failure is not None
        assert failure.shrunk is not None
        assert failure.shrunk.complete
        assert failure.shrunk.before[0] > 2
        assert failure.shrunk.after[0] == 2


def busy_threads() -> None:
    """Three threads do much under a lock, and once lose an update: one preemption among hundreds."""
    state = {"count": 0, "total": 0}
    lock = threading.Lock()

    def work() -> None:
        for turn in range(8):
            with lock:
                state["total"] += 1
            if turn == 4:
                before = state["count"]
                state["count"] = before + 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state["count"] == 3


@pytest.mark.parametrize("strategy", ["random", pytest.param("pct", marks=pytest.mark.slow)])
def test_hundreds_of_preemptions_shrink_to_the_one_that_matters(strategy: str) -> None:
    failure = explore(busy_threads, strategy=strategy, preemption="opcode", schedules=200, directory=None).failure
    assert failure is not None
    assert failure.shrunk is not None
    assert failure.shrunk.before[0] > 100 or strategy == "pct"
    assert failure.shrunk.after[0] == 1
    assert failure.explanation is not None
    assert failure.explanation.verified
    assert failure.explanation.resource == "state['count']"


def waits_in_a_loop(fails: bool = True) -> Any:
    """A task that polls for another one, which it may keep from running for ever."""

    async def main() -> None:
        is_done = False

        async def poll() -> None:
            while not is_done:
                await checkpoint()

        async def work() -> None:
            nonlocal is_done
            await checkpoint()
            is_done = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            nursery.start_soon(work)
        assert not fails

    return main


def test_a_trial_that_takes_many_times_the_steps_of_the_failure_is_ended_and_not_known() -> None:
    runner = TrialRunner(Program(waits_in_a_loop(), (), Options(max_steps=3_000)), 0)
    failing = runner.try_turns([Turn("main/poll", 1, "main/work"), Turn("main/work", 1, "main/work")])
    assert isinstance(failing.error, ExceptionGroup | AssertionError)
    assert failing.steps < 20
    shorter = runner.not_much_longer_than(failing)
    endless = shorter.try_turns([])
    assert isinstance(endless.error, detrun.StepLimitError)
    assert endless.steps <= 1_000 + 10 * failing.steps
    assert shorter.try_turns(failing.turns) is failing, "what is known is shared"
    assert runner.try_turns([]).steps == 3_000, "what was cut is not"


def test_what_fails_by_its_number_of_steps_has_no_other_limit() -> None:
    runner = TrialRunner(Program(waits_in_a_loop(fails=False), (), Options(max_steps=1_500)), 0)
    livelock = runner.try_turns([])
    assert isinstance(livelock.error, detrun.StepLimitError)
    assert runner.not_much_longer_than(livelock) is runner
    assert shrink(runner, livelock, trials=5).trial.steps == 1_500


def test_a_schedule_survives_packing() -> None:
    choices = [0, 1, 127, 128, 300, 2]
    assert unpacked(packed(choices)) == choices


def test_signatures_tell_failures_apart_and_equal_ones_not() -> None:
    def at_one_place(text: str) -> BaseException:
        try:
            raise ValueError(text)
        except ValueError as error:
            return error

    def elsewhere() -> BaseException:
        try:
            raise ValueError("a")
        except ValueError as error:
            return error

    assert signature_of(at_one_place("a")) == signature_of(at_one_place("b"))
    assert signature_of(at_one_place("a")) != signature_of(elsewhere())
    group = ExceptionGroup("", [at_one_place("a"), ExceptionGroup("", [at_one_place("c")])])
    assert signature_of(group) == signature_of(at_one_place("z"))


def line_of(function: Any, text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(index for index, line in enumerate(lines) if text in line)


def test_the_critical_pair_of_a_lost_update_is_a_read_and_a_write() -> None:
    failure = explore(lost_update, directory=None).failure
    assert failure is not None
    explanation = failure.explanation
    assert explanation is not None
    assert explanation.resource == "counter"
    assert explanation.pair is not None
    first, second = explanation.pair
    assert first.line is not None
    assert second.line is not None
    assert (first.verb, second.verb) == ("reads", "changes")
    assert first.line.number == line_of(lost_update, "value = counter.value")
    assert second.line.number == line_of(lost_update, "counter.value = value + 1")
    assert first.task != second.task


def test_the_critical_pair_of_an_embrace_is_about_a_lock() -> None:
    failure = explore(embrace, directory=None).failure
    assert failure is not None
    explanation = failure.explanation
    assert explanation is not None
    assert explanation.resource == "Lock"
    assert explanation.pair is not None
    numbers = {one.line.number for one in explanation.pair if one.line is not None}
    places = {line_of(embrace, text) for text in ("async with first", "async with second")}
    lines = inspect.getsourcelines(embrace)
    assert numbers <= {lines[1] + index for index, line in enumerate(lines[0]) if "async with" in line}
    assert places


def test_the_elements_that_tasks_touch_are_explained_by_name() -> None:
    async def main() -> None:
        balance = {"euro": 100}

        async def withdraw() -> None:
            if balance["euro"] >= 60:
                await checkpoint()
                balance["euro"] -= 60

        async with trio.open_nursery() as nursery:
            nursery.start_soon(withdraw)
            nursery.start_soon(withdraw)
        assert balance["euro"] >= 0

    failure = explore(main, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    assert failure.explanation.pair is not None
    assert failure.explanation.resource == "balance['euro']"
    assert [one.verb for one in failure.explanation.pair] == ["reads", "changes"]
    assert [one.line.number - failure.explanation.pair[0].line.number for one in failure.explanation.pair] == [0, 2]


def test_what_no_observer_sees_is_explained_by_lines() -> None:
    async def main() -> None:
        lines: list[str] = []

        def log() -> list[str]:
            return lines

        async def say(word: str) -> None:
            await checkpoint()
            log().append(word)  # what both run
            await checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, "first")
            nursery.start_soon(say, "second")
        assert log() == ["first", "second"]

    failure = explore(main, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    assert failure.explanation.pair is not None
    assert failure.explanation.verified
    assert failure.explanation.resource == ""
    assert {one.verb for one in failure.explanation.pair} == {"runs"}
    assert {code_of(one.line) for one in failure.explanation.pair if one.line} == {
        "log().append(word)  # what both run"
    }


def test_a_deadlock_of_threads_is_explained_by_the_locks() -> None:
    def main() -> None:
        left, right = threading.Lock(), threading.Lock()

        def take(first: threading.Lock, second: threading.Lock) -> None:
            with first, second:
                pass

        threads = [threading.Thread(target=take, args=order) for order in ((left, right), (right, left))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    failure = explore(main, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    assert failure.explanation.pair is not None
    assert failure.explanation.resource == "Lock[0] and Lock[1]"
    assert [one.verb for one in failure.explanation.pair] == ["acquires it", "acquires it"]
    assert failure.explanation.verified
    assert "main/take waits for Lock[1] of main/take[1] at" in failure.explanation.text


@pytest.mark.parametrize("width", [60, 100, 200])
def test_a_listing_has_a_column_for_each_task_and_marks_the_critical_step(width: int) -> None:
    failure = explore(lost_update, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    listing = Listing(failure.explanation.failing, failure.explanation.first_difference)
    assert listing.tasks == ["main", "main/add", "main/add[1]"] or listing.tasks == ["main", "main/add[1]", "main/add"]
    text = listing.plain(width)
    assert "counter.value = value + 1" in text or width == 60 or "counter.value = v" in text
    assert sum("*" in line[:8] for line in text.splitlines()) == 1


def test_a_long_listing_keeps_its_beginning_the_critical_step_and_its_end() -> None:
    async def main() -> None:
        flag = detrun.Shared(0)

        async def worker(name: int) -> None:
            for _ in range(60):
                flag.value = name
                await checkpoint()
                assert flag.value == name or name == 0

        async with trio.open_nursery() as nursery:
            for name in range(2):
                nursery.start_soon(worker, name)

    failure = explore(main, strategy="random", directory=None, shrink=False).failure
    assert failure is not None
    assert failure.explanation is not None
    listing = Listing(failure.explanation.failing, failure.explanation.first_difference)
    assert len(listing.plain().splitlines()) < 400
    assert len(listing.rows) <= 62


def test_the_table_for_terminals_has_the_same_columns() -> None:
    failure = explore(lost_update, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    listing = Listing(failure.explanation.failing)
    assert [str(column.header) for column in listing.rich_table(300).columns] == ["step", *listing.tasks]
    assert [str(column.header) for column in listing.rich_table(80).columns] == ["step", "task", "lines"]
