"""Simulated threads: CPython's classes over the scheduler, one schedule for threads and tasks, and nothing left after.

CPython's own tests compare the primitives with CPython's (`tests/external/test_cpython_suite.py`).
"""

from __future__ import annotations

import _thread
import contextvars
import logging
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from itertools import permutations
from typing import Any

import outcome
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun_scheduler import current
from detrun_scheduler.errors import DeadlockError, HiddenStateError, StepLimitError, UsageError
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make
from detrun_scheduler.threads.locks import Lock
from detrun_scheduler.threads.reentrant_locks import RLock

LOCK, RLOCK, EVENT, LOCAL = threading.Lock(), threading.RLock(), threading.Event(), threading.local()
QUEUE: queue.SimpleQueue[int] = queue.SimpleQueue()


def loop_of(main: Callable[..., Any], *args: Any, seed: int = 0, strategy: str = "random", **options: Any) -> RunLoop:
    """A finished run of an ordinary function; its outcome is in ``ended``."""
    loop: Any = RunLoop(make(strategy), seed=seed, **options)
    loop.ended = loop.run(main, *args, as_thread=True)
    return loop  # type: ignore[no-any-return]


def run(main: Callable[..., Any], *args: Any, **options: Any) -> Any:
    return loop_of(main, *args, **options).ended.unwrap()  # type: ignore[attr-defined]


def run_async(main: Callable[..., Any], seed: int = 0, strategy: str = "random") -> Any:
    return RunLoop(make(strategy), seed=seed).run(main).unwrap()


def started(*bodies: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    return threads


def finished(*bodies: Callable[[], object]) -> None:
    for thread in started(*bodies):
        thread.join()


# Schedules.


def lost_update() -> float:
    cell = detrun.Shared(0.0)

    def add() -> None:
        cell.value += 1.0

    finished(add, add)
    return cell.value


def test_every_outcome_of_a_race_is_reached_and_each_seed_repeats_its_own() -> None:
    results = [run(lost_update, seed=seed) for seed in range(60)]
    assert set(results) == {1.0, 2.0}
    assert [run(lost_update, seed=seed) for seed in range(60)] == results


def interleavings_of_two_threads() -> tuple[str, ...]:
    log: list[str] = []
    lock = threading.Lock()

    def steps(name: str) -> Callable[[], None]:
        def body() -> None:
            for position in range(2):
                with lock:
                    log.append(f"{name}{position}")

        return body

    finished(steps("a"), steps("b"))
    return tuple(log)


@pytest.mark.one_python
def test_all_six_interleavings_of_two_threads_of_two_critical_sections_are_reached() -> None:
    # Each has probability of at least 1/64 under the random walk: 600 seeds miss one with probability below 6e-4,
    # and the seeds are fixed.
    found = {run(interleavings_of_two_threads, seed=seed) for seed in range(600)}
    expected = {
        order
        for order in permutations(("a0", "a1", "b0", "b1"))
        if order.index("a0") < order.index("a1") and order.index("b0") < order.index("b1")
    }
    assert found == expected


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), preemption=st.sampled_from(["sync", "line", "opcode"]))
def test_a_replay_of_threads_is_bitwise_equal_to_its_recording(seed: int, preemption: str) -> None:
    first = detrun.record(lost_update, seed=seed, preemption=preemption)
    again = detrun.replay(lost_update, recording=first.recording)
    assert (again.result, again.digest, again.steps) == (first.result, first.digest, first.steps)


