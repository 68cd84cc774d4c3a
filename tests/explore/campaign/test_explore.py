"""Verdicts: a function of the program, the seed, the strategy and the kept failures alone."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time
from _thread import allocate_lock
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun import DeadlockError, HiddenStateError, StepLimitError, UsageError, explore
from detrun.checkers.inconclusive import InconclusiveError
from detrun.execution import worker_processes
from detrun.explore.campaign.coverage import Coverage
from detrun_scheduler.choices import KeyedDraws
from tests.explore import racy_programs
from tests.explore.racy_programs import correct, embrace, failing_always, lost_update, rare

checkpoint = trio.lowlevel.checkpoint
SAMPLERS = ["random", "pct", "pos", "urw", "subset", "portfolio"]


def slow(*strategies: str) -> list[Any]:
    """Those of the strategies that learn nothing between schedules which the default run leaves out."""
    return [pytest.param(one, marks=pytest.mark.slow) for one in strategies]


def test_a_sampled_program_passes_and_says_how_often() -> None:
    result = explore(correct, schedules=123, directory=None)
    assert (result.verdict, result.schedules, result.failure) == ("passed", 123, None)
    assert "123 schedules sampled" in result.reason
    assert result.raise_on_failure() is result


def test_an_enumerated_program_holds_and_says_for_what() -> None:
    result = explore(correct, strategy="dpor", directory=None)
    assert result.verdict == "holds"
    assert "all orders of declared operations" in result.reason


def test_a_search_that_is_cut_short_does_not_hold() -> None:
    result = explore(correct, strategy="dfs", schedules=10, directory=None)
    assert (result.verdict, result.schedules) == ("passed", 10)
    assert "not complete" in result.reason


@pytest.mark.parametrize("strategy", [*SAMPLERS, "bounded", "dfs", "dpor"])
@pytest.mark.parametrize(("program", "kind"), [(lost_update, AssertionError), (embrace, DeadlockError)])
def test_every_strategy_finds_the_shallow_bugs(strategy: str, program: Any, kind: type[BaseException]) -> None:
    result = explore(program, strategy=strategy, schedules=500, directory=None)
    assert result.failure is not None
    assert isinstance(result.failure.exception, kind)
    assert result.schedules == result.failure.index + 1


def test_a_failure_is_replayed_by_its_recording_and_by_its_token() -> None:
    failure = explore(lost_update, directory=None).failure
    assert failure is not None
    with pytest.raises(AssertionError):
        detrun.replay(lost_update, recording=failure.recording)
    assert failure.token is not None
    assert failure.token.startswith("detrun1-")


def test_a_livelock_is_a_failure() -> None:
    async def main() -> None:
        while True:
            await checkpoint()

    result = explore(main, max_steps=100, directory=None)
    assert result.failure is not None
    assert isinstance(result.failure.exception, StepLimitError)


@pytest.mark.one_python
@pytest.mark.parametrize("strategy", ["pos", "portfolio", *slow("random", "pct", "urw", "subset")])
def test_workers_change_neither_coverage_nor_steps(strategy: str) -> None:
    alone = explore(correct, strategy=strategy, schedules=150, directory=None)
    together = explore(correct, strategy=strategy, schedules=150, workers=2, directory=None)
    alone.coverage._check()
    together.coverage._check()
    assert alone.coverage == together.coverage
    assert alone.statistics.steps == together.statistics.steps


EVENTS = [trio.Event() for _ in range(40)]


async def meets_some_of_what_was_made_before() -> None:
    async def work() -> None:
        for _ in range(4):
            await checkpoint()
            EVENTS[detrun.choice(len(EVENTS))].set()

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(work)


@pytest.mark.one_python
def test_workers_may_meet_what_was_made_before_the_runs_in_another_order() -> None:
    alone, together = (
        explore(meets_some_of_what_was_made_before, strategy="pos", schedules=80, workers=workers, directory=None)
        for workers in (1, 2)
    )
    assert alone.coverage == together.coverage


@pytest.mark.one_python
@pytest.mark.parametrize("strategy", ["pct", "portfolio"])
def test_workers_do_not_change_which_failure_is_reported(strategy: str) -> None:
    one, other = (
        explore(rare, 5, strategy=strategy, schedules=1_000, seed=4, workers=workers, directory=None, shrink=False)
        for workers in (1, 3)
    )
    assert one.failure is not None
    assert other.failure is not None
    assert (one.failure.index, one.failure.schedule) == (other.failure.index, other.failure.schedule)
    assert (one.schedules, one.coverage) == (other.schedules, other.coverage)


@pytest.mark.one_python
def test_any_executor_of_processes_will_do() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        found = explore(rare, 4, schedules=200, executor=executor, directory=None)
    alone = explore(rare, 4, schedules=200, directory=None)
    assert found.failure is not None
    assert alone.failure is not None
    assert found.failure.index == alone.failure.index
    # The feeder of its queue ends by a finalizer that was made while runs were under way in this process.
    assert "QueueFeederThread" not in {thread.name for thread in threading.enumerate()}


def test_a_worker_that_runs_two_pieces_at_once_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = allocate_lock()
    busy.acquire()
    monkeypatch.setattr(worker_processes, "_busy", busy)
    with pytest.raises(UsageError, match="threads_per_worker=1"):
        explore(correct, executor=AtOnce(), directory=None)
    busy.release()
    assert explore(correct, schedules=20, executor=AtOnce(), directory=None).verdict == "passed"
    assert not busy.locked()


class AtOnce(Executor):
    """Runs what is submitted in the calling process."""

    def submit(self, function: Any, /, *args: Any, **keywords: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(function(*args, **keywords))
        except UsageError as error:
            done.set_exception(error)
        return done


def test_an_executor_of_threads_and_a_program_that_cannot_be_sent_are_refused() -> None:
    with ThreadPoolExecutor(1) as threads, pytest.raises(UsageError, match="threads cannot"):
        explore(correct, executor=threads, directory=None)

    async def local() -> None:
        pass

    with ProcessPoolExecutor(1) as processes, pytest.raises(UsageError, match="workers=N"):
        explore(local, executor=processes, directory=None)


def test_an_oracle_of_ones_own_explores() -> None:
    class Last(KeyedDraws):
        def new_run(self, run: object) -> None:
            pass

        def next_task(self, runnable: Any, current: int) -> int:
            return len(runnable) - 1

    result = explore(correct, strategy=Last(), schedules=5, workers=2, directory=None)
    assert (result.verdict, result.coverage.distinct) == ("passed", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            {"schedules": 0},
            {"workers": 0},
            {"time_limit": 0},
            {"strategy": "best"},
            {"resume": True, "directory": None},
        ),
        *({"schedules": "10"}, {"workers": 1.5}, {"time_limit": "1"}, {"seed": "x"}, {"seed": 0.5}),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        explore(correct, **{"directory": None, **arguments})


def test_a_program_that_touches_hidden_state_is_no_failing_schedule() -> None:
    async def main() -> None:
        os.fork()

    with pytest.raises(HiddenStateError):
        explore(main, directory=None)


def test_a_failure_that_does_not_come_again_is_inconclusive() -> None:
    racy_programs.runs = 0

    async def once() -> None:
        racy_programs.runs += 1
        assert racy_programs.runs != 3

    result = explore(once, directory=None)
    assert result.verdict == "inconclusive"
    assert "detrun check" in result.reason
    with pytest.raises(InconclusiveError):
        result.raise_on_failure()


def test_the_time_limit_ends_a_campaign_without_a_conclusion() -> None:
    result = explore(correct, schedules=10**9, time_limit=0.05, directory=None)
    assert result.verdict == "inconclusive"
    assert "time limit" in result.reason
    assert result.schedules > 0


def test_ctrl_c_gives_what_is_known_so_far() -> None:
    handler = signal.getsignal(signal.SIGINT)
    count = 0

    async def main() -> None:
        nonlocal count
        count += 1
        if count == 20:
            signal.raise_signal(signal.SIGINT)

    result = explore(main, schedules=10**6, strategy="random", directory=None)
    assert (result.verdict, result.schedules, result.interrupted) == ("inconclusive", 20, True)
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_process_is_left_as_it_was() -> None:
    random.seed(7)
    state, enabled, frozen = random.getstate(), gc.isenabled(), gc.get_freeze_count()
    explore(lost_update, directory=None)
    assert random.getstate() == state
    assert gc.isenabled() == enabled
    assert gc.get_freeze_count() <= frozen  # Python 3.12 begins with some that need not stay so


def test_raise_on_failure_raises_the_programs_exception_with_notes() -> None:
    result = explore(lost_update, directory=None)
    with pytest.raises(AssertionError) as caught:
        result.raise_on_failure()
    notes = "\n".join(caught.value.__notes__)
    assert "It takes 1 preemption" in notes
    assert "run it again" in notes
    with pytest.raises(AssertionError) as again:
        result.raise_on_failure()
    assert len(again.value.__notes__) == len(set(again.value.__notes__))


def test_a_program_that_always_fails_is_not_blamed_on_its_schedule() -> None:
    result = explore(failing_always, directory=None)
    assert result.failure is not None
    assert "may not be a matter of the schedule" in str(result.failure.explanation)


def test_progress_is_told_between_schedules() -> None:
    told: list[int] = []
    started = time.monotonic()
    explore(
        correct, schedules=10**9, time_limit=0.35, progress=lambda report: told.append(report.schedules), directory=None
    )
    assert time.monotonic() >= started
    assert told == sorted(told)
    assert told


def test_coverage_of_orders_that_were_all_seen_twice_is_bounded_and_not_called_complete() -> None:
    once, twice = Coverage(), Coverage()
    for index in range(200):
        once.add(index, 0)
        twice.add(index % 2, 0)
    assert str(once).endswith(", 1 chance that the next schedule shows another order")
    assert str(twice).endswith(", less than 0.015 chance that the next schedule shows another order")


@pytest.mark.one_python
def test_coverage_estimates_the_chance_of_something_new() -> None:
    short = explore(correct, schedules=20, strategy="random", directory=None).coverage
    long = explore(correct, schedules=800, strategy="random", directory=None).coverage
    assert sum(long.behaviours.values()) == long.schedules == 800
    assert short.distinct < long.distinct
    assert long.unseen < short.unseen
    everything = explore(correct, schedules=10**5, strategy="dfs", directory=None)
    assert everything.verdict == "holds"
    assert set(long.behaviours) <= set(everything.coverage.behaviours)


def test_orders_of_steps_that_leave_different_plain_lists_behind_are_two_behaviours() -> None:
    outcomes = set()

    async def main() -> None:
        out: list[str] = []

        async def add(letter: str) -> None:
            out.append(letter)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(add, "a")
            nursery.start_soon(add, "b")
        outcomes.add("".join(out))

    coverage = explore(main, schedules=64, directory=None).coverage  # 2 ** -63 that all go one way
    assert outcomes == {"ab", "ba"}
    assert (coverage.distinct, len(coverage.operations)) == (2, 1)
    assert "2 orders of steps, 1 as detrun's own objects saw them" in str(coverage)


# What is kept.


def test_a_failure_is_kept_and_tried_first(tmp_path: Path) -> None:
    first = explore(rare, 6, schedules=3_000, seed=1, directory=tmp_path, confirm=False)
    assert first.failure is not None
    assert first.failure.path is not None
    assert first.failure.path.exists()
    assert (tmp_path / ".gitignore").read_text() == "*\n"
    # A campaign of one schedule, which by itself would pass.
    again = explore(rare, 6, schedules=1, seed=99, strategy="fifo", directory=tmp_path, confirm=False)
    assert again.failure is not None
    assert again.failure.index == -1
    assert "kept" in again.reason
    assert again.failure.path == first.failure.path
    assert explore(rare, 6, schedules=1, seed=99, strategy="fifo", directory=None).failure is None


@pytest.mark.one_python
def test_a_kept_failure_that_is_cured_is_deleted(tmp_path: Path) -> None:
    broken = True

    async def main() -> None:
        assert not broken

    assert explore(main, schedules=1, directory=tmp_path).failed
    assert len(list((tmp_path / "failures").iterdir())) == 1
    broken = False
    assert explore(main, schedules=1, directory=tmp_path).verdict == "passed"
    assert list((tmp_path / "failures").iterdir()) == []


def test_a_kept_failure_survives_an_edit_that_inserts_a_task(tmp_path: Path) -> None:
    """The second program is another file to the recording, so its schedule is followed by the names of tasks."""
    source = """
