"""Calls of an event loop by a thread that does not run it are findings; the stock loop's debug mode is the measure."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun_scheduler.asyncio_host.foreign_calls import ForeignThreadWarning

Call = Callable[[Any, Any], object]  # of a loop and a future of it that a task awaits


async def nothing() -> None:
    pass


WRONG: dict[str, Call] = {
    "call_soon": lambda loop, _: loop.call_soon(int),
    "call_later": lambda loop, _: loop.call_later(0, int),
    "call_at": lambda loop, _: loop.call_at(0, int),
    "set_result": lambda _, future: future.set_result(None),
    "set_exception": lambda _, future: future.set_exception(OSError()),
    "cancel": lambda _, future: future.cancel(),
}
RIGHT: dict[str, Call] = {
    "call_soon_threadsafe": lambda loop, _: loop.call_soon_threadsafe(int),
    "run_coroutine_threadsafe": lambda loop, _: asyncio.run_coroutine_threadsafe(nothing(), loop).result(),
    "run_in_executor": lambda loop, _: loop.run_in_executor(None, int),
    "future of no task": lambda loop, _: loop.create_future().set_result(None),
}


async def calls(call: Call, raised: list[BaseException]) -> None:
    """Have a thread make the call, and then wake the main task as a thread should."""
    loop = asyncio.get_running_loop()
    future, over = loop.create_future(), loop.create_future()

    def thread() -> None:
        try:
            call(loop, future)
        except RuntimeError as error:
            raised.append(error)
        loop.call_soon_threadsafe(over.set_result, None)

    started = threading.Thread(target=thread)
    loop.call_soon(started.start)  # once the main task waits
    await asyncio.wait([future, over], return_when=asyncio.FIRST_COMPLETED)
    await over
    if future.done() and not future.cancelled():
        future.exception()
    started.join()


def in_debug_mode(call: Call) -> list[BaseException]:
    raised: list[BaseException] = []
    with asyncio.Runner(debug=True) as runner:
        runner.run(calls(call, raised))
    return raised


@pytest.mark.parametrize("name", [*WRONG, *RIGHT])
def test_what_stock_debug_mode_refuses_is_a_finding_and_nothing_else(name: str) -> None:
    call = (WRONG | RIGHT)[name]
    assert bool(in_debug_mode(call)) == (name in WRONG)
    program = partial(calls, call, [])
    assert detrun.record(program).exception is None
    if name in RIGHT:
        detrun.record(program, thread_errors=True)
        return
    with pytest.raises(ForeignThreadWarning, match=r"at test_foreign_calls.py:\d+ in main/event loop/thread") as caught:
        detrun.record(program, thread_errors=True)
    assert "for an event loop that thread main runs" in str(caught.value)
    assert caught.value.__notes__[0].startswith("came out of a call in main/event loop/thread, where")


@pytest.mark.parametrize("name", [*WRONG, *RIGHT])
def test_debug_mode_in_a_run_raises_what_stock_debug_mode_raises(name: str) -> None:
    call = (WRONG | RIGHT)[name]
    stock = in_debug_mode(call)
    found = detrun.record(partial(in_debug_mode, call), thread_errors=True).result
    assert [str(error) for error in found] == [str(error) for error in stock]


def test_a_hidden_hang_is_a_failure_that_explore_finds_and_its_recording_repeats() -> None:
    async def waits_for_a_thread() -> None:
        event = asyncio.Event()
        threading.Thread(target=lambda: event.set()).start()
        await event.wait()

    failure = detrun.explore(waits_for_a_thread, schedules=20, directory=None, confirm=False).failure
    assert failure is not None
    line = waits_for_a_thread.__code__.co_firstlineno + 2
    assert f"a step of 'waits_for_a_thread' queued at test_foreign_calls.py:{line} in" in str(failure.exception)
    assert failure.signature == f"ForeignThreadWarning at test_foreign_calls.py:{line}"
    with pytest.raises(ForeignThreadWarning):
        detrun.replay(waits_for_a_thread, recording=failure.recording)


def test_a_task_that_a_thread_makes_is_a_finding() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await (await asyncio.to_thread(lambda: loop.create_task(nothing())))

    with pytest.raises(ForeignThreadWarning, match=r"a step of 'nothing' queued at test_foreign_calls\.py"):
        detrun.record(main, thread_errors=True)


def test_each_place_is_told_once() -> None:
    async def floods() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: [loop.call_soon(int) for _ in range(100)])

    with pytest.raises(ForeignThreadWarning) as caught:
        detrun.record(floods, thread_errors=True)
    assert len(caught.value.__notes__) == 1


def test_a_loop_may_be_filled_by_any_thread_before_it_runs_and_by_its_own_while_it_does() -> None:
    def program() -> list[int]:
        found: list[int] = []
        loop = asyncio.new_event_loop()
        before = threading.Thread(target=loop.call_soon, args=(found.append, 1))
        before.start()
        before.join()

        async def main() -> None:
            asyncio.get_running_loop().call_soon(found.append, 2)
            await asyncio.sleep(1)

        loop.run_until_complete(main())
        runs = threading.Thread(target=loop.run_until_complete, args=(main(),))
        runs.start()
        runs.join()
        loop.close()
        return found

    assert detrun.record(program, thread_errors=True).result == [1, 2, 2]


def test_a_step_of_another_threads_loop_and_stop_are_calls_of_a_thread_too() -> None:
    def program(call: Call) -> None:
        began: list[Any] = []
        ready = threading.Event()

        async def serves() -> None:
            loop = asyncio.get_running_loop()
            began.extend((loop, loop.create_future()))
            ready.set()
            await began[1]

        def runs() -> None:
            loop = asyncio.new_event_loop()
            task = loop.create_task(serves())
            loop.run_forever()
            task.cancel()
            loop.close()

        async def asks() -> None:
            ready.wait()
            call(*began)
            await asyncio.sleep(1)
            if not began[0].is_closed():
                began[0].call_soon_threadsafe(began[0].stop)

        threading.Thread(target=runs).start()
        asyncio.run(asks())

    for call, told in (
        (WRONG["set_result"], "a step of 'serves' queued"),
        (lambda loop, _: loop.stop(), "loop.stop()"),
    ):
        with pytest.raises(ForeignThreadWarning) as caught:
            detrun.record(partial(program, call), thread_errors=True)
        assert str(caught.value).startswith(told)
        assert "for an event loop that thread main/runs runs" in str(caught.value)
    detrun.record(partial(program, RIGHT["call_soon_threadsafe"]), thread_errors=True)


def test_messages_between_nodes_with_loops_of_their_own_are_no_finding() -> None:
    async def receives(world: detrun.World, found: list[Any]) -> None:
        found.append(await world.node("b").receive())

    async def sends(world: detrun.World) -> None:
        await asyncio.sleep(1)
        world.node("a").send("b", "x")

    async def system() -> list[Any]:
        found: list[Any] = []
        async with detrun.World() as world:
            world.node("b").start(receives, world, found)
            world.node("a").start(sends, world)
            await world.node("b").ended()
        return found

    assert detrun.record(system, thread_errors=True).result == ["x"]


def test_a_recording_by_older_rules_is_replayed_without_the_look() -> None:
    program = partial(calls, WRONG["set_result"], [])
    options = Options(thread_rules=8, backend="asyncio", thread_errors=True)
    old = NewRun(seed=1, strategy="random").execute(program, (), options)
    old.outcome.unwrap()
    assert detrun.replay(program, recording=old.recording).digest == old.digest