def test_one_schedule_covers_tasks_and_threads() -> None:
    async def program() -> list[str]:
        log: list[str] = []

        async def task() -> None:
            for _ in range(3):
                log.append("task")
                await trio.lowlevel.checkpoint()

        def thread() -> None:
            for _ in range(3):
                log.append("thread")
                time.sleep(0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            nursery.start_soon(trio.to_thread.run_sync, thread)
        return log

    orders = {tuple(run_async(program, seed)) for seed in range(200)}
    assert len(orders) > 10


# What threading says.


def test_idents_names_and_paths_are_small_and_the_same_in_every_run() -> None:
    def program() -> list[Any]:
        seen: list[Any] = [(threading.get_ident(), threading.current_thread().name, _thread.get_ident())]

        def body() -> None:
            seen.append((threading.get_ident(), threading.current_thread().name, threading.get_native_id()))

        finished(body, body)
        named = threading.Thread(target=body, name="courier")
        named.start()
        named.join()
        assert threading.main_thread().ident == threading.get_ident() == 1
        return sorted(seen)

    expected = [(1, "MainThread", 1), (2, "Thread-1 (body)", 2), (3, "Thread-2 (body)", 3), (4, "courier", 4)]
    for seed in range(3):
        assert run(program, seed=seed) == expected

    paths: list[str] = []

    class Watching:
        def step_closed(self, loop: RunLoop, task: int, *_: object) -> None:
            paths.extend(set(loop.paths.values()) - set(paths))

    run(program, verifier=Watching())
    assert {"main", "main/body", "main/body[1]", "main/courier"} <= set(paths)


def test_enumerate_counts_the_living() -> None:
    def program() -> tuple[int, list[str], int]:
        gate = threading.Event()
        threads = started(gate.wait, gate.wait)
        names = [thread.name for thread in threading.enumerate()]
        count = threading.active_count()
        gate.set()
        for thread in threads:
            thread.join()
            assert not thread.is_alive()
        return count, names, threading.active_count()

    assert run(program) == (3, ["MainThread", "Thread-1 (wait)", "Thread-2 (wait)"], 1)


def test_a_subclass_that_overrides_run_start_and_join_works() -> None:
    calls: list[str] = []

    class Worker(threading.Thread):
        def start(self) -> None:
            calls.append("start")
            super().start()

        def run(self) -> None:
            calls.append("run")

        def join(self, timeout: float | None = None) -> None:
            super().join(timeout)
            calls.append("join")

    def program() -> None:
        worker = Worker()
        worker.start()
        worker.join()

    run(program)
    assert calls == ["start", "run", "join"]


def test_wrong_use_of_a_thread_raises_what_it_raises_in_life() -> None:
    def program() -> None:
        thread = threading.Thread(target=int)
        with pytest.raises(RuntimeError, match="before it is started"):
            thread.join()
        thread.start()
        with pytest.raises(RuntimeError, match="only be started once"):
            thread.start()
        with pytest.raises(RuntimeError, match="cannot join current thread"):
            threading.current_thread().join()
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            threading.Lock().release()
        with pytest.raises(RuntimeError, match="un-acquired"):
            threading.RLock().release()
        with pytest.raises(ValueError, match="non-blocking"):
            threading.Lock().acquire(False, 1)

    run(program)


def test_a_thread_begins_with_an_empty_context_and_main_with_its_callers() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("outside")

    def program() -> tuple[str, list[str]]:
        seen: list[str] = []
        finished(lambda: seen.append(variable.get()))
        return variable.get(), seen

    assert run(program) == ("outside", ["unset"])


def test_an_uncaught_exception_goes_to_the_hook_and_is_kept_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooked: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: hooked.append(arguments.exc_type))

    def program() -> str:
        finished(lambda: 1 / 0)
        return "went on"

    loop = loop_of(program)
    assert loop.ended.unwrap() == "went on"  # type: ignore[attr-defined]
    assert hooked == [ZeroDivisionError]
    assert [(path, type(error)) for path, error, *_ in loop.thread_failures] == [("main/<lambda>", ZeroDivisionError)]


def test_locals_are_one_for_each_thread_and_mains_is_what_was_there_before() -> None:
    LOCAL.value = "before"

    def program() -> tuple[str, list[str]]:
        seen: list[str] = []

        def body(name: str) -> Callable[[], None]:
            def inner() -> None:
                assert not hasattr(LOCAL, "value")
                LOCAL.value = name
                time.sleep(1)
                seen.append(LOCAL.value)

            return inner

        finished(body("a"), body("b"))
        return LOCAL.value, sorted(seen)

    assert run(program) == ("before", ["a", "b"])
    assert LOCAL.value == "before"


# Time.