import trio
import detrun

async def main():
    counter = detrun.Shared(0)

    async def add():
        value = counter.value
        await trio.lowlevel.checkpoint()
        counter.value = value + 1

    async def idle():
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        # HERE
        nursery.start_soon(add)
        nursery.start_soon(add)
    assert counter.value == 2
"""
    file = tmp_path / "edited.py"

    def load() -> Any:
        namespace: dict[str, Any] = {"__name__": "edited"}
        exec(compile(file.read_text(), str(file), "exec"), namespace)
        return namespace["main"]

    file.write_text(source)
    assert explore(load(), directory=tmp_path / "kept", confirm=False).failed
    file.write_text(source.replace("# HERE", "nursery.start_soon(idle)\n        nursery.start_soon(idle)"))
    os.utime(file, ns=(1, 1))
    found = explore(load(), schedules=1, strategy="fifo", directory=tmp_path / "kept", confirm=False)
    assert found.failure is not None
    assert found.failure.index == -1


@pytest.mark.one_python
def test_files_among_the_kept_that_are_no_recordings_are_left_alone(tmp_path: Path) -> None:
    failure = explore(lost_update, directory=tmp_path, confirm=False).failure
    assert failure is not None
    assert failure.path is not None
    foreign = failure.path.with_name(f"{failure.path.stem[:-12]}{'0' * 12}.detrun")
    failure.path.rename(foreign)
    foreign.write_bytes(b"not a recording")
    found = explore(lost_update, directory=tmp_path, confirm=False).failure
    assert found is not None
    assert found.index >= 0
    assert foreign.read_bytes() == b"not a recording"


@pytest.mark.one_python
@pytest.mark.parametrize("strategy", ["pos", "portfolio", *slow("random", "pct", "urw", "subset")])
def test_a_resumed_campaign_is_the_campaign(strategy: str, tmp_path: Path) -> None:
    explore(correct, strategy=strategy, schedules=100, directory=tmp_path, resume=True)
    resumed = explore(correct, strategy=strategy, schedules=300, directory=tmp_path, resume=True)
    whole = explore(correct, strategy=strategy, schedules=300, directory=None)
    assert resumed.schedules == whole.schedules
    assert resumed.coverage == whole.coverage
    assert resumed.statistics.steps == whole.statistics.steps


@pytest.mark.one_python
def test_a_damaged_campaign_is_refused_by_name(tmp_path: Path) -> None:
    explore(correct, schedules=100, directory=tmp_path, resume=True)
    file = next((tmp_path / "campaigns").iterdir())
    file.write_text("detrun campaign, format 2\n__import__('os').system('false')\n")
    with pytest.raises(UsageError, match="delete it"):
        explore(correct, schedules=100, directory=tmp_path, resume=True)
