"""Derivatives through what asyncio has: streams, queues, gather, wait_for, time-outs, timers, threads.

Random small programs are compared with central differences between runs of the same seed that took the very same steps,
and with the same gradient forwards; three programs with closed forms.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import detrun
from detrun.world import Exponential
from detrun_recorder.recording import Recording

KINDS = (
    *("sleep", "call_later", "call_at", "gather", "in time", "too late", "timeout", "put", "get", "ask", "thread"),
    *("lock", "shield", "first", "group", "event"),
)
PARAMS = {"a": 0.7, "b": 1.3}


async def sent(writer: asyncio.StreamWriter, value: Any) -> None:
    data = detrun.pack(value)
    writer.write(len(data).to_bytes(4) + data)
    await writer.drain()


async def received(reader: asyncio.StreamReader) -> Any:
    return detrun.unpack(await reader.readexactly(int.from_bytes(await reader.readexactly(4))))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Works for a tenth of the number that it is sent, and answers its square."""
    try:
        while True:
            number = (await received(reader))["number"]
            await asyncio.sleep(number * 0.1)
            await sent(writer, [number * number, 1])
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve() -> None:
    async with await asyncio.start_server(answer, "0.0.0.0", 7) as server:
        await server.serve_forever()


def program(tasks: list[list[tuple[str, int]]]) -> Any:
    """Tasks over a cell, a queue, a lock, and a connection each to a server of packed numbers."""

    async def main(params: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        a, b = params["a"], params["b"]
        cell, lock = detrun.Atomic(a), asyncio.Lock()
        queue: asyncio.Queue[Any] = asyncio.Queue()
        queue.put_nowait([b, 0.0])

        async def later(number: Any, factor: float) -> Any:
            await asyncio.sleep(number * factor)
            return number * factor + loop.time() * 0.1

        def in_thread(number: Any) -> Any:
            time.sleep(b * 0.01)
            return cell.fetch_add(number * 0.1) * 0.1

        async def work(steps: list[tuple[str, int]]) -> Any:
            local = b
            reader, writer = await asyncio.open_connection("server", 7)
            for kind, index in steps:
                await asyncio.sleep(0)
                match kind:
                    case "sleep":
                        await asyncio.sleep(a * (index + 1) * 0.1)
                        local = local + loop.time() * 0.1
                    case "call_later" | "call_at":
                        woken = loop.create_future()
                        if kind == "call_at":
                            loop.call_at(loop.time() + b * 0.1, woken.set_result, local)
                        else:
                            loop.call_later(a * 0.1, woken.set_result, local * 0.5)
                        local = await woken + loop.time() * 0.01
                    case "gather":
                        local = 0.2 * detrun.sum(await asyncio.gather(later(local, 0.1), later(a, 0.2), later(b, 0.3)))
                    case "in time":
                        local = local * 0.5 + await asyncio.wait_for(later(a, 0.1), b * 100)
                    case "too late":
                        try:
                            await asyncio.wait_for(asyncio.Event().wait(), b * 0.1 * (index + 1))
                        except TimeoutError:
                            local = local - loop.time() * 0.01
                    case "timeout":
                        try:
                            async with asyncio.timeout(a * 0.1) as scope:
                                scope.reschedule(loop.time() + b * 0.01 * (index + 1))
                                await loop.create_future()
                        except TimeoutError:
                            local = local * 0.9 + loop.time() * 0.01
                    case "put":
                        await queue.put([local * 2.0, loop.time()])
                    case "get":
                        if not queue.empty():
                            local = local + 0.1 * (await queue.get())[0]
                    case "ask":
                        await sent(writer, {"number": local * 0.1 + a})
                        local = (await received(reader))[0] + loop.time() * 0.01
                    case "thread":
                        local = local + await asyncio.to_thread(in_thread, local)
                    case "lock":
                        async with lock:
                            seen = cell.load()
                            await asyncio.sleep(a * 0.01)
                            cell.store(seen * 0.5 + local)
                    case "shield":
                        local = local * 0.5 + await asyncio.shield(later(b, 0.05))
                    case "first":
                        waiting = [loop.create_task(later(one, 0.1)) for one in (a, b * (index + 2))]
                        done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                        for one in rest:
                            one.cancel()
                        local = local * 0.5 + min(done, key=waiting.index).result()
                    case "group":
                        async with asyncio.TaskGroup() as group:
                            both = group.create_task(later(local, 0.01)), group.create_task(later(a, 0.02))
                        local = both[0].result() * 0.5 + both[1].result()
                    case "event":
                        event = asyncio.Event()
                        loop.call_later(b * 0.02 * (index + 1), event.set)
                        await event.wait()
                        local = local + loop.time() * 0.02
            writer.close()
            return local

        async with detrun.World(latency=Exponential(a * 0.05), loss=0.05) as world:
            world.node("server").start(serve)
            await asyncio.sleep(0.01)
            ends = await asyncio.gather(*(work(steps) for steps in tasks))
        left = [queue.get_nowait() for _ in range(queue.qsize())]
        return detrun.sum(ends) + cell.load() + loop.time() + detrun.sum([0.0, *(one[0] + one[1] for one in left)])

    return main


def bodies() -> Any:
    operation = st.tuples(st.sampled_from(KINDS), st.integers(0, 3))
    return st.lists(st.lists(operation, min_size=1, max_size=6), min_size=1, max_size=3)


def steps_of(recording: Recording) -> list[tuple[bytes, bytes, bytes]]:
    """The steps of a run, without their times."""
    return [(chunk.choices, chunk.outcomes, chunk.events) for chunk in recording.chunks()]


@settings(max_examples=20)
@given(bodies(), st.integers(0, 2**32))
def test_random_programs_agree_with_differences_of_frozen_schedules(
    tasks: list[list[tuple[str, int]]], seed: int
) -> None:
    main = program(tasks)
    found = detrun.gradient(main, PARAMS, seed=seed)
    again = detrun.gradient(main, PARAMS, recording=found.recording)
    assert (again.grads, again.digest) == (found.grads, found.digest)
    forward = detrun.gradient(main, PARAMS, seed=seed, mode="forward")
    assert forward.grads == pytest.approx(found.grads, rel=1e-9, abs=1e-9)
    step = 1e-6
    for name, at in PARAMS.items():
        assume(found.validity[name].radius > 2 * step)
        up = detrun.record(main, {**PARAMS, name: at + step}, seed=seed)
        down = detrun.record(main, {**PARAMS, name: at - step}, seed=seed)
        assert steps_of(up.recording) == steps_of(down.recording) == steps_of(found.recording)
        difference = (float(up.result) - float(down.result)) / (2 * step)
        # Truncation is of order step² and rounding of order 1e-16 / step, relative to losses below about 1e3.
        assert found.grads[name] == pytest.approx(difference, rel=1e-6, abs=1e-6)


def test_a_question_and_its_answer_take_two_latencies_and_the_work() -> None:
    """A connection opens in one round trip, so the whole takes 4 latencies and a tenth of the number."""

    async def main(params: dict[str, Any]) -> Any:
        async with detrun.World(latency=params["latency"]) as world:
            world.node("server").start(serve)
            await asyncio.sleep(1)
            reader, writer = await asyncio.open_connection("server", 7)
            await sent(writer, {"number": params["number"]})
            square, _ = await received(reader)
            ended = asyncio.get_running_loop().time()
            writer.close()
        return square + 100 * ended

    found = detrun.gradient(main, {"latency": 0.01, "number": 3.0})
    assert found.value == pytest.approx(9 + 100 * (1 + 4 * 0.01 + 0.3))
    assert found.grads == pytest.approx({"latency": 400.0, "number": 6.0 + 10.0})


def test_an_item_waits_in_a_queue_for_the_later_of_its_producer_and_its_consumer() -> None:
    async def main(params: dict[str, Any]) -> Any:
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def produce() -> None:
            await asyncio.sleep(params["work"])
            await queue.put(params["work"] ** 2)

        async def consume() -> Any:
            await asyncio.sleep(params["rest"])
            got = await asyncio.wait_for(queue.get(), params["patience"])
            return got * asyncio.get_running_loop().time()

        return (await asyncio.gather(produce(), consume()))[1]

    late = detrun.gradient(main, {"work": 3.0, "rest": 1.0, "patience": 5.0})
    assert late.value == 27.0
    assert late.grads == pytest.approx({"work": 27.0, "rest": 0.0, "patience": 0.0})
    early = detrun.gradient(main, {"work": 3.0, "rest": 4.0, "patience": 5.0})
    assert early.value == 36.0
    assert early.grads == pytest.approx({"work": 24.0, "rest": 9.0, "patience": 0.0})


def test_timers_and_deadlines_pass_derivatives_to_what_they_call() -> None:
    async def main(params: dict[str, Any]) -> Any:
        loop, times = asyncio.get_running_loop(), []
        loop.call_later(params["delay"], lambda: times.append(loop.time() ** 2))
        loop.call_at(params["when"], lambda: times.append(loop.time() * params["delay"]))
        try:
            async with asyncio.timeout_at(params["when"] * 2):
                await loop.create_future()
        except TimeoutError:
            times.append(loop.time())
        return detrun.sum(times)

    found = detrun.gradient(main, {"delay": 2.0, "when": 3.0})
    assert found.value == 4.0 + 6.0 + 6.0
    assert found.grads == pytest.approx({"delay": 4.0 + 3.0, "when": 2.0 + 2.0})