def test_sleeps_and_time_outs_are_virtual() -> None:
    def program() -> list[bool]:
        held = threading.Lock()
        held.acquire()
        results = [held.acquire(timeout=1000), threading.Event().wait(1000)]
        with pytest.raises(queue.Empty):
            queue.Queue().get(timeout=1000)
        with pytest.raises(queue.Empty):
            queue.SimpleQueue().get(timeout=1000)
        slow = threading.Thread(target=time.sleep, args=(5000,))
        slow.start()
        slow.join(timeout=1000)
        return [*results, slow.is_alive()]

    began = time.monotonic()
    loop = loop_of(program)
    assert loop.ended.unwrap() == [False, False, True]  # type: ignore[attr-defined]
    assert loop.time_at_end == 9000
    assert time.monotonic() - began < 30


def test_a_waiter_that_is_woken_at_its_deadline_is_woken_once() -> None:
    def program() -> bool:
        lock = threading.Lock()
        lock.acquire()

        def releases() -> None:
            time.sleep(1)
            lock.release()

        threading.Thread(target=releases).start()
        return lock.acquire(timeout=1)

    assert {run(program, seed=seed) for seed in range(40)} <= {True, False}


# Objects from outside.


def test_locks_made_at_import_work_inside_a_run_and_are_free_after_one_that_failed() -> None:
    def program() -> list[int]:
        log: list[int] = []

        def body() -> None:
            with LOCK, RLOCK, RLOCK:
                log.append(len(log))
                time.sleep(1)
                log.append(len(log))
            EVENT.set()
            QUEUE.put(1)

        threads = started(body, body)
        EVENT.wait()
        QUEUE.get()
        for thread in threads:
            thread.join()
        return log

    assert run(program) == [0, 1, 2, 3]
    EVENT.clear()

    def fails() -> None:
        LOCK.acquire()
        RLOCK.acquire()
        raise ValueError

    with pytest.raises(ValueError):
        run(fails)
    assert not LOCK.locked()
    assert LOCK.acquire(False)
    LOCK.release()
    assert run(program) == [0, 1, 2, 3]


def test_outside_a_run_the_classes_are_real_between_real_threads() -> None:
    assert {type(LOCK), type(RLOCK)} == {Lock, RLock}
    held, log = threading.Lock(), []

    def body() -> None:
        with held, RLOCK:
            log.append(LOCAL.__dict__.copy())

    held.acquire()
    LOCAL.value = "main's"
    thread = threading.Thread(target=body)
    thread.start()
    assert not held.acquire(timeout=0.01)
    held.release()
    thread.join(10)
    assert log == [{}]


def test_every_name_is_back_after_a_run_that_fails() -> None:
    modules = [threading, _thread, queue, time, trio.lowlevel, sys.modules["trio._threads"]]
    before = [vars(module).copy() for module in modules]
    methods = {name: vars(threading.Thread)[name] for name in ("start", "join", "is_alive")}

    def program() -> None:
        assert threading.get_ident() == 1
        raise KeyError

    with pytest.raises(KeyError):
        run(program)
    for module, names in zip(modules, before, strict=True):
        assert {name for name in names if vars(module)[name] is not names[name]} == set()
    assert methods == {name: vars(threading.Thread)[name] for name in methods}
    thread = threading.Thread(target=int)
    thread.start()
    thread.join(10)


def test_a_finished_run_of_threads_leaves_no_cyclic_garbage(garbage_of: Any) -> None:
    def program() -> None:
        lock, done = threading.Lock(), threading.Event()

        def body() -> None:
            with lock:
                done.set()

        finished(body, body)
        done.wait()

    def once() -> None:
        run(program)

    assert garbage_of(once) == 0


# Ends.


def test_non_daemons_are_waited_for_and_daemons_are_killed_after_them() -> None:
    log: list[str] = []

    def daemon() -> None:
        try:
            while True:
                time.sleep(1)
                log.append("tick")
        finally:
            log.append("killed")

    def worker() -> None:
        time.sleep(2.5)
        log.append("worker")

    def program() -> str:
        threading.Thread(target=daemon, daemon=True).start()
        threading.Thread(target=worker).start()
        return "main"

    loop = loop_of(program)
    assert loop.ended.unwrap() == "main"  # type: ignore[attr-defined]
    assert log == ["tick", "tick", "worker", "killed"]


