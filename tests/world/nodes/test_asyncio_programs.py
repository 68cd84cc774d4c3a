"""Nodes whose programs are asyncio's: unmodified servers and clients over streams, and the faults that strike them."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun

PORT = 7


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give back line after line."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def serve() -> None:
    """An unmodified echo server."""
    server = await asyncio.start_server(answer, "0.0.0.0", PORT)
    async with server:
        await server.serve_forever()


async def ask(got: list[Any], lines: int = 4) -> None:
    """A client that notes what came back, when, or how it failed."""
    loop = asyncio.get_running_loop()
    try:
        reader, writer = await asyncio.open_connection("server", PORT)
        for line in range(lines):
            writer.write(b"%d\n" % line)
            got.append((await reader.readline(), round(loop.time(), 2)))
            await asyncio.sleep(1)
        writer.close()
        await writer.wait_closed()
    except OSError as error:
        got.append((type(error).__name__, round(loop.time(), 2)))


def blocking_serve() -> None:
    """An ordinary function, as a script has it."""
    asyncio.run(serve())


async def with_fault(server: Callable[..., Any], strike: Callable[[detrun.World], Any]) -> list[Any]:
    """Echo server and client, and what happens to them half a second after the first answer."""
    got: list[Any] = []
    async with detrun.World(latency=0.01) as world:
        world.node("server").start(server)
        await trio.sleep(0.1)
        world.node("client").start(ask, got)
        await trio.sleep(0.5)
        await strike(world)
        await world.node("client").ended()
    return got


async def nothing(world: detrun.World) -> None:
    """No fault."""


async def partition(world: detrun.World) -> None:
    world.partition("server", "client")
    await trio.sleep(2)
    world.heal()


async def pause(world: detrun.World) -> None:
    world.node("server").pause()
    await trio.sleep(2)
    world.node("server").resume()


async def crash(world: detrun.World) -> None:
    world.node("server").crash()


async def restart(world: detrun.World) -> None:
    world.node("server").restart()
    await world.node("client").ended()
    world.node("client").restart()


async def stop(world: detrun.World) -> None:
    await world.node("server").stop()


UNTROUBLED = [(b"0\n", 0.14), (b"1\n", 1.16), (b"2\n", 2.18), (b"3\n", 3.2)]
CUT_OFF = [UNTROUBLED[0], (b"", 1.14), (b"", 2.14), ("BrokenPipeError", 3.14)]


@pytest.mark.parametrize("server", [serve, blocking_serve])
def test_an_echo_server_and_its_client_run_unmodified_and_are_replayed(server: Any) -> None:
    for order in ("any", "fifo"):
        run = detrun.record(with_fault, server, nothing, asyncio_order=order)
        assert run.result == UNTROUBLED
        assert detrun.replay(with_fault, server, nothing, recording=run.recording).digest == run.digest


@pytest.mark.parametrize(
    ("strike", "expected"),
    [
        (partition, [UNTROUBLED[0], (b"1\n", 4.16), (b"2\n", 5.18), (b"3\n", 6.2)]),
        (pause, [UNTROUBLED[0], (b"1\n", 2.61), (b"2\n", 3.63), (b"3\n", 4.65)]),
        (crash, CUT_OFF),
        (stop, CUT_OFF if sys.version_info < (3, 12) else UNTROUBLED),  # where servers wait for their connections
        (restart, CUT_OFF),
    ],
)
def test_faults_strike_asyncio_as_they_strike_trio(strike: Any, expected: list[Any]) -> None:
    run = detrun.record(with_fault, serve, strike)
    assert run.result[: len(expected)] == expected
    if strike is restart:
        assert [line for line, _ in run.result[len(expected) :]] == [line for line, _ in UNTROUBLED]
    assert detrun.replay(with_fault, serve, strike, recording=run.recording).digest == run.digest


def test_a_crash_runs_no_code_of_any_task_and_a_stop_lets_them_clean_up() -> None:
    ran: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ran.append("child")

    async def numbers() -> Any:
        try:
            yield 1
        finally:
            ran.append("generator")

    async def program() -> None:
        asyncio.create_task(asyncio.sleep(500)).add_done_callback(lambda _: ran.append("callback"))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                async for _ in numbers():
                    await asyncio.sleep(2000)
        except asyncio.CancelledError:
            ran.append("program")
            raise

    async def main(kill: bool) -> tuple[float, list[str]]:
        ran.clear()
        async with detrun.World() as world:
            node = world.node("a")
            node.start(program)
            await trio.sleep(1)
            if kill:
                node.crash()
            else:
                await node.stop()
            await trio.sleep(1)
        return trio.current_time(), sorted(ran)

    try:
        assert detrun.record(main, False).result == (2, ["callback", "child", "generator", "program"])
        run = detrun.record(main, True)  # nothing that was due in the node is due any more
        assert run.result == (2, [])
        assert detrun.replay(main, True, recording=run.recording).digest == run.digest
    finally:
        gc.collect()
    assert ran == []


def test_a_program_ends_its_node_and_its_exception_comes_out_of_the_world_with_the_nodes_name() -> None:
    async def fails() -> None:
        await asyncio.sleep(3)
        raise ValueError("no")

    async def main() -> None:
        async with detrun.World() as world:
            world.node("a").start(fails)
            await world.node("a").ended()

    with pytest.raises(ValueError, match="no") as caught:
        detrun.record(main)
    assert caught.value.__notes__ == ["in node 'a' (10.0.0.2), virtual time 3 s"]
