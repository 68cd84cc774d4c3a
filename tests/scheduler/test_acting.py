"""What a run does by itself: timers that fire while tasks can run, and collections in the middle of the program."""

from __future__ import annotations

import ast
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun.execution.options import Options
from detrun.execution.schedules import unpacked
from detrun.explore.campaign.program import Program, prepared
from detrun.explore.failures.trials import FollowedTurns, TrialRunner
from detrun_recorder.token import to_token
from detrun_scheduler.choices import FIRST_ACTION
from detrun_scheduler.frozen_heap import frozen_heap
from detrun_scheduler.strategies.planned_actions import PlannedActions
from detrun_scheduler.strategies.portfolio import Portfolio
from tests.explore.racy_programs import lost_update_beside_a_timer


async def cut_short() -> int:
    """How much of the work was done when its time was up: plain trio cuts it short, a run where no step takes time
    does not.
    """
    done = 0
    with trio.move_on_after(1e-6):
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            done += 1
    return done


def sampled() -> int:
    """What a thread finds that wakes while another one, alone, counts."""
    count = 0
    found = []

    def work() -> None:
        nonlocal count
        for _ in range(20):
            count += 1

    def sample() -> None:
        time.sleep(1e-6)
        found.append(count)

    threads = [threading.Thread(target=one) for one in (work, sample)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found[0]


class Entry:
    """Garbage in a cycle, with a finalizer."""

    def __init__(self, finalize: Callable[[], object]) -> None:
        self.itself = self
        self.finalize = finalize

    def __del__(self) -> None:
        self.finalize()


def finalized() -> list[str]:
    """In which threads entries are finalized."""
    where: list[str] = []

    def work() -> None:
        for _ in range(5):
            Entry(lambda: where.append(threading.current_thread().name))
            with threading.Lock():
                pass

    threads = [threading.Thread(target=work, name=f"worker-{index}") for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return where.copy()


def reentered() -> None:
    """A finalizer takes the lock of the cache that made the garbage."""
    lock = threading.Lock()

    def take() -> None:
        with lock:
            pass

    def work() -> None:
        for _ in range(3):
            Entry(take)
            take()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def called_back() -> int:
    """Callbacks of weak references, in a task."""
    called: list[object] = []
    kept = []
    for _ in range(5):
        entry = Entry(int)
        kept.append(weakref.ref(entry, called.append))
        del entry
        await trio.lowlevel.checkpoint()
    return len(called)


async def takes_turns() -> None:
    """There is nothing that could happen by itself."""
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(trio.lowlevel.checkpoint)


async def blocked_by_thread() -> int:
    """The event loop stands while a thread works and another sleeps."""
    count = 0
    found = []
    ready = threading.Event()

    def work() -> None:
        nonlocal count
        for _ in range(10):
            with threading.Lock():
                count += 1

    def sample() -> None:
        time.sleep(1e-6)
        found.append(count)
        ready.set()

    for one in (work, sample):
        threading.Thread(target=one).start()
    ready.wait()
    return found[0]


PROGRAMS: list[tuple[Any, dict[str, Any]]] = [
    (cut_short, {}),
    (sampled, {"preemption": "line"}),
    (finalized, {}),
    (finalized, {"preemption": "opcode"}),
    (called_back, {}),
    (blocked_by_thread, {}),
]


def _numbers(run: detrun.Run) -> list[int]:
    return [number for chunk in run.recording.chunks() for number in unpacked(chunk.choices)]


@pytest.fixture
def small_heap() -> Iterator[None]:
    """What other tests have left is out of sight of the collection with which each run begins, as in a campaign."""
    with frozen_heap():
        yield


@pytest.mark.usefixtures("small_heap")
@pytest.mark.parametrize(("program", "options"), PROGRAMS)
def test_actions_are_replayed_from_recordings_and_tokens_without_an_option(
    program: Any, options: dict[str, Any]
) -> None:
    results = set()
    for seed in range(25):
        run = detrun.record(program, seed=seed, early_timers=2, collections=2, **options)
        results.add(repr(run.result))
        assert detrun.replay(program, recording=run.recording).digest == run.digest
        by_token = detrun.replay(program, recording=to_token(run.recording), **options)
        assert by_token.digest == run.digest
        assert repr(by_token.result) == repr(run.result)
    assert len(results) > 2  # at steps that are log-uniform up to 10,000, half of the seeds act in time


@pytest.mark.parametrize(("program", "options"), PROGRAMS)
def test_without_being_asked_no_run_acts(program: Any, options: dict[str, Any]) -> None:
    runs = [
        detrun.record(program, seed=seed, strategy=strategy, **options)
        for seed in range(3)
        for strategy in ("random", "pct")
    ]
    assert all(number < FIRST_ACTION for run in runs for number in _numbers(run))
    assert {repr(run.result) for run in runs} <= {"20", "[]", "0", "10"} | {str(count) for count in range(11)}


def test_a_step_says_what_the_run_did_before_it() -> None:
    runs = [detrun.record(cut_short, seed=seed, early_timers=1) for seed in range(25)]
    acted = [step for run in runs for step in run.recording.iter_steps() if step.actions]
    assert acted
    assert {step.actions for step in acted} == {("early timer",)}
    assert all(step.time > 0 for step in acted)
    # Each is the step after the one that holds the passing of time, and the work is cut short there.
    assert sum(run.result < 20 for run in runs) == len(acted)


@pytest.mark.usefixtures("small_heap")
def test_digests_are_those_of_other_processes_warm_or_cold() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import detrun, test_acting as t\n"
        "for program, options in t.PROGRAMS:\n"
        "    for seed in range(4, 9):\n"
        "        print(detrun.record(program, seed=seed, early_timers=2, collections=2, **options).digest)\n"
    )
    here = [
        detrun.record(program, seed=seed, early_timers=2, collections=2, **options).digest
        for program, options in PROGRAMS
        for seed in range(4, 9)
    ]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", script, os.path.dirname(__file__)]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=100)
    assert there.stdout.split() == here


def test_what_earlier_runs_left_is_finalized_outside_of_a_run() -> None:
    def main() -> bool:
        Entry(lambda: active.append(detrun_active()))
        with threading.Lock():
            return True

    def detrun_active() -> bool:
        from detrun_scheduler import current

        return current.run is not None

    active: list[bool] = []
    gc.collect()
    gc.disable()
    try:
        detrun.record(main)
        detrun.record(main, collections=1, seed=3)
    finally:
        gc.enable()
    assert not active[0]


def test_blocks_of_a_frozen_heap_end_as_they_began_one_within_another_too() -> None:
    before = gc.get_freeze_count()
    with frozen_heap():
        outer = gc.get_freeze_count()
        assert outer > before
        with pytest.raises(ZeroDivisionError), frozen_heap():
            1 / 0  # noqa: B018
        assert gc.get_freeze_count() >= outer, "the outer block still stands"
    assert gc.get_freeze_count() <= before


def test_what_the_program_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with frozen_heap():
            pass
        assert gc.get_freeze_count() >= frozen
    finally:
        gc.unfreeze()


def test_the_collector_sees_nothing_older_than_the_run_and_is_left_as_it_was() -> None:
    older: list[int] = []
    Entry(lambda: older.append(1))
    gc.collect()
    older.clear()
    kept = Entry(lambda: older.append(1))
    frozen, hook = gc.get_freeze_count(), sys.unraisablehook

    async def main() -> list[int]:
        nonlocal kept
        del kept
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        return older.copy()

    assert detrun.record(main, collections=50, seed=1).result == []
    assert gc.get_freeze_count() == frozen
    assert sys.unraisablehook is hook
    gc.collect()
    assert older == [1]


@pytest.mark.parametrize("preemption", ["sync", "line"])
def test_a_lock_that_a_finalizer_takes_again_is_found_and_shrunk_to_one_collection(preemption: str) -> None:
    found = detrun.explore(reentered, preemption=preemption, directory=None)
    assert found.failure is not None
    assert isinstance(found.failure.exception, detrun.DeadlockError)
    trial = found.failure.shrunk.trial  # type: ignore[union-attr]
    assert [turn.then for turn in trial.turns].count("<garbage collection>") == 1
    assert "1 garbage collection" in str(found.failure.explanation)
    with pytest.raises(detrun.DeadlockError):
        detrun.replay(reentered, recording=found.failure.recording)


def test_a_time_out_that_strikes_in_the_middle_is_found_and_shrunk_to_one_early_timer() -> None:
    async def main() -> None:
        assert await cut_short() == 20

    found = detrun.explore(main, directory=None)
    assert found.failure is not None
    trial = found.failure.shrunk.trial  # type: ignore[union-attr]
    assert [turn.then for turn in trial.turns] == ["<early timer>"]
    assert "1 timer that fires while tasks can run" in str(found.failure.explanation)
    listing = found.failure.explanation.failing.steps  # type: ignore[union-attr]
    assert any("a time-out strikes" in str(text) for step in listing for text in step.before)


def test_a_thread_that_wakes_while_another_one_is_busy_is_found() -> None:
    def main() -> None:
        assert sampled() in (0, 20)

    assert detrun.explore(main, preemption="line", directory=None, shrink=False, explain=False).failed


def test_a_time_out_that_guards_a_test_never_strikes_unless_asked() -> None:
    async def main() -> None:
        with trio.fail_after(5):
            for _ in range(10):
                await trio.lowlevel.checkpoint()

    assert not detrun.explore(main, directory=None, schedules=300).failed
    assert detrun.explore(main, directory=None, early_timers=1, schedules=300, shrink=False, explain=False).failed


def test_an_early_timer_that_is_not_needed_is_shrunk_away() -> None:
    found = detrun.explore(lost_update_beside_a_timer, strategy="random", early_timers=2, directory=None, explain=False)
    assert found.failure is not None
    assert not found.failure.shrunk.trial.actions  # type: ignore[union-attr]


@pytest.mark.usefixtures("small_heap")
@pytest.mark.parametrize(("program", "options"), PROGRAMS[:4])
def test_following_the_turns_of_a_schedule_makes_the_schedule(program: Any, options: dict[str, Any]) -> None:
    schedules = [
        _numbers(detrun.record(program, seed=seed, early_timers=3, collections=2, **options)) for seed in range(10)
    ]
    with prepared(Program(program, (), Options(**options))) as one:
        for seed, numbers in enumerate(schedules):
            runner = TrialRunner(one, seed)
            by_choices = runner.try_choices(numbers)
            by_turns = runner._run(FollowedTurns(by_choices.turns))
            assert by_choices.order == by_turns.order
            assert by_choices.turns == by_turns.turns
            assert unpacked(by_choices.schedule) == numbers


class Watched(Portfolio):
    """Notes how many early timers and collections each run has."""

    def __init__(self) -> None:
        super().__init__()
        self.planned: list[tuple[int, int]] = []

    def new_run(self, run: Any) -> None:
        super().new_run(run)
        self.planned.append(self.plan.counts)


def planned(program: Any) -> list[tuple[int, int]]:
    strategy = Watched()
    detrun.explore(program, strategy=strategy, schedules=100, directory=None)
    return strategy.planned


@pytest.mark.one_python
def test_a_campaign_acts_only_where_it_can_matter() -> None:
    # In a process of its own: finalizers of anything else that this one does meanwhile would count as the program's.
    script = "from tests.scheduler import test_acting as its\nfor each in its.{}: print(its.planned(each))"
    command = [sys.executable, "-c", script.format("takes_turns, its.cut_short, its.called_back")]
    root = Path(__file__).parents[2]
    shown = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=100).stdout
    turns, timers, collections = map(ast.literal_eval, shown.splitlines())
    assert set(turns) == {(0, 0)}
    assert 5 < sum(count > 0 for count, _ in timers) < 60
    assert not any(count for _, count in timers)
    assert 5 < sum(count > 0 for _, count in collections) < 60
    assert not any(count for count, _ in collections)


