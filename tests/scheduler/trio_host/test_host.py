"""A program sees trio's semantics under the host: one body is run by ``trio.run`` and by the run loop and compared.

trio's own suite runs in ``tests/external``. Here is what a suite written for trio cannot
know: equal tracebacks, orders that trio leaves open, refusals, memory, and the state in which a run leaves the process.
"""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import gc
import signal
import subprocess
import sys
import traceback
import warnings
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import outcome
import pytest
import sniffio
import trio
import trio.testing

from detrun_scheduler import current
from detrun_scheduler.errors import DeadlockError, HiddenStateError
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make
from detrun_scheduler.trio_host import host
from detrun_scheduler.trio_host.check import check_trio
from detrun_scheduler.trio_host.private import MemoryChannelState

Program = Callable[[], Awaitable[Any]]
# Real ones during a run, too.
REAL = SimpleNamespace(start_new_thread=_thread.start_new_thread, allocate_lock=_thread.allocate_lock)
STRATEGIES = ("fifo", "random", "pct")


def run(program: Program, strategy: str = "fifo", **options: Any) -> Any:
    """The program's result, as ``trio.run`` would give it."""
    return RunLoop(make(strategy), **options).run(program).unwrap()


# What of a run loop, trio's or ours, may stand between an error and the program's own frames.
DETRUN = str(Path(host.__file__).parents[1])
LOOP_FUNCTIONS = {"run", "unrolled_run", "init", "task_exited", "unwrap", "<lambda>", "error_of"}


def error_of(runner: Callable[[], object]) -> Any:
    """The error of a run as data: type, message, frames, and the same of its cause, context and group members."""
    try:
        runner()
    except BaseException as error:
        return described(error)
    return None


def described(error: BaseException | None, above: tuple[BaseException, ...] = ()) -> Any:
    if error is None or error in above:  # contexts may form a ring
        return None
    above = (*above, error)
    frames = [
        (Path(frame.f_code.co_filename).name, frame.f_code.co_qualname, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not (frame.f_code.co_name in LOOP_FUNCTIONS or frame.f_code.co_filename.startswith(DETRUN))
    ]
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    message = str(error).partition(" at 0x")[0]
    links = (described(error.__cause__, above), described(error.__context__, above), error.__suppress_context__)
    return (type(error).__name__, message, frames, *links, [described(member, above) for member in members])


async def fails_deep() -> None:
    await trio.sleep(1)
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


async def raises_in_children() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails_deep)
        nursery.start_soon(trio.sleep_forever)


async def raises_in_context() -> None:
    try:
        raise KeyError("first")
    finally:
        await trio.sleep(0)
        raise ValueError("while handling")


async def starts_a_task_that_fails() -> None:
    async def child(task_status: trio.TaskStatus[None]) -> None:
        raise OSError("before started")

    async with trio.open_nursery() as nursery:
        await nursery.start(child)


async def awaits_asyncio() -> None:
    loop = asyncio.new_event_loop()
    try:
        await asyncio.Future(loop=loop)
    finally:
        loop.close()


async def times_out() -> None:
    with trio.fail_after(1):
        await trio.sleep(2)


async def crashes_a_system_task() -> None:
    trio.lowlevel.spawn_system_task(fails_deep)
    await trio.sleep_forever()


async def runs_a_run() -> None:
    trio.run(trio.sleep, 0)


@pytest.mark.parametrize(
    "program",
    [
        fails_deep,
        raises_in_children,
        raises_in_context,
        starts_a_task_that_fails,
        awaits_asyncio,
        times_out,
        crashes_a_system_task,
        runs_a_run,
    ],
)
def test_errors_have_the_type_chain_and_frames_of_trio_run(program: Program) -> None:
    ours = error_of(lambda: run(program))
    theirs = error_of(lambda: trio.run(program, clock=trio.testing.MockClock(autojump_threshold=0)))
    assert theirs is not None
    assert ours == theirs


@pytest.mark.parametrize("wrong", ["coroutine", "synchronous", "asyncio"])
def test_what_is_not_an_async_function_is_refused_in_trios_words(wrong: str) -> None:
    async def function() -> None: ...

    def runner(execute: Callable[[Any], object]) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            argument: Any = {"coroutine": function, "synchronous": lambda: lambda: 1, "asyncio": lambda: 5}[wrong]()
            with pytest.raises(TypeError) as caught:
                execute(argument)
            return str(caught.value).partition(" at 0x")[0]

    assert runner(run) == runner(trio.run)


