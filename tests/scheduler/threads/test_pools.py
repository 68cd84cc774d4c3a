"""Thread pools and futures in a run: the same in each replay, and silent when they are killed."""

import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from concurrent.futures import thread as pools

import pytest

import detrun

SEEDS = range(6)


def _work(seconds: int) -> int:
    time.sleep(seconds)
    return seconds


def _as_completed() -> list[int]:
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(_work, number % 3) for number in range(6)]
        return [future.result() for future in as_completed(futures)]


def _wait() -> tuple[list[int], int]:
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(_work, seconds) for seconds in (2, 1, 1)]
        done, rest = wait(futures, return_when=FIRST_COMPLETED)
        return [future.result() for future in done], len(rest)


def _map() -> list[int]:
    with ThreadPoolExecutor(5) as pool:
        return list(pool.map(_work, range(5)))


@pytest.mark.parametrize("program", [_as_completed, _wait, _map])
@pytest.mark.parametrize("preemption", ["sync", "line"])
def test_a_pool_locks_joins_and_yields_in_the_same_order_in_each_replay(program, preemption):
    for seed in SEEDS:
        run = detrun.record(program, seed=seed, preemption=preemption)
        kept = [object() for _ in range(seed * 7 + 1)]  # so that addresses differ
        again = detrun.replay(program, recording=run.recording)
        del kept
        assert (again.result, again.digest) == (run.result, run.digest)


def test_as_completed_times_out_where_virtual_time_is_at_its_deadline():
    def program():
        begin = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(TimeoutError, match=r"1 \(of 1\) futures unfinished"):
                list(as_completed([pool.submit(time.sleep, 1)], timeout=0.25))
            return time.monotonic() - begin

    for seed in range(3):
        assert detrun.record(program, seed=seed, max_steps=200).result == pytest.approx(0.25, abs=1e-6)


def test_a_worker_that_is_killed_with_a_failed_run_logs_nothing(capfd, caplog):
    def program():
        pool = ThreadPoolExecutor(2)
        pool.submit(time.sleep, 100)
        pool.submit(time.sleep, 100)
        time.sleep(1)
        raise ValueError("main fails")

    def stuck():
        gate = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(gate.wait)

    for one, error in ((program, ValueError), (stuck, detrun.DetrunError)):
        for seed in SEEDS:
            with pytest.raises(error):
                detrun.record(one, seed=seed)
    assert capfd.readouterr().err == ""
    assert not caplog.records


def test_a_worker_of_which_an_exception_comes_out_logs_it_as_ever(caplog):
    def program():
        def fail():
            raise KeyError("initializer")

        pool = ThreadPoolExecutor(1, initializer=fail)
        pool.submit(int).exception()

    detrun.record(program)
    assert "Exception in initializer" in caplog.text


def test_pools_outside_runs_are_as_ever():
    with ThreadPoolExecutor(2) as pool:
        future = pool.submit(int)
        assert future.result() == 0
        assert type(pool._threads) is set
        assert hash(future) == object.__hash__(future)
    assert not pools._base.LOGGER.filters