def test_a_campaign_that_acts_is_the_same_for_any_number_of_workers() -> None:
    alone, many = (
        detrun.explore(finalized, schedules=60, directory=None, workers=workers, seed=2) for workers in (1, 2)
    )
    assert alone.coverage == many.coverage


def test_counts_are_whole_numbers() -> None:
    for name in ("early_timers", "collections"):
        with pytest.raises(detrun.UsageError, match=f"{name}=-1 must be an integer of at least 0"):
            detrun.record(cut_short, **{name: -1})


def test_a_plan_puts_an_early_timer_off_until_there_is_one() -> None:
    class View:
        seed = 5

    plan = PlannedActions(early_timers=1)
    plan.new_run(View())  # type: ignore[arg-type]
    first = int(plan.next_action(0))
    assert plan.action(first, has_timers=False) == -1
    assert plan.next_action(first) == first + 1
    assert plan.action(first + 1, has_timers=True) == -1
    then = int(plan.next_action(first + 1))
    assert first < then <= first + 257
    assert plan.action(then, has_timers=True) == 0
    assert plan.next_action(then) == float("inf")


def test_a_task_that_is_slow_for_a_long_while_is_found_by_default() -> None:
    async def main() -> None:
        beats = 0

        async def heart() -> None:
            nonlocal beats
            for _ in range(5):
                await trio.lowlevel.checkpoint()
                beats += 1

        async def watch() -> None:
            for _ in range(150):
                await trio.lowlevel.checkpoint()
            assert beats, "no beat in 150 steps"

        async with trio.open_nursery() as nursery:
            for one in (heart, watch, trio.lowlevel.checkpoint, trio.lowlevel.checkpoint):
                nursery.start_soon(one)

    assert detrun.explore(main, directory=None, shrink=False, explain=False).failed