def test_strictness_of_exception_groups_is_that_of_trio() -> None:
    async def program() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_deep)

    with pytest.raises(ExceptionGroup):
        run(program)
    with pytest.raises(ValueError, match="outer"):
        run(program, strict_exception_groups=False)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_cancellation_reaches_tasks_in_the_order_in_which_they_came(strategy: str) -> None:
    """trio walks a set ordered by address; abort functions are user code and see the order."""
    aborted: list[int] = []

    async def waiter(index: int) -> None:
        def abort(_: object) -> trio.lowlevel.Abort:
            aborted.append(index)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def program() -> None:
        async with trio.open_nursery() as nursery:
            for index in range(50):
                nursery.start_soon(waiter, index)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    run(program, strategy)
    assert aborted == list(range(50))


def test_generators_left_open_are_finalized_in_the_order_of_first_iteration() -> None:
    closed: list[int] = []
    kept: list[AsyncGenerator[int, None]] = []

    async def generator(index: int) -> AsyncGenerator[int, None]:
        try:
            yield index
        finally:
            closed.append(index)

    async def program() -> None:
        for index in range(30):
            kept.append(generator(index))
            await kept[-1].asend(None)

    run(program)
    assert closed == list(range(30))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_generators_that_go_with_the_main_task_are_finalized_in_the_order_in_which_they_went(strategy: str) -> None:
    """trio keeps the generators that are collected between the last task and the finalization in a set."""

    def closed_by_a_run() -> list[int]:
        closed: list[int] = []

        async def generator(index: int) -> AsyncGenerator[int, None]:
            try:
                yield index
            finally:
                closed.append(index)

        async def program() -> None:
            local = {index: generator(index) for index in range(30)}
            for one in local.values():
                await one.asend(None)
            del one

        run(program, strategy)
        return closed

    first = closed_by_a_run()
    assert sorted(first) == list(range(30))
    elsewhere = [object() for _ in range(1000)]  # so that the next generators get other addresses
    assert closed_by_a_run() == first
    del elsewhere


def test_a_collected_generator_is_closed_inside_the_run() -> None:
    closed: list[bool] = []

    async def generator() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            closed.append(trio.lowlevel.in_trio_task())

    async def program() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            iterating = generator()
            await iterating.asend(None)
            del iterating
            gc.collect()
        for _ in range(3):
            await trio.lowlevel.checkpoint()

    run(program)
    assert closed == [True]


def test_callbacks_queued_inside_the_run_keep_their_order_and_idempotence() -> None:
    called: list[object] = []

    async def program() -> None:
        token = trio.lowlevel.current_trio_token()
        for index in range(3):
            token.run_sync_soon(called.append, index)
            token.run_sync_soon(called.append, "once", idempotent=True)
        await trio.testing.wait_all_tasks_blocked()

    run(program)
    assert [one for one in called if one != "once"] == [0, 1, 2]
    assert called.count("once") == 1


def test_a_callback_from_another_thread_is_refused_in_that_thread() -> None:
    errors: list[BaseException] = []

    async def program() -> None:
        token = trio.lowlevel.current_trio_token()

        def foreign() -> None:
            try:
                token.run_sync_soon(print)
            except BaseException as error:
                errors.append(error)
            ended.release()

        REAL.start_new_thread(foreign, ())
        ended.acquire()
        await trio.sleep(1)

    ended = REAL.allocate_lock()
    ended.acquire()

    run(program)
    assert [type(error) for error in errors] == [HiddenStateError]
    assert "another operating-system thread" in str(errors[0])


def test_a_token_outlives_its_run_only_to_refuse() -> None:
    token = run(_current_token)
    with pytest.raises(trio.RunFinishedError):
        token.run_sync_soon(print)


async def _current_token() -> trio.lowlevel.TrioToken:
    return trio.lowlevel.current_trio_token()


def test_context_variables_run_variables_and_locals_are_those_of_trio() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")
    run_variable: trio.lowlevel.RunVar[str] = trio.lowlevel.RunVar("run_variable", default="unset")
    seen: list[str] = []

    async def child() -> None:
        seen.append(variable.get())
        variable.set("in child")

    async def program() -> str:
        variable.set("in main")
        run_variable.set("set")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        seen.append(variable.get())
        assert sniffio.current_async_library() == "trio"
        return run_variable.get()

    assert run(program) == "set"
    assert seen == ["in main", "in main"]
    assert variable.get() == "outside"

    async def fresh() -> str:
        return run_variable.get()

    assert run(fresh) == "unset"
    with pytest.raises(sniffio.AsyncLibraryNotFoundError):
        sniffio.current_async_library()


