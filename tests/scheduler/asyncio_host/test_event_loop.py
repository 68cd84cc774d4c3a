"""Programs of asyncio under record, replay, explore and gradient."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import sys
import threading
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun_scheduler.asyncio_host.readiness import SimulatedSelector
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make
from tests.scheduler.asyncio_host.programs import (
    BROAD,
    broad,
    broad_in_debug_mode,
    three,
)

SEEDS = range(20)


@pytest.mark.parametrize("program", [broad, broad_in_debug_mode])
def test_a_broad_program_does_what_it_does_in_life_and_again(program: Callable[[], Any]) -> None:
    for seed in range(3):
        run = detrun.record(program, seed=seed)
        assert run.result == BROAD
        assert detrun.replay(program, recording=run.recording).digest == run.digest


@pytest.mark.slow
def test_it_is_the_same_in_a_fresh_process_under_another_hash_seed() -> None:
    detrun.check_determinism(broad, fresh_process=True)


@pytest.mark.parametrize("fails", [False, True])
def test_a_finished_run_leaves_no_cyclic_garbage(fails: bool, garbage_of: Any) -> None:
    async def child(lock: asyncio.Lock) -> None:
        async with lock:
            await asyncio.sleep(1)
        if fails:
            raise ValueError

    async def main() -> None:
        lock = asyncio.Lock()
        kept = asyncio.create_task(asyncio.sleep(10))
        async with asyncio.timeout(5):
            await asyncio.gather(child(lock), child(lock), return_exceptions=True)
        assert not kept.done()  # it is cancelled as the loop is closed

    def once() -> None:
        run = RunLoop(make("random"), seed=3)
        run.run(main, in_asyncio=True).unwrap()
        run.thread_failures.clear()  # the errors' tracebacks lead here

    assert garbage_of(once) == 0


def test_a_run_with_streams_and_nodes_leaves_no_cyclic_garbage(garbage_of: Any) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    def server() -> None:
        async def serve() -> None:
            async with await asyncio.start_server(echo, "0.0.0.0", 7) as listening:
                await listening.serve_forever()

        asyncio.run(serve())

    async def client() -> None:
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"x\n")
        assert await reader.readline() == b"x\n"
        writer.close()

    async def main() -> None:
        async with detrun.World() as world:
            world.node("server").start(server)
            await asyncio.sleep(0.1)
            world.node("client").start(client)
            await world.node("client").ended()

    assert garbage_of(lambda: detrun.record(main)) == 0


@pytest.mark.parametrize("kind", [asyncio.Task, vars(asyncio.tasks)["_PyTask"]])
@pytest.mark.parametrize("debug", [False, True])
def test_an_exception_that_nothing_retrieves_is_told_as_soon_as_its_task_is_gone(kind: Any, debug: bool) -> None:
    async def fails() -> None:
        raise ValueError

    async def program() -> list[str]:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))
        kind(fails())
        await asyncio.sleep(0)
        return list(told)

    def main() -> list[str]:
        return asyncio.run(program(), debug=debug)

    assert detrun.record(main, asyncio_order="fifo").result == main() == ["Task exception was never retrieved"]


async def waits_in_a_group() -> None:
    async with asyncio.timeout(1000), asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(1000))
        group.create_task(asyncio.Queue[int]().get())


async def waits_for_a_thread() -> None:
    await asyncio.to_thread(threading.Event().wait)


async def waits_for_a_child() -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=PIPE, stdout=PIPE)
    await child.stdout.read()  # type: ignore[union-attr]


async def waits_for_a_peer() -> None:
    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()

    async with await asyncio.start_server(never_answers, "0.0.0.0", 7):
        reader, _writer = await asyncio.open_connection("a", 7)
        await reader.read()


@pytest.mark.parametrize("program", [waits_in_a_group, waits_for_a_thread, waits_for_a_child, waits_for_a_peer])
def test_a_crashed_node_leaves_no_cyclic_garbage(
    program: Callable[[], Any], garbage_of: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with detrun.World() as world:
            node = world.node("a")
            node.start(program)
            await asyncio.sleep(1)
            node.crash()
            await asyncio.sleep(1)

    assert garbage_of(lambda: detrun.record(main)) == 0
    assert capfd.readouterr().err == ""


def test_a_transport_that_is_left_open_leaves_no_cyclic_garbage(garbage_of: Any) -> None:
    async def main() -> None:
        async with await asyncio.start_server(lambda reader, writer: None, "localhost", 7):
            _, writer = await asyncio.open_connection("localhost", 7)
            writer.transport.pause_reading()  # type: ignore[attr-defined]

    assert garbage_of(lambda: detrun.record(main)) == 0


def test_a_loop_whose_process_ends_before_its_callbacks_step_leaves_no_cyclic_garbage(garbage_of: Any) -> None:
    async def program() -> None:
        asyncio.get_running_loop().call_soon(int)
        await asyncio.sleep(0)

    def called() -> None:
        asyncio.run(program())

    async def main() -> None:
        async with detrun.World() as world:
            world.node("a").start(called)
            await world.node("a").ended()

    assert garbage_of(lambda: [detrun.record(main, seed=seed, backend="trio") for seed in range(20)]) == 0


@pytest.mark.parametrize("order", ["any", "fifo"])
def test_debug_mode_tells_of_steps_and_callbacks_that_block_the_loop_in_virtual_time(
    order: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def program() -> float:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.5
        loop.call_soon(time.sleep, 0.2)
        loop.call_soon(time.sleep, 0.75)
        loop.call_later(2, time.sleep, 1)
        time.sleep(3)
        await asyncio.sleep(5)
        return loop.time()

    def main() -> float:
        return asyncio.run(program(), debug=True)

    assert detrun.record(main, asyncio_order=order).result == 8
    found = [one.getMessage() for one in caplog.records if "Executing" in one.getMessage()]
    assert [one.rpartition(" took ")[2] for one in found] == ["3.000 seconds", "0.750 seconds", "1.000 seconds"]
    assert "Task-1" in found[0]
    assert found[1].startswith("Executing <Handle ")
    assert "created at" in found[1]
    assert found[2].startswith("Executing <TimerHandle when=2.0 ")
    caplog.clear()
    detrun.record(lambda: asyncio.run(program()), asyncio_order=order)
    assert caplog.records == []


def test_a_new_loop_has_what_asyncios_own_has() -> None:
    def main() -> tuple[dict[str, type], dict[str, type]]:
        mine = asyncio.new_event_loop()
        theirs: Any = asyncio.SelectorEventLoop.original(SimulatedSelector(mine))  # type: ignore[attr-defined]
        for name in vars(theirs):
            getattr(mine, name, None)  # made when something asks
        found = [{name: type(value) for name, value in vars(loop).items()} for loop in (mine, theirs)]
        mine.close()
        theirs.close()
        return found[0], found[1]

    mine, theirs = detrun.record(main).result
    assert theirs.keys() - mine.keys() <= {"_csock", "_ssock"}
    different = {name for name in theirs.keys() & mine.keys() if theirs[name] is not mine[name]}
    assert different <= {"_asyncgens", "_selector"}


# Order.


async def gathers() -> list[int]:
    async def one(number: int) -> int:
        await asyncio.sleep(0)
        return number

    return await asyncio.gather(one(1), one(2))


def test_what_gather_does_as_a_task_ends_belongs_to_the_last_step_of_that_task() -> None:
    now = detrun.record(gathers, seed=1)
    before = NewRun(seed=1, strategy="random").execute(gathers, (), Options(thread_rules=5, backend="asyncio"))
    assert now.result == [1, 2]
    assert "event loop" not in str(now.recording.tasks)
    assert "event loop" in str(before.recording.tasks)
    assert before.steps == now.steps + 3  # two callbacks, and the end of their lane
    assert detrun.replay(gathers, recording=before.recording).digest == before.digest
    assert detrun.replay(gathers, recording=now.recording).digest == now.digest


async def queues_a_callback_and_makes_a_task() -> str:
    seen = []

    async def task() -> None:
        seen.append("task")

    asyncio.get_running_loop().call_soon(seen.append, "callback")
    await asyncio.create_task(task())
    return " ".join(seen)


def test_the_first_step_of_a_task_waits_for_callbacks_that_were_queued_before_it() -> None:
    program, found, before = queues_a_callback_and_makes_a_task, set(), set()
    for seed in range(12):
        found.add(detrun.record(program, seed=seed, strategy="random").result)
        old = NewRun(seed=seed, strategy="random").execute(program, (), Options(thread_rules=6, backend="asyncio"))
        before.add(old.outcome.unwrap())
        assert detrun.replay(program, recording=old.recording).digest == old.digest
    assert found == {"callback task"}
    assert before == {"callback task", "task callback"}


KEPT = threading.local()


def loops_in_threads() -> list[tuple[object, ...]]:
    seen: list[tuple[object, ...]] = []

    def work(number: int) -> None:
        me, KEPT.number = threading.current_thread(), number

        async def run() -> None:
            loop = asyncio.get_running_loop()
            is_me = [threading.current_thread() is me, threading.get_ident() == me.ident]
            loop.call_soon(lambda: is_me.append(threading.current_thread() is me))
            await asyncio.sleep(0.01)
            with pytest.raises(RuntimeError, match="cannot join current thread"):
                me.join()
            elsewhere = await asyncio.to_thread(lambda: hasattr(KEPT, "number"))
            seen.append((number, KEPT.number, elsewhere, *is_me))
            KEPT.number += 10

        asyncio.run(run())
        seen.append((number, KEPT.number))

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [*sorted(seen, key=repr), (hasattr(KEPT, "number"),)]


def test_steps_and_callbacks_of_a_loop_are_of_the_thread_that_runs_it() -> None:
    in_life = loops_in_threads()
    assert in_life == [
        (1, 1, False, True, True, True),
        (1, 11),
        (2, 12),
        (2, 2, False, True, True, True),
        (False,),
    ]
    for seed in range(4):
        assert detrun.record(loops_in_threads, seed=seed).result == in_life


def test_each_node_of_asyncio_has_a_main_thread_and_thread_local_data_of_its_own() -> None:
    async def program(number: int, seen: list[object]) -> None:
        KEPT.number = number
        await asyncio.sleep(1)
        is_main = threading.current_thread() is threading.main_thread()
        seen.append((KEPT.number, is_main, threading.current_thread().name))

    async def main() -> list[object]:
        seen: list[object] = []
        async with detrun.World() as world:
            for number in (1, 2):
                world.node(f"node{number}").start(program, number, seen)
            for number in (1, 2):
                await world.node(f"node{number}").ended()
        return sorted(seen, key=repr)

    assert detrun.record(main).result == [(1, True, "MainThread"), (2, True, "MainThread")]


@pytest.mark.parametrize("program", [gathers, queues_a_callback_and_makes_a_task])
@pytest.mark.parametrize("order", ["any", "fifo"])
def test_the_steps_of_a_task_that_is_made_behind_others_can_be_read(order: str, program: Any) -> None:
    for seed in range(6):
        run = detrun.record(program, seed=seed, asyncio_order=order)
        assert len(list(run.recording.iter_steps())) == run.steps
        assert detrun.replay(program, recording=run.recording).digest == run.digest
        old = NewRun(seed=seed, strategy="random").execute(
            program, (), Options(thread_rules=7, backend="asyncio", asyncio_order=order)
        )
        assert detrun.replay(program, recording=old.recording).digest == old.digest


@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited:RuntimeWarning")
@pytest.mark.parametrize("order", ["any", "fifo"])
def test_a_step_that_cannot_begin_is_told_as_asyncio_tells_it(order: str) -> None:
    def main() -> list[str]:
        loop, context = asyncio.new_event_loop(), contextvars.copy_context()
        told, kept = [], []
        loop.call_exception_handler = lambda said: told.append(f"{said['message']}: {said.get('exception')}")

        async def begin() -> None:
            kept.append(loop.create_task(asyncio.sleep(0), context=context))
            await asyncio.sleep(0.1)

        context.run(loop.run_until_complete, begin())
        loop.close()
        return told

    told = detrun.record(main, asyncio_order=order).result
    assert told[0].startswith("Exception in callback <")
    assert "cannot enter context" in told[0]


@pytest.mark.parametrize("order", ["any", "fifo"])
def test_a_future_that_ends_within_a_step_is_not_yet_counted_by_gather(order: str) -> None:
    """As in life: what is called when a future ends runs after the step that ends it."""

    async def main() -> list[bool]:
        future = asyncio.get_running_loop().create_future()
        both = asyncio.gather(future)
        found = []

        async def ends() -> None:
            future.set_result(3)
            found.append(both.done())

        await asyncio.create_task(ends())
        assert await both == [3]
        return found

    for seed in range(5):
        assert detrun.record(main, seed=seed, asyncio_order=order).result == [False]


def test_gather_tells_of_the_first_task_that_fails_whichever_ends_first() -> None:
    async def fails(number: int) -> None:
        await asyncio.sleep(0)
        raise ValueError(number)

    async def main() -> int:
        try:
            await asyncio.gather(fails(1), fails(2))
        except ValueError as error:
            return int(error.args[0])
        return 0

    assert {detrun.record(main, seed=seed).result for seed in range(20)} == {1, 2}


@pytest.mark.parametrize("kind", [asyncio.Task, vars(asyncio.tasks)["_PyTask"]])
@pytest.mark.parametrize("returned", [False, True])
def test_gather_has_retrieved_the_exceptions_that_it_knows_when_it_ends(kind: Any, returned: bool) -> None:
    """Of the task that ends last it is asked before asyncio notes that its exception was not retrieved."""

    async def fails(number: int) -> None:
        await asyncio.sleep(number)
        raise ValueError(number)

    async def program(rest: float) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro, **options: kind(coro, loop=loop, **options))
        both = asyncio.gather(fails(1), fails(2), asyncio.sleep(rest), return_exceptions=returned)
        with suppress(ValueError, TimeoutError):
            await asyncio.wait_for(asyncio.shield(both), 3)
        await asyncio.sleep(1)

    def main(rest: float) -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(program(rest))
        loop.close()

    for rest, seed in itertools.product((0, 1.5), range(3)):
        detrun.record(main, rest, seed=seed, thread_errors=True)
    if returned:  # it waits for the third, and has asked of none
        with pytest.raises(ValueError, match="1"):
            detrun.record(main, 100, thread_errors=True)


@pytest.mark.parametrize("order", ["any", "fifo"])
def test_gather_is_told_of_a_task_that_leaves_the_loop_when_the_loop_runs_again(order: str) -> None:
    """By then ``asyncio.run`` has cancelled what waits for it, and the others that were gathered."""

    def main() -> list[str]:
        seen = []

        async def leaves() -> None:
            raise SystemExit

        async def program() -> None:
            try:
                await asyncio.gather(leaves(), asyncio.sleep(1))
            except BaseException as error:
                seen.append(type(error).__name__)
                raise

        with pytest.raises(SystemExit):
            asyncio.run(program())
        return seen

    assert detrun.record(main, asyncio_order=order).result == main() == ["SystemExit"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in Python 3.13")
@pytest.mark.parametrize("closing", ["close_clients", "abort_clients"])
def test_a_server_closes_its_clients_in_the_order_in_which_they_came(closing: str) -> None:
    """asyncio keeps them in a set, by address."""

    async def main() -> list[int]:
        lost = []

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                self.port = transport.get_extra_info("peername")[1]

            def connection_lost(self, error: object) -> None:
                lost.append(self.port)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Protocol, "127.0.0.1", 0)
        for _ in range(12):
            await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
            await asyncio.sleep(0.1)
        getattr(server, closing)()
        await asyncio.sleep(0.1)
        server.close()
        return lost

    found = detrun.record(main, asyncio_order="fifo").result
    assert found == sorted(found)
    assert len(found) == 12


def test_any_task_may_be_late() -> None:
    found = {detrun.record(three, seed=seed).result for seed in range(60)}
    assert found == set(permutations(range(3)))  # one is missed in 60 seeds once in 10,000 sets of seeds, and not here


@pytest.mark.parametrize("kind", [asyncio.Lock, asyncio.Semaphore])
def test_locks_are_fair_whatever_the_order_of_the_tasks(kind: Callable[[], Any]) -> None:
    """As asyncio documents: the first that started to wait goes on first, whichever task that was."""

    async def main() -> list[int]:
        lock, waiting, got = kind(), [], []

        async def take(number: int) -> None:
            waiting.append(number)
            async with lock:
                got.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(take(number) for number in range(4)))
        assert got == waiting
        return got

    assert len({tuple(detrun.record(main, seed=seed).result) for seed in range(SEEDS.stop)}) > 1


def test_in_fifo_order_there_is_nothing_to_choose() -> None:
    runs = [detrun.record(three, seed=seed, asyncio_order="fifo") for seed in range(5)]
    assert {run.result for run in runs} == {(0, 1, 2)}
    assert len({run.steps for run in runs}) == 1
    assert detrun.replay(three, recording=runs[1].recording).digest == runs[1].digest


def queueing(script: list[list[str]]) -> Callable[[], Awaitable[list[str]]]:
    """A program whose tasks do as the script says, and which returns what ran in which order."""

    async def main() -> list[str]:
        loop, log = asyncio.get_running_loop(), []
        event, queue = asyncio.Event(), asyncio.Queue[str](1)
        tasks: list[asyncio.Task[None]] = []
        queued = iter(range(1000))

        async def task(number: int, actions: list[str]) -> None:
            try:
                for position, action in enumerate(actions):
                    log.append(f"task {number} at {position}")
                    match action:
                        case "step":
                            await asyncio.sleep(0)
                        case "callback":
                            loop.call_soon(log.append, f"callback {next(queued)}")
                        case "timer":
                            loop.call_later(0, log.append, f"timer of {number} at {position}")
                        case "later":
                            await asyncio.sleep(0.5 + number)
                        case "set":
                            event.set()
                        case "wait":
                            await event.wait()
                        case "put":
                            await queue.put("")
                        case "get":
                            await queue.get()
                        case "cancel":
                            tasks[(number + 1) % len(tasks)].cancel()
            finally:
                log.append(f"task {number} ends")

        tasks += [asyncio.create_task(task(number, actions)) for number, actions in enumerate(script)]
        done, pending = await asyncio.wait(tasks, timeout=100)
        for one in pending:
            one.cancel()
        log.append(f"{len(done)} ended at {loop.time() - began:.1f}")
        return list(log)

    async def timed() -> list[str]:
        nonlocal began
        began = asyncio.get_running_loop().time()
        return await main()

    began = 0.0
    return timed


SCRIPTS = st.lists(
    st.lists(
        st.sampled_from(["step", "callback", "timer", "set", "wait", "put", "get", "cancel", "later"]), max_size=5
    ),
    min_size=1,
    max_size=4,
)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on a clock that jumps: the oracle for ``asyncio_order="fifo"``."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]  # private
            self.now = max(self.now, self._scheduled[0]._when)  # type: ignore[attr-defined]  # private
        super()._run_once()  # type: ignore[misc]  # private


@given(SCRIPTS)
@settings(max_examples=40)
def test_fifo_is_the_order_of_asyncios_own_loop(script: list[list[str]]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        in_life = runner.run(queueing(script)())  # type: ignore[arg-type]  # a coroutine
    assert detrun.record(queueing(script), asyncio_order="fifo").result == in_life


@given(SCRIPTS, st.integers(0, 2**32))
@settings(max_examples=40)
def test_callbacks_keep_their_order_whatever_tasks_do(script: list[list[str]], seed: int) -> None:
    log = detrun.record(queueing(script), seed=seed).result
    callbacks = [int(entry.removeprefix("callback ")) for entry in log if entry.startswith("callback")]
    assert callbacks == sorted(callbacks)


def test_a_step_does_not_overtake_a_callback_that_was_queued_before_it() -> None:
    async def main() -> list[str]:
        loop, log = asyncio.get_running_loop(), []
        woken = loop.create_future()

        async def wait() -> None:
            await woken
            log.append("step")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.1)
        loop.call_soon(log.append, "callback")
        woken.set_result(None)
        await task
        return log

    assert {tuple(detrun.record(main, seed=seed).result) for seed in SEEDS} == {("callback", "step")}


# Time and derivatives.


def test_times_and_deadlines_carry_derivatives() -> None:
    async def main(params: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()

        async def sleep() -> Any:
            await asyncio.sleep(params["sleep"])
            return loop.time() * 2

        async def wait() -> Any:
            try:
                await asyncio.wait_for(asyncio.Event().wait(), params["wait"])
            except TimeoutError:
                return loop.time() ** 2

        async def time_out() -> Any:
            try:
                async with asyncio.timeout(params["deadline"]):
                    await asyncio.sleep(100)
            except TimeoutError:
                return 3 * loop.time()

        first = sum(await asyncio.gather(sleep(), wait(), time_out()))
        await detrun.sleep(params["sleep"])
        return first + await asyncio.wait_for(sleep(), 50)

    found = detrun.gradient(main, {"sleep": 1.0, "wait": 2.0, "deadline": 4.0})
    assert found.value == 2 + 4 + 12 + 12
    assert found.grads == pytest.approx({"sleep": 2 + 4, "wait": 4.0, "deadline": 3 + 2})


def test_a_task_that_blocks_the_event_loop_stops_its_own_loop_only() -> None:
    async def main() -> tuple[float, bool, list[float]]:
        loop, found = asyncio.get_running_loop(), []

        async def other() -> None:
            await asyncio.sleep(1)
            found.append(time.monotonic())

        thread = threading.Thread(target=lambda: asyncio.run(other()))
        late = asyncio.create_task(asyncio.sleep(0.5))
        began = time.monotonic()
        thread.start()
        thread.join()
        return loop.time(), late.done(), [when - began for when in found]

    for seed in range(3):
        assert detrun.record(main, seed=seed).result == (1.0, False, [1.0])


def test_several_loops_in_several_threads() -> None:
    def main() -> list[int]:
        found: list[int] = []

        def run(number: int) -> None:
            async def sleep() -> None:
                await asyncio.sleep(number)
                found.append(number)

            asyncio.run(sleep())

        threads = [threading.Thread(target=run, args=(number,)) for number in (3, 1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    run = detrun.record(main, seed=1)
    assert run.result == [1, 2, 3]
    assert detrun.replay(main, recording=run.recording).digest == run.digest
