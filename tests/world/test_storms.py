"""Storms: everything that can happen to four nodes happens at random while all of them talk to all of them over TCP.

Whatever the storm does, no reply is wrong, only missing; the run is its own replay; when all is mended, everybody
reaches everybody again; and when all is quiet, no connection, socket or message is left over.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import pytest
import trio

import detrun
from detrun.world import Exponential, heal_everything

NAMES = "abcd"
SIZES = (5, 3_000, 200_000)  # the last fills the buffers of both ends
Seen = dict[str, int]


def content(label: str, size: int) -> bytes:
    """Bytes that no other label has, so that a stream that loses or swaps a piece is found out."""
    return (hashlib.sha256(label.encode()).digest() * (size // 32 + 1))[:size]


async def answer(stream: trio.SocketStream) -> None:
    """Read lengths and contents, in small pieces at first, and answer each with its digest."""
    buffer = b""
    while True:
        while len(buffer) < 4 or len(buffer) < 4 + int.from_bytes(buffer[:4], "big"):
            part = await stream.receive_some(3 if len(buffer) < 4 else 70_000)
            if not part:
                return
            buffer += part
        size = int.from_bytes(buffer[:4], "big")
        assert size in SIZES, size
        body, buffer = buffer[4 : 4 + size], buffer[4 + size :]
        await stream.send_all(hashlib.sha256(body).digest())


async def serve() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await answer(stream)

    await trio.serve_tcp(handle, 80)


async def ask(seen: Seen) -> None:
    """One connection after the other, to anybody; some of them are given up in the middle of a request."""
    me, requests = detrun.this_node().name, 0
    while True:
        try:
            with trio.fail_after(8):
                async with await trio.open_tcp_stream(NAMES[detrun.choice(4)], 80) as stream:
                    for _ in range(1 + detrun.choice(3)):
                        requests += 1
                        body = content(f"{me} {requests}", SIZES[detrun.choice(3)])
                        message = len(body).to_bytes(4, "big") + body
                        if detrun.bernoulli(0.2):
                            with trio.move_on_after(detrun.exponential(0.02)):
                                await stream.send_all(message)
                            break
                        await stream.send_all(message)
                        reply = b""
                        while len(reply) < 32:
                            part = await stream.receive_some(7)
                            if not part:
                                raise trio.BrokenResourceError("the stream ended in the middle of a reply")
                            reply += part
                        assert reply == hashlib.sha256(body).digest(), "a reply is wrong"
                        seen["replies"] = seen.get("replies", 0) + 1
        except (OSError, trio.BrokenResourceError, trio.TooSlowError):
            seen["failures"] = seen.get("failures", 0) + 1
        await detrun.sleep(detrun.exponential(0.05))


async def strike(world: detrun.World) -> None:
    """Let one thing happen."""
    one, other = (world.node(NAMES[detrun.choice(4)]) for _ in range(2))
    match detrun.choice(11):
        case 0:
            one.crash()
        case 1:
            one.power_loss()
        case 2 | 3:
            one.restart()
        case 4:
            one.pause()
        case 5:
            one.resume()
        case 6 if one is not other:
            world.partition(one, other, one_way=detrun.bernoulli(0.5))
        case 7:
            world.heal()
        case 8:
            world.clog(one, detrun.exponential(0.3), direction=("in", "out", "both")[detrun.choice(3)])
        case 9 if one is not other:
            world.reset_connections(one, other)
        case 10 if one.is_running:
            with trio.move_on_after(0.5):
                await one.stop()


async def storm(seconds: float) -> dict[str, Any]:
    seen: Seen = {}
    async with detrun.World(
        latency=Exponential(0.004), loss=0.02, reset=0.0005, bandwidth=3e6, queue_bytes_max=100_000
    ) as world:
        for name in NAMES:
            world.node(name).start(serve)
            world.node(name).start(ask, seen)
        end = trio.current_time() + seconds
        while trio.current_time() < end:
            await trio.sleep(detrun.exponential(0.15))
            await strike(world)
        heal_everything(world)
        for node in world.nodes:
            if not node.is_running:
                node.restart()
        before = dict(seen)
        await trio.sleep(10)
        after = dict(seen)
        for node in world.nodes:
            node.restart(serve)
        await trio.sleep(2000)  # the last retransmissions of what a power loss left behind
        links = world.network.links.values()
        return {
            "before": before.get("replies", 0),
            "failures": seen.get("failures", 0),
            "mended": after.get("replies", 0) - before.get("replies", 0),
            "connections": [repr(one) for node in world.nodes for one in node.connections],
            "sockets": [len(node.process.sockets) for node in world.nodes if node.process is not None],
            "messages": [packet.describe() for link in links for packet in (*link.in_flight, *link.held)],
            "faults": world.faults.total,
        }


def check(seed: int, seconds: float) -> None:
    recorded = detrun.record(storm, seconds, seed=seed)
    result = recorded.result
    assert result["before"] > 0
    assert result["failures"] > 0
    assert result["faults"] > 30
    assert result["mended"] > 100
    assert result["connections"] == []
    assert result["sockets"] == [1, 1, 1, 1]  # the listeners
    assert result["messages"] == []
    assert detrun.replay(storm, seconds, recording=recorded.recording).digest == recorded.digest


def test_a_storm_passes_and_leaves_nothing_behind() -> None:
    check(1, 6.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 125))
def test_many_storms_pass_and_leave_nothing_behind(seed: int) -> None:
    check(seed, 20.0)
