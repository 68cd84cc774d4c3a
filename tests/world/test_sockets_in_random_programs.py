"""Random calls on the two ends of a TCP connection, on this machine's loopback and in a world: the same answers.

All calls are of non-blocking sockets, so reality answers at once; only what the other end sees needs a moment. Under
load that moment may be too short, so a difference counts only if reality, asked more and more slowly, insists on it.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

import detrun

CALLS = ("send", "send", "send long", "receive", "receive", "receive", "peek", "shut reading", "shut writing")
CALLS += ("shut both", "close", "error", "peer", "name", "listen")
Call = tuple[int, str, int]
SHUT = {"shut reading": socket.SHUT_RD, "shut writing": socket.SHUT_WR, "shut both": socket.SHUT_RDWR}


def random_calls(seed: int) -> list[Call]:
    """Which end, what, and a number of bytes."""
    generator = random.Random(seed)
    count = generator.randint(3, 16)
    return [(generator.randrange(2), generator.choice(CALLS), generator.randint(1, 9)) for _ in range(count)]


def answer(end: Any, name: str, size: int) -> Any:
    """What one call returns, or its error."""
    try:
        match name:
            case "send":
                return end.send(b"abcdefghi"[:size])
            case "send long":
                return end.send(b"z" * 1000 * size)
            case "receive":
                return end.recv(size)
            case "peek":
                return end.recv(size, socket.MSG_PEEK)
            case "close":
                return end.close()
            case "error":
                return end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            case "peer":
                return bool(end.getpeername())
            case "name":
                return bool(end.getsockname()[1])
            case "listen":
                return end.listen(5)
            case _:
                return end.shutdown(SHUT[name])
    except OSError as error:
        return type(error).__name__, error.errno


def answers(calls: list[Call]) -> Iterator[list[Any]]:
    """Make the calls; give what has been answered after each, and go on when the other end has had its moment."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    client = socket.socket()
    client.setblocking(False)
    assert client.connect_ex(listener.getsockname()) in (0, 115)
    listener.setblocking(False)
    yield []
    server, _ = listener.accept()
    server.setblocking(False)
    listener.close()
    seen: list[Any] = []
    for end, name, size in calls:
        yield seen
        seen.append((end, name, size, answer((client, server)[end], name, size)))
    yield seen
    client.close()
    server.close()


def really(calls: list[Call], moment_seconds: float) -> list[Any]:
    seen: list[Any] = []
    for seen in answers(calls):  # noqa: B007
        time.sleep(moment_seconds)
    return seen


def simulated(calls: list[Call]) -> list[Any]:
    async def main() -> list[Any]:
        seen: list[Any] = []
        async with detrun.World():
            for seen in answers(calls):  # noqa: B007
                await trio.sleep(0.001)
        return seen

    return detrun.record(main).result


def differs(calls: list[Call], ask: Callable[[list[Call]], list[Any]] = simulated) -> str:
    """How a world answers otherwise than reality does; an empty text if it does not."""
    found = ask(calls)
    for moment_seconds in (0.0005, 0.005, 0.05, 0.3):
        expected = really(calls, moment_seconds)
        if found == expected:
            return ""
    return f"really {expected}\nin a world {found}"


@pytest.mark.parametrize("first", [0, 1000])
def test_random_calls_on_both_ends_are_answered_as_on_linux(first: int) -> None:
    for seed in range(first, first + 100):
        assert not differs(random_calls(seed)), f"seed {seed}"


@pytest.mark.slow
def test_many_random_calls_on_both_ends_are_answered_as_on_linux() -> None:
    for seed in range(10_000, 13_000):
        assert not differs(random_calls(seed)), f"seed {seed}"


def test_an_answer_that_reality_does_not_give_is_noticed() -> None:
    calls: list[Call] = [(0, "shut both", 1), (1, "send", 3), (1, "error", 1)]

    def forgets_the_reset(calls: list[Call]) -> list[Any]:
        return [*simulated(calls)[:-1], (1, "error", 1, 0)]

    assert not differs(calls)
    assert "(1, 'error', 1, 32)" in differs(calls, forgets_the_reset)
