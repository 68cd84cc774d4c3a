"""Hop limits and traffic classes of datagrams over IPv6, as options and as ancillary data."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import trio

import detrun

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "IPV6_RECVHOPLIMIT"), reason="this system does not have the options"
)

LEVEL = socket.IPPROTO_IPV6
HOP_LIMIT, TRAFFIC_CLASS = getattr(socket, "IPV6_HOPLIMIT", 0), getattr(socket, "IPV6_TCLASS", 0)


def integer(number: int) -> bytes:
    return struct.pack("i", number)


def pair() -> tuple[socket.socket, socket.socket]:
    """One that sends to the other, which gives the headers."""
    sender, receiver = (socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2))
    receiver.bind(("::1", 0))
    sender.connect(receiver.getsockname())
    receiver.settimeout(5)
    receiver.setsockopt(LEVEL, socket.IPV6_RECVHOPLIMIT, 1)
    receiver.setsockopt(LEVEL, socket.IPV6_RECVTCLASS, 1)
    return sender, receiver


def failure(call: Any, *arguments: Any) -> int | None:
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return None


def observations() -> Iterator[Any]:
    """What a program sees on any Linux: rooms of every size, values of options, what is refused."""
    sender, receiver = pair()
    with sender, receiver:
        options = (socket.IPV6_UNICAST_HOPS, TRAFFIC_CLASS, socket.IPV6_MULTICAST_HOPS)
        yield [sender.getsockopt(LEVEL, name) for name in options]
        for room in range(50):
            sender.send(b"datagram")
            yield receiver.recvmsg(8, room)[:3]
        for name in (socket.IPV6_UNICAST_HOPS, TRAFFIC_CLASS):
            for value in (-2, 256, b"ab", 0, 9, integer(7), integer(8) + b"rest"):
                yield failure(sender.setsockopt, LEVEL, name, value), sender.getsockopt(LEVEL, name)
        sender.send(b"datagram")
        yield receiver.recvmsg(4, 100)[:3]  # both cut and whole
        for items in (
            [(LEVEL, HOP_LIMIT, integer(3))],
            [(LEVEL, TRAFFIC_CLASS, integer(4)), (LEVEL, HOP_LIMIT, integer(-1))],
            [(LEVEL, HOP_LIMIT, integer(3)), (LEVEL, HOP_LIMIT, integer(5))],
        ):
            assert sender.sendmsg([b"data", b"gram"], items) == 8
            yield receiver.recvmsg(8, 100, socket.MSG_PEEK)[:3]
            yield receiver.recvmsg(8, 100)[:3]
        for value in (integer(-2), integer(256), b"abc", integer(1) + b"x", b""):
            yield failure(sender.sendmsg, [b"datagram"], [(LEVEL, HOP_LIMIT, value)])
        yield failure(sender.sendmsg, [b"datagram"], [(LEVEL, socket.IPV6_RECVHOPLIMIT, integer(1))])
        receiver.setsockopt(LEVEL, socket.IPV6_RECVHOPLIMIT, integer(0))
        sender.send(b"datagram")
        yield receiver.recvmsg(8, 100)[:3]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not sys.platform.startswith("linux") or not has_ipv6(), reason="compares with Linux over IPv6")
def test_rooms_of_every_size_options_and_errors_are_those_of_the_operating_system() -> None:
    assert detrun.record(lambda: list(observations())).result == list(observations())


def test_between_two_nodes_a_datagram_has_the_header_that_its_sender_gave_it() -> None:
    async def main() -> list[Any]:
        seen: list[Any] = []

        def receiver() -> None:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.bind(("::", 80))
                for name in (socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS):
                    sock.setsockopt(LEVEL, name, 1)
                for _ in range(4):
                    data, ancillary, flags, _ = sock.recvmsg(100, 100)
                    seen.append((data, [(kind, struct.unpack("i", value)[0]) for _, kind, value in ancillary], flags))

        def sender() -> None:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(LEVEL, TRAFFIC_CLASS, 12)
                target = ("receiver", 80)
                sock.sendmsg([b"options"], [], 0, target)
                sock.sendmsg(
                    [b"sendmsg"], [(LEVEL, HOP_LIMIT, integer(0)), (LEVEL, TRAFFIC_CLASS, integer(-1))], 0, target
                )
                sock.sendto(b"group", ("ff02::1", 80))
                sock.sendto(b"over IPv4", ("::ffff:10.0.0.2", 80))
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old:
                    items = [(LEVEL, HOP_LIMIT, integer(3))]
                    assert failure(old.sendmsg, [b"refused"], items, 0, ("10.0.0.2", 80)) == errno.EINVAL

        async with detrun.World(ipv6=True, latency=0.001) as world:
            world.node("receiver").start(receiver)
            await trio.sleep(0.1)
            world.node("sender").start(sender)
            await world.node("receiver").ended()
        return sorted(seen)

    assert detrun.record(main).result == [
        (b"group", [(HOP_LIMIT, 1), (TRAFFIC_CLASS, 12)], 0),
        (b"options", [(HOP_LIMIT, 64), (TRAFFIC_CLASS, 12)], 0),
        (b"over IPv4", [], 0),
        (b"sendmsg", [(HOP_LIMIT, 0), (TRAFFIC_CLASS, 12)], 0),
    ]