def test_an_instrument_added_in_mid_run_sees_the_steps_from_then_on() -> None:
    steps: list[str] = []

    class Recorder(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            assert trio.lowlevel.current_task() is task
            steps.append("before")

        def after_task_step(self, task: trio.lowlevel.Task) -> None:
            steps.append("after")

    async def program() -> None:
        recorder = Recorder()
        await trio.lowlevel.checkpoint()
        trio.lowlevel.add_instrument(recorder)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        trio.lowlevel.remove_instrument(recorder)
        await trio.lowlevel.checkpoint()

    run(program)
    # trio would call after_task_step for the very step that adds the instrument, too.
    assert steps == ["before", "after", "before"]


def test_the_root_task_and_statistics_are_those_of_trio() -> None:
    async def program() -> tuple[Any, ...]:
        await trio.testing.wait_all_tasks_blocked()
        root = trio.lowlevel.current_root_task()
        assert root is not None
        with trio.CancelScope(deadline=trio.current_time() + 5):
            statistics = trio.lowlevel.current_statistics()
            return root.name, root.parent_nursery, statistics.tasks_living, statistics.seconds_to_next_deadline

    assert run(program) == trio.run(program, clock=trio.testing.MockClock())


def test_real_input_and_output_is_refused_by_name() -> None:
    async def program() -> None:
        await trio.lowlevel.wait_readable(0)

    with pytest.raises(HiddenStateError, match="wait_readable"):
        run(program)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("fails", [False, True])
def test_a_finished_run_leaves_no_cyclic_garbage(strategy: str, fails: bool, garbage_of: Any) -> None:
    """Exploration turns the collector off over thousands of runs, failing ones too."""

    async def child() -> None:
        await trio.sleep(1)
        if fails:
            raise ValueError

    async def program() -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(int)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            nursery.start_soon(trio.sleep, 2)

    def once() -> None:
        result = RunLoop(make(strategy)).run(program)
        failed = isinstance(result, outcome.Error)
        del result  # the error's traceback leads to this frame, which must not lead back
        assert failed == fails

    assert garbage_of(once) == 0


@pytest.mark.one_python
def test_tasks_that_ended_are_forgotten_and_their_paths_stay_unique() -> None:
    """20,000 tasks, one after the other; what the loop knows about tasks is bounded by one chunk's worth."""
    count = 20_000
    chunks: list[Any] = []
    loop = RunLoop(make("fifo"))
    loop.journal.sink = chunks.append

    async def child() -> None: ...

    async def program() -> int:
        for _ in range(count):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
        return max(len(loop.paths), len(loop.names_used), len(loop.host.numbers))

    assert loop.run(program).unwrap() < 17_000
    paths = [path for chunk in chunks for _, _, path in chunk.tasks]
    assert len(paths) == len(set(paths)) == count + 2


def test_a_given_name_cannot_pass_for_another_tasks_path() -> None:
    loop = RunLoop(make("fifo"))
    tasks: list[Any] = []
    loop.journal.sink = lambda chunk: tasks.extend(chunk.tasks)

    async def worker() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0, name="part")

    async def program() -> None:
        async with trio.open_nursery() as nursery:
            for name in ("worker", "worker[1]", "worker", "worker/part"):
                nursery.start_soon(worker, name=name)

    loop.run(program).unwrap()
    paths = [path for _, _, path in tasks]
    assert len(paths) == len(set(paths))
    assert "main/worker[1]" in paths
    assert "main/worker(1)" in paths


def test_waiting_for_all_tasks_blocked_respects_cushions() -> None:
    order: list[tuple[str, float]] = []

    async def patient(cushion: float) -> None:
        await trio.testing.wait_all_tasks_blocked(cushion)
        order.append((f"cushion {cushion:g}", trio.current_time()))

    async def sleeper() -> None:
        await trio.sleep(0.5)
        order.append(("slept", trio.current_time()))

    async def program() -> None:
        async with trio.open_nursery() as nursery:
            for cushion in (0.3, 0.0, 1.0):
                nursery.start_soon(patient, cushion)
            nursery.start_soon(sleeper)

    run(program)
    assert [name for name, _ in order] == ["cushion 0", "cushion 0.3", "slept", "cushion 1"]


def test_the_self_check_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(trio._core._run.Runner, "task_exited")
    with pytest.raises(ImportError, match=r"Runner\.task_exited\(\)"):
        check_trio()


def test_a_too_old_trio_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio, "__version__", "0.22.0")
    with pytest.raises(ImportError, match=r"pip install 'trio>=0\.30"):
        check_trio()


# After a failed run.


async def _deadlocks() -> None:
    await trio.Event().wait()


def test_cleanup_runs_in_virtual_time_when_the_loop_has_failed() -> None:
    log: list[str] = []

    async def program() -> None:
        try:
            await trio.Event().wait()
        finally:
            log.append("finally")
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
            log.append(f"shielded until {trio.current_time():g}")

    with pytest.raises(DeadlockError):
        run(program)
    assert log == ["finally", "shielded until 5"]