def test_a_deadlock_names_threads_locks_holders_and_the_cycle() -> None:
    def program() -> None:
        first, second = threading.Lock(), threading.RLock()

        def forwards() -> None:
            with first:
                with second:
                    pass

        def backwards() -> None:
            with second:
                with first:
                    pass

        finished(forwards, backwards)

    messages = set()
    for seed in range(60):
        try:
            run(program, seed=seed)
        except DeadlockError as error:
            messages.add(str(error))
    assert messages
    for message in messages:
        assert "main/forwards) waits for RLock[0], held by main/backwards" in message
        assert "main/backwards) waits for Lock[0], held by main/forwards" in message
        assert "main) waits for Thread.join, until the end of main/forwards" in message
        assert "cycle: main/forwards waits for main/backwards waits for main/forwards" in message
        assert f"{__file__}:" in message


def test_a_deadlock_of_a_task_that_blocks_the_event_loop_is_reported_and_cannot_be_caught() -> None:
    async def program() -> None:
        never = threading.Event()
        thread = threading.Thread(target=never.wait)
        thread.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            try:
                thread.join()
            except Exception:
                pytest.fail("a deadlock is no exception of the program")

    with pytest.raises(DeadlockError) as caught:
        run_async(program)
    assert "main) waits for Thread.join, until the end of main/wait, and blocks the event loop" in str(caught.value)
    assert "main/wait) waits for Event.wait (not woken)" in str(caught.value)
    assert "main/sleep) waits for the event loop, blocked by main" in str(caught.value)


@pytest.mark.parametrize("points", [0, 20_000])
def test_a_deadlock_says_that_the_holder_has_ended_however_long_ago(points: int) -> None:
    def program() -> None:
        lock = threading.Lock()

        def others() -> None:
            for _ in range(points):
                time.sleep(0)

        for body, name in ((lock.acquire, "first"), (others, "others"), (lock.acquire, "second")):
            thread = threading.Thread(target=body, name=name)
            thread.start()
            thread.join()

    with pytest.raises(DeadlockError) as caught:
        run(program)
    # Paths of the dead are forgotten when a chunk of the recording is closed.
    holder = "task 2" if points else "main/first"
    assert f"task 4 (main/second) waits for Lock[0], held by {holder}, which has ended" in str(caught.value)


def test_a_livelock_of_threads_meets_the_step_limit() -> None:
    def program() -> None:
        flag = threading.Event()
        while not flag.is_set():
            pass

    with pytest.raises(StepLimitError, match=r"Event\.is_set"):
        run(program, max_steps=500)


def test_a_spinning_thread_lets_others_run_at_what_it_asks() -> None:
    def program() -> str:
        ready, lock, items = threading.Event(), threading.Lock(), queue.SimpleQueue[int]()
        lock.acquire()

        def works() -> None:
            ready.set()
            lock.release()
            items.put(1)

        worker = threading.Thread(target=works)
        worker.start()
        while not ready.is_set() or lock.locked() or items.empty() or worker.is_alive():
            pass
        return "ended"

    assert {run(program, seed=seed) for seed in range(20)} == {"ended"}


# Tasks and threads together.


def test_a_task_that_waits_for_a_lock_stops_other_tasks_and_no_thread() -> None:
    async def program() -> list[str]:
        lock, log = threading.Lock(), []

        def holder() -> None:
            with lock:
                time.sleep(1)
                log.append(f"released at {trio_time():g}")

        async def ticker() -> None:
            for _ in range(3):
                await trio.sleep(0.4)
                log.append(f"tick at {trio.current_time():g}")

        trio_time = trio.current_time
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ticker)
            thread = threading.Thread(target=holder)
            thread.start()
            await trio.sleep(0.1)
            with lock:
                log.append(f"locked at {trio.current_time():g}")
        return log

    assert run_async(program) == ["released at 1", "locked at 1", "tick at 1", "tick at 1.4", "tick at 1.8"]


def test_to_thread_and_from_thread_carry_results_contexts_and_cancellation() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    async def program() -> list[Any]:
        variable.set("set")

        async def doubled(number: int) -> int:
            await trio.sleep(1)
            return 2 * number

        def body(number: int) -> tuple[int, int, str]:
            return (
                trio.from_thread.run(doubled, number),
                trio.from_thread.run_sync(lambda: number + 1),
                variable.get(),
            )

        def cancellable() -> None:
            while True:
                trio.from_thread.check_cancelled()
                time.sleep(1)

        results: list[Any] = [await trio.to_thread.run_sync(body, 5)]
        with trio.move_on_after(3) as scope:
            await trio.to_thread.run_sync(cancellable)
        results.append((scope.cancelled_caught, trio.current_time()))
        with trio.move_on_after(3) as scope:
            await trio.to_thread.run_sync(time.sleep, 100, abandon_on_cancel=True)
        results.append((scope.cancelled_caught, trio.current_time()))
        return results

    assert run_async(program) == [(10, 6, "set"), (True, 4.0), (True, 7.0)]


