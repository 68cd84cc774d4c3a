"""What a sender knows of its acknowledgements: when its buffer has room again, and which of them wakes a writer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

import detrun
from detrun.world.network.tcp import Connection

BUFFER_BYTES = 262_144


async def swallow(stream: trio.SocketStream) -> None:
    async for _ in stream:
        pass


async def connected(world: detrun.World) -> trio.SocketStream:
    world.node("server").start(trio.serve_tcp, swallow, 80)
    await trio.sleep(1)
    return await trio.open_tcp_stream("server", 80)


def test_long_after_all_was_acknowledged_the_buffer_takes_as_much_as_when_it_was_new() -> None:
    async def main() -> list[int]:
        async with detrun.World(latency=0.01) as world:
            stream = await connected(world)
            taken = []
            for _ in range(3):
                taken.append(await stream.socket.send(b"x" * 40_000))
                await trio.sleep(10)
            taken.append(await stream.socket.send(b"x" * 250_000))
            taken.append(await stream.socket.send(b"x" * 250_000))  # only what is left of the buffer
            return taken

    assert detrun.record(main).result == [40_000, 40_000, 40_000, 250_000, BUFFER_BYTES - 250_000]


@pytest.mark.parametrize(("seed", "seconds"), list(enumerate([0.763, 0.984, 0.768, 0.548, 0.668, 0.798])))
def test_an_acknowledgement_that_overtakes_others_wakes_the_writer(seed: int, seconds: float) -> None:
    """Latencies vary, so that some overtake. A writer that waits for the rest takes up to a third longer.

    The times are those of 2026-11-28: no other implementation draws these latencies, so there is no other oracle.
    """

    async def main() -> float:
        async with detrun.World(latency=detrun.world.Exponential(0.05)) as world:
            stream = await connected(world)
            began = trio.current_time()
            await stream.send_all(b"x" * 600_000)
            return trio.current_time() - began

    assert round(detrun.record(main, seed=seed).result, 3) == seconds


def test_word_of_room_that_cannot_get_through_is_given_again_later_and_later_and_then_never() -> None:
    told: list[Any] = []
    end: Any = SimpleNamespace(
        peer=SimpleNamespace(gone=False),
        gone=False,
        link=SimpleNamespace(is_open=lambda: False),
        clock=SimpleNamespace(now=10.0),
        retransmission_seconds=0.25,
        timers=SimpleNamespace(add=lambda due, key: told.append((due, key.attempt))),
    )
    for attempt in (0, 3, 14, 15):
        Connection.advertise(end, attempt)
    assert told == [(10.25, 1), (12.0, 4), (130.0, 15)]