FAILED_RUN = """
import sys
import trio
from detrun_scheduler.errors import DeadlockError
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make

log = []

async def stubborn():
    try:
        await trio.sleep_forever()
    finally:
        log.append("stubborn")
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

async def stubborn_in_nursery():
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stubborn)
            await trio.sleep_forever()

async def generates():
    try:
        yield 1
        await trio.sleep_forever()
    finally:
        await trio.sleep(1)

async def iterates():
    async for _ in generates():
        with trio.CancelScope(shield=True):
            await trio.Event().wait()

async def never_started(): ...

async def program():
    async with trio.open_nursery() as nursery:
        for function in (stubborn, stubborn_in_nursery, iterates):
            nursery.start_soon(function)

async def fine():
    await trio.sleep(1)
    return "fine"

class Failing:
    def new_run(self, run): self.calls = 0
    def draw(self, stream, index): return 0
    def next_task(self, runnable, current):
        self.calls += 1
        if self.calls == 2:
            raise DeadlockError("from the oracle")
        return 0

async def spawns():
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(never_started)
            await trio.lowlevel.checkpoint()

for oracle, main in ((make("fifo"), program), (make("random"), program), (Failing(), spawns)):
    try:
        RunLoop(oracle).run(main)
    except DeadlockError:
        log.append("deadlock")
    assert RunLoop(make("fifo")).run(fine).unwrap() == "fine"
print(log.count("deadlock"), log.count("stubborn"))
import gc
gc.collect()
"""


def test_a_failed_run_is_closed_without_a_word_on_standard_error_and_the_next_run_works() -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "always::RuntimeWarning", "-c", FAILED_RUN],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(Path(host.__file__).parents[2]), "PATH": ""},
    )
    assert finished.stderr == ""
    assert finished.stdout.split() == ["3", "4"]


def test_an_error_during_cleanup_does_not_hide_why_the_run_failed() -> None:
    async def program() -> None:
        try:
            await trio.Event().wait()
        finally:
            raise ValueError("in cleanup")

    with pytest.raises(DeadlockError):
        run(program)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_asynchronous_generators_are_closed_in_their_own_run_whichever_runs_came_before() -> None:
    closed: list[str] = []
    held: list[Any] = []

    async def numbers(name: str) -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            closed.append(f"{name} in {current.require('a generator').seed}")

    async def nothing() -> None:
        """Leaves its hooks to the next run."""

    async def drops() -> None:
        async for _ in numbers("dropped"):
            break
        await trio.sleep(1)
        closed.append("after a second")

    async def keeps() -> None:
        held.append(numbers("kept"))
        await anext(held[-1])

    for seed, program in enumerate((nothing, drops, nothing, keeps, drops)):
        RunLoop(make("fifo"), seed=seed).run(program).unwrap()
    assert closed == ["dropped in 1", "after a second", "kept in 3", "dropped in 4", "after a second"]


def test_a_channel_that_was_made_before_detrun_was_imported_passes_its_messages_on() -> None:
    """Its state is trio's own, which has no place for the order of messages."""
    state = MemoryChannelState[int](1)
    sends: Any = trio.MemorySendChannel.__new__(trio.MemorySendChannel)  # its metaclass has no public constructor
    receives: Any = trio.MemoryReceiveChannel.__new__(trio.MemoryReceiveChannel)
    sends.__init__(state)
    receives.__init__(state)
    got: list[int] = []

    async def receive() -> None:
        async for message in receives:
            got.append(message)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            async with sends:
                for message in range(4):
                    await sends.send(message)

    run = RunLoop(make("random"), seed=1)
    run.run(main).unwrap()
    assert got == [0, 1, 2, 3]
    assert "channel" not in run.objects_of_kind


def test_a_run_that_is_over_keeps_none_of_the_generator_hooks_around_it() -> None:
    """Its own serve the next run, and those around it may know an event loop with all its tasks."""

    class Around:
        def begins(self, generator: AsyncGenerator[Any, Any]) -> None:
            """Is told of a generator."""

    async def nothing() -> None:
        """Has no generators."""

    around, before = Around(), sys.get_asyncgen_hooks()
    known = weakref.ref(around)
    sys.set_asyncgen_hooks(firstiter=around.begins)
    try:
        RunLoop(make("fifo"), seed=1).run(nothing).unwrap()
        assert sys.get_asyncgen_hooks().firstiter == around.begins
    finally:
        sys.set_asyncgen_hooks(*before)
    del around
    assert known() is None