def test_trio_in_a_thread_says_that_it_is_not_in_a_task() -> None:
    async def program() -> None:
        def body() -> None:
            with pytest.raises(RuntimeError, match="async context"):
                trio.lowlevel.current_task()

        await trio.to_thread.run_sync(body)

    run_async(program)


def test_an_executor_runs_everything_and_is_shut_down_at_the_end_of_main() -> None:
    def program() -> tuple[list[int], list[str]]:
        pool = ThreadPoolExecutor(2)
        futures = [pool.submit(lambda number: (number * number, threading.current_thread().name), i) for i in range(5)]
        results = [future.result() for future in as_completed(futures)]
        return sorted(square for square, _ in results), sorted({name for _, name in results})

    names: set[str] = set()
    for seed in range(10):
        squares, found = run(program, seed=seed)
        assert squares == [0, 1, 4, 9, 16]
        names.update(found)
    assert names == {"ThreadPoolExecutor-0_0", "ThreadPoolExecutor-0_1"}
    assert run(program, seed=3) == run(program, seed=3)


def test_waiting_for_futures_and_shutting_a_pool_down_replay_whatever_the_addresses_are() -> None:
    """`wait` locks futures in the order of their ids, and a pool keeps its threads in a set."""

    def program() -> list[int]:
        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(pow, number, 2) for number in range(6)]
            done = wait(futures, timeout=5.0).done
            return [future.result() for future in done]

    recorded = detrun.record(program, seed=1)
    kept = []
    for number in range(10):
        assert detrun.replay(program, recording=recorded.recording).result == recorded.result
        kept.append([object() for _ in range(7 * number + 1)])  # so that other objects get other addresses


# A function as main.


def test_an_ordinary_function_is_a_program() -> None:
    finished_run = detrun.record(lambda left, right: left + right, 2, 3)
    assert finished_run.result == 5
    with pytest.raises(ZeroDivisionError) as caught:
        detrun.record(lambda: 1 / 0)
    assert caught.traceback[-1].name == "<lambda>"
    detrun.check_determinism(lost_update)


def test_a_function_that_only_makes_a_coroutine_is_named() -> None:
    async def program() -> None:
        pass

    with pytest.raises(UsageError, match="returned a coroutine"):
        detrun.record(lambda: program())


def test_logging_and_output_of_threads_work() -> None:
    records: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(f"{record.threadName}: {record.getMessage()}")

    logger = logging.getLogger("detrun.test_threads")
    logger.addHandler(Keeping())
    logger.propagate = False

    def program() -> None:
        finished(lambda: logger.warning("one"), lambda: logger.warning("two"))

    run(program)
    assert sorted(records) == ["Thread-1 (<lambda>): one", "Thread-2 (<lambda>): two"]


def test_an_interrupt_reaches_a_main_function_that_waits() -> None:
    def program() -> str:
        def interrupts() -> None:
            signal.raise_signal(signal.SIGINT)

        threading.Thread(target=interrupts).start()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return "interrupted"
        return "not interrupted"

    assert run(program) == "interrupted"


def test_a_real_thread_by_a_name_from_before_the_run_is_refused() -> None:
    if sys.version_info < (3, 12):
        pytest.skip("starting a thread has no audit event before Python 3.12")

    def program() -> None:
        _START[0](int, ())

    with pytest.raises(HiddenStateError, match="imported by name before the run"):
        detrun.record(program)


_START = [_thread.start_new_thread]  # within a list it stays the real one


# Forks.


