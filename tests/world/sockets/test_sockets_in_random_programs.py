"""Random calls on two sockets that know each other, on this machine's loopback and in a world: the same answers.

The two are the ends of a TCP connection, or UDP sockets that send to each other and to an unused port.

All calls are of non-blocking sockets, so reality answers at once; only what the other end sees needs a moment. Under
load that moment may be too short, so a difference counts only if reality, asked more and more slowly, insists on it.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import trio

import detrun

CALLS = ("send", "send", "send long", "receive", "receive", "receive", "peek", "shut reading", "shut writing")
CALLS += ("shut both", "close", "error", "peer", "name", "listen")
Call = tuple[int, str, int]
SHUT = {"shut reading": socket.SHUT_RD, "shut writing": socket.SHUT_WR, "shut both": socket.SHUT_RDWR}


def random_calls(seed: int, names: Sequence[str] = CALLS) -> list[Call]:
    """The end of the connection, the call, and a number of bytes."""
    generator = random.Random(seed)
    count = generator.randint(3, 16)
    return [(generator.randrange(2), generator.choice(names), generator.randint(1, 9)) for _ in range(count)]


def answer(end: Any, name: str, size: int) -> Any:
    """The result of one call, or its error."""
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
    server = None
    while server is None:
        yield []
        with suppress(BlockingIOError):
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


DATAGRAM_CALLS = ("send to", "send to", "send", "receive", "receive", "receive from", "receive message", "peek")
DATAGRAM_CALLS += ("connect", "connect to nobody", "send to nobody", "send too much", "send nothing", "close", "error")
DATAGRAM_CALLS += ("peer", "name", "shut both", "bind")


def datagram_answers(calls: list[Call]) -> Iterator[list[Any]]:
    """The same with two UDP sockets; addresses are given as 0 and 1."""
    sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
    for one in sockets:
        one.setblocking(False)
        one.bind(("127.0.0.1", 0))
    addresses = [one.getsockname() for one in sockets]
    sockets.pop().close()
    seen: list[Any] = []
    for end, name, size in calls:
        yield seen
        found = datagram_answer(sockets[end], addresses[1 - end], addresses[2], name, size)
        if isinstance(found, tuple):
            found = tuple(addresses.index(part) if part in addresses else part for part in found)
        seen.append((end, name, size, found))
    yield seen
    for one in sockets:
        one.close()


def datagram_answer(one: Any, other: Any, nobody: Any, name: str, size: int) -> Any:
    """The result of one call, or its error."""
    try:
        match name:
            case "send to":
                return one.sendto(b"abcdefghi"[:size], other)
            case "send":
                return one.send(b"ABCDEFGHI"[:size])
            case "send to nobody":
                return one.sendto(b"x", nobody)
            case "send too much":
                return one.sendto(b"x" * 70_000, other)
            case "send nothing":
                return one.sendto(b"", other)
            case "receive from":
                return one.recvfrom(size)
            case "receive message":
                return one.recvmsg(size)
            case "connect":
                return one.connect(other)
            case "connect to nobody":
                return one.connect(nobody)
            case "bind":
                return one.bind(("127.0.0.1", 0))
            case "close" | "shut both" if size > 3:
                return None  # less often than the others: little happens afterwards
            case "peer":
                return (one.getpeername(),)
            case "name":
                return (one.getsockname(),)
            case _:
                return answer(one, name, size)
    except OSError as error:
        return type(error).__name__, error.errno


Answers = Callable[[list[Call]], Iterator[list[Any]]]


def really(calls: list[Call], moment_seconds: float, answers: Answers = answers) -> list[Any]:
    seen: list[Any] = []
    for seen in answers(calls):  # noqa: B007
        time.sleep(moment_seconds)
    return seen


def simulated(calls: list[Call], answers: Answers = answers) -> list[Any]:
    async def main() -> list[Any]:
        seen: list[Any] = []
        async with detrun.World():
            for seen in answers(calls):  # noqa: B007
                await trio.sleep(0.001)
        return seen

    return detrun.record(main).result


def differs(calls: list[Call], answers: Answers = answers, ask: Callable[..., list[Any]] = simulated) -> str:
    """The difference between a world's answer and reality's; an empty text if they agree."""
    found = ask(calls, answers)
    for moment_seconds in (0.0005, 0.005, 0.05, 0.3):
        expected = really(calls, moment_seconds, answers)
        if found == expected:
            return ""
    return f"really {expected}\nin a world {found}"


def test_random_calls_on_both_ends_are_answered_as_on_linux() -> None:
    for seed in range(100):
        assert not differs(random_calls(seed)), f"seed {seed}"


def test_random_calls_on_datagram_sockets_are_answered_as_on_linux() -> None:
    for seed in range(100):
        assert not differs(random_calls(seed, DATAGRAM_CALLS), datagram_answers), f"seed {seed}"


@pytest.mark.slow
def test_many_random_calls_on_both_ends_are_answered_as_on_linux() -> None:
    for seed in range(10_000, 12_000):
        assert not differs(random_calls(seed)), f"seed {seed}"
        assert not differs(random_calls(seed, DATAGRAM_CALLS), datagram_answers), f"seed {seed}, datagrams"


def test_an_answer_that_reality_does_not_give_is_noticed() -> None:
    calls: list[Call] = [(0, "shut both", 1), (1, "send", 3), (1, "error", 1)]

    def forgets_the_reset(calls: list[Call], answers: Answers) -> list[Any]:
        return [*simulated(calls, answers)[:-1], (1, "error", 1, 0)]

    assert not differs(calls)
    assert "(1, 'error', 1, 32)" in differs(calls, ask=forgets_the_reset)
