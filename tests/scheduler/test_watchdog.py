"""A step that takes too long in real time ends the run, with an error that names what waits or computes."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
from greenlet import GreenletExit

import detrun
from detrun.cli.failures import UNDECIDED, exit_code
from detrun_scheduler import watchdog
from detrun_scheduler.errors import StalledError, UsageError


def waits_in_c() -> Any:
    """A semaphore of the system: a simulated thread that waits for it keeps all others waiting."""
    return multiprocessing.get_context("fork").Lock()


REAL = [waits_in_c()]
SECONDS = 1.0  # a loaded machine does not keep a process from running for so long


def takes_a_semaphore() -> None:
    REAL[0].acquire()


def dead_in_c() -> None:
    """Two threads at a semaphore: the second waits in C, so the first never comes to release it."""

    def work() -> None:
        takes_a_semaphore()
        threading.Event().wait(1)
        REAL[0].release()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture(autouse=True)
def _free_lock() -> Any:
    yield
    REAL[0] = waits_in_c()


def test_a_wait_in_c_ends_the_run_and_is_named_with_where_every_thread_stands() -> None:
    with pytest.raises(StalledError) as caught:
        detrun.record(dead_in_c, seed=1, step_timeout=SECONDS)
    assert caught.value.call.startswith(f"takes_a_semaphore ({__file__}:")
    text = str(caught.value)
    assert "waits in takes_a_semaphore" in text
    assert "    REAL[0].acquire()\n" in text
    assert "task 1 (main) waits for Thread.join, until the end of main/work" in text
    assert "task 2 (main/work) " in text
    REAL[0] = waits_in_c()
    assert detrun.record(threading.active_count).result == 1, "the process is fit for the next run"


def test_a_task_that_waits_in_c_is_named_too() -> None:
    async def program() -> None:
        REAL[0].acquire()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            takes_a_semaphore()

    with pytest.raises(StalledError, match=r"task \d+ \(main\) waits in takes_a_semaphore"):
        detrun.record(program, step_timeout=SECONDS)


def test_a_thread_that_computes_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "BUSY", 2)

    def spins() -> None:
        while True:
            pass

    with pytest.raises(StalledError, match=r"in test_.*\.spins "):
        detrun.record(lambda: threading.Thread(target=spins).start(), step_timeout=SECONDS)


def test_a_program_that_catches_everything_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "UNWINDING_SECONDS", 0.1)
    tries = []

    def stubborn() -> None:
        REAL[0].acquire()
        for _ in range(3):
            try:
                takes_a_semaphore()
            except BaseException:
                tries.append(1)

    with pytest.raises(StalledError):
        detrun.record(stubborn, step_timeout=SECONDS)
    assert len(tries) == 3


def test_an_exploration_ends_without_a_conclusion() -> None:
    found = detrun.explore(dead_in_c, schedules=50, step_timeout=SECONDS, directory=None)
    assert found.verdict == "inconclusive"
    assert "was ended: step" in found.reason
    assert "takes_a_semaphore" in found.reason


def test_worker_processes_are_watched_too() -> None:
    detrun.record(threading.active_count)  # sets the timer here, which a forked process does not inherit
    found = detrun.explore(dead_in_c, schedules=50, step_timeout=SECONDS, workers=2, strategy="random", directory=None)
    assert found.verdict == "inconclusive"
    assert "takes_a_semaphore" in found.reason


def test_the_time_limit_of_an_exploration_bounds_each_step() -> None:
    found = detrun.explore(dead_in_c, schedules=50, time_limit=1, directory=None)
    assert found.verdict == "inconclusive"
    assert "takes_a_semaphore" in found.reason


def test_it_is_undecided_on_the_command_line() -> None:
    assert exit_code(StalledError("x")) == UNDECIDED


def spins() -> None:
    while True:
        pass


def spins_on() -> None:
    """Does not let itself be ended at once."""
    for _ in range(3):
        with contextlib.suppress(GreenletExit):
            spins()


@pytest.mark.parametrize("program", [spins, spins_on])
def test_a_run_in_another_thread_is_ended_when_it_runs_python(
    program: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "BUSY", 1)
    caught: list[BaseException] = []

    def elsewhere() -> None:
        try:
            detrun.record(program, step_timeout=0.2)
        except BaseException as error:
            caught.append(error)

    detrun.record(threading.active_count)  # in the main thread: installs the handler
    thread = threading.Thread(target=elsewhere)
    thread.start()
    while thread.is_alive():
        assert threading.current_thread() is threading.main_thread()  # also for those that ask while the run is on
    assert isinstance(caught[0], StalledError)


def test_where_the_system_has_no_clocks_of_threads_no_step_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_cpu_clock_of", None)
    one = watchdog.Watchdog()
    one.begin(object(), 1.0)
    assert one.run is None


def test_a_signal_that_the_program_handles_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "WATCHDOG", watchdog.Watchdog())
    before = signal.signal(signal.SIGURG, lambda *_: None)
    try:
        one = watchdog.Watchdog()
        assert not one._install()
        assert signal.getsignal(signal.SIGURG) is not one._look
    finally:
        signal.signal(signal.SIGURG, before)


@pytest.mark.parametrize("seconds", [0, -1, "1"])
def test_a_time_out_is_a_positive_number(seconds: Any) -> None:
    with pytest.raises(UsageError, match="step_timeout"):
        detrun.record(threading.active_count, step_timeout=seconds)