def test_windowed_gradients_of_a_threaded_program_are_bit_equal_to_those_of_a_whole_tape() -> None:
    """Windows are forked processes: threads live on in them."""

    def program(params: dict[str, Any]) -> Any:
        total = detrun.Atomic(params["x"])
        lock = threading.Lock()

        def scaled() -> None:
            for _ in range(40):
                with lock:
                    total.store(total.load() * 1.01)

        def shifted() -> None:
            for _ in range(40):
                total.fetch_add(params["y"])
                time.sleep(0.1)

        finished(scaled, shifted)
        return total.load()

    whole = detrun.gradient(program, {"x": 2.0, "y": 0.5}, seed=3)
    windowed = detrun.gradient(program, {"x": 2.0, "y": 0.5}, seed=3, snapshots=4, window=60)
    assert (whole.value, whole.grads) == (windowed.value, windowed.grads)
    assert windowed.diagnostics.windows > 1
    assert whole.grads["x"] == pytest.approx(1.01**40)


def test_importing_detrun_costs_no_threads() -> None:
    program = "import detrun, threading; assert threading.active_count() == 1; threading.Thread(target=int).start()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_error_of_main_has_no_frames_of_the_scheduler_on_top() -> None:
    def program() -> None:
        raise LookupError

    result = loop_of(program).ended  # type: ignore[attr-defined]
    assert isinstance(result, outcome.Error)
    trace = result.error.__traceback__
    names = []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names[-1] == "program"
    assert "run" not in names


# What real threads never show.


def test_a_thread_may_be_asked_whether_it_lives_while_another_starts_it() -> None:
    def program() -> None:
        thread = threading.Thread(target=time.time)
        starter = threading.Thread(target=thread.start)
        starter.start()
        seen = [thread.is_alive() for _ in range(2)]
        starter.join()
        thread.join()
        assert not thread.is_alive()
        assert seen in ([False, False], [False, True], [True, True], [True, False])

    found = detrun.explore(program, strategy="random", schedules=50, directory=None)
    assert found.verdict == "passed", found


@pytest.mark.parametrize("call", [lambda ident: time.pthread_getcpuclockid(ident), lambda ident: _KILL(ident, 0)])
def test_c_functions_that_take_an_ident_for_an_address_are_refused(call: Callable[[int], object]) -> None:
    with pytest.raises(HiddenStateError, match="takes the number of a thread for an address"):
        detrun.record(lambda: call(threading.get_ident()))
    assert time.pthread_getcpuclockid(threading.get_ident()) is not None


_KILL = signal.pthread_kill


def test_hooks_that_a_program_assigns_go_with_the_run() -> None:
    def program() -> None:
        threading.excepthook = lambda _: None
        threading.settrace(lambda *_: None)
        threading.setprofile(lambda *_: None)

    before = threading.excepthook, threading.gettrace(), threading.getprofile()
    detrun.record(program)
    assert (threading.excepthook, threading.gettrace(), threading.getprofile()) == before
    with pytest.raises(ValueError):
        detrun.record(_raise_after, program)
    assert (threading.excepthook, threading.gettrace(), threading.getprofile()) == before


def _raise_after(program: Callable[[], None]) -> None:
    program()
    raise ValueError


def test_anyios_portal_tells_the_event_loops_thread_from_workers() -> None:
    anyio = pytest.importorskip("anyio")
    from anyio.from_thread import BlockingPortal

    async def program() -> list[int]:
        async def answer() -> int:
            await anyio.sleep(1)
            return 42

        seen: list[int] = []
        async with BlockingPortal() as portal:
            await anyio.to_thread.run_sync(lambda: seen.append(portal.call(answer)))
        return seen

    assert detrun.record(program).result == [42]


def test_an_exception_in_a_low_level_thread_is_shown_by_the_interpreters_own_hook(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise ValueError("told")

    def program() -> str:
        _thread.start_new_thread(fails, ())
        time.sleep(1)
        return "went on"

    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)  # pytest has one of its own
    assert detrun.record(program).result == "went on"
    assert "ValueError: told" in capsys.readouterr().err


def test_a_thread_whose_name_has_an_address_in_it_has_a_path_without_it() -> None:
    def program() -> list[str]:
        found: list[str] = []

        def tell() -> None:
            run: Any = current.run
            found.append(run.path_of(run.current))

        thread = threading.Thread(target=tell, name="of <object at 0x7f3a5c0d1e20> 140737488355328 at 1767225600000")
        thread.start()
        thread.join()
        return found

    assert detrun.record(program).result == ["main/of <object at ...> ... at 1767225600000"]
