"""Broadcast and multicast between the nodes of a world, and what they refuse, as on Linux."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

import detrun

GROUP, GROUP6 = "224.1.2.3", "ff02::1234"
MEMBERSHIP = struct.pack("4s4s", socket.inet_aton(GROUP), bytes(4))
MEMBERSHIP6 = struct.pack("16sI", socket.inet_pton(socket.AF_INET6, GROUP6), 0)


def datagram_socket(family: int = socket.AF_INET, bound: Any = None) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if bound is not None:
        made.bind(bound)
    made.settimeout(1)
    return made


def told(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except OSError as error:
        return error.errno


def heard_from(sender: Callable[[], None], listeners: dict[str, Callable[[], socket.socket]], **world: Any) -> Any:
    """What each node's socket has received within a second, of what a node called ``sender`` has sent."""

    async def main() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}

        def listens(name: str) -> None:
            found[name] = []
            with listeners[name]() as listening:
                try:
                    while True:
                        found[name].append(listening.recvfrom(100))
                except TimeoutError:
                    pass

        def sends() -> None:
            time.sleep(0.1)
            sender()

        async with detrun.World(latency=0.01, **world) as one:
            one.node("sender").start(sends)
            for name in listeners:
                one.node(name).start(listens, name)
            await asyncio.sleep(5)
        return found

    run = detrun.record(main)
    assert detrun.replay(main, recording=run.recording).result == run.result
    return run.result


def test_a_broadcast_reaches_every_socket_of_its_port_on_every_node_and_no_other() -> None:
    def sends() -> None:
        with datagram_socket() as sending:
            assert told(sending.sendto, b"x", ("255.255.255.255", 7)) == errno.EACCES
            assert told(sending.connect, ("10.0.255.255", 7)) == errno.EACCES
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sending.bind(("", 9))
            sending.sendto(b"all", ("<broadcast>", 7))
            sending.sendto(b"subnet", ("10.0.255.255", 7))

    found = heard_from(
        sends,
        {
            "a": lambda: datagram_socket(bound=("", 7)),
            "b": lambda: datagram_socket(bound=("255.255.255.255", 7)),
            "c": lambda: datagram_socket(bound=("c", 7)),
            "d": lambda: datagram_socket(bound=("", 8)),
        },
    )
    source = ("10.0.0.2", 9)
    assert found == {"a": [(b"all", source), (b"subnet", source)], "b": [(b"all", source)], "c": [], "d": []}


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_group_reaches_the_nodes_that_have_joined_it(family: socket.AddressFamily) -> None:
    host = GROUP if family == socket.AF_INET else GROUP6
    level = socket.IPPROTO_IP if family == socket.AF_INET else socket.IPPROTO_IPV6
    joins = socket.IP_ADD_MEMBERSHIP if family == socket.AF_INET else socket.IPV6_JOIN_GROUP
    leaves = socket.IP_DROP_MEMBERSHIP if family == socket.AF_INET else socket.IPV6_LEAVE_GROUP
    value = MEMBERSHIP if family == socket.AF_INET else MEMBERSHIP6

    def joined(bound: Any) -> socket.socket:
        made = datagram_socket(family, bound)
        made.setsockopt(level, joins, value)
        assert told(made.setsockopt, level, joins, value) == errno.EADDRINUSE
        return made

    def left() -> socket.socket:
        made = joined(("", 7))
        made.setsockopt(level, leaves, value)
        assert told(made.setsockopt, level, leaves, value) == errno.EADDRNOTAVAIL
        return made

    def sends() -> None:
        with datagram_socket(family) as sending:
            sending.sendto(b"hello", (host, 7))

    found = heard_from(
        sends,
        {
            "all": lambda: joined(("", 7)),
            "group": lambda: joined((host, 7)),
            "left": left,
            "outside": lambda: datagram_socket(family, ("", 7)),
        },
    )
    assert {name: [data for data, _ in heard] for name, heard in found.items()} == {
        "all": [b"hello"],
        "group": [b"hello"],
        "left": [],
        "outside": [],
    }


def test_a_sender_hears_itself_in_a_group_unless_it_says_otherwise_and_its_broadcasts_always() -> None:
    def main() -> list[Any]:
        found = []
        for loop, host in ((1, GROUP), (0, GROUP), (1, "<broadcast>"), (0, "<broadcast>")):
            with datagram_socket(bound=("", 7)) as one:
                one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, MEMBERSHIP)
                one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, loop)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                one.sendto(b"x", (host, 7))
                try:
                    found.append(one.recv(9))
                except TimeoutError:
                    found.append(b"nothing")
        return found

    assert detrun.record(main).result == [b"x", b"nothing", b"x", b"x"]


def test_faults_of_links_strike_each_copy_by_itself() -> None:
    async def main() -> list[str]:
        heard: list[str] = []

        class Hears(asyncio.DatagramProtocol):
            def __init__(self, name: str) -> None:
                self.name = name

            def datagram_received(self, data: bytes, addr: Any) -> None:
                heard.append(self.name)

        async def listens(name: str) -> None:
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(lambda: Hears(name), local_addr=("0.0.0.0", 7))
            await asyncio.sleep(10)

        async def sends() -> None:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("0.0.0.0", 9), allow_broadcast=True
            )
            transport.sendto(b"x", ("255.255.255.255", 7))
            await asyncio.sleep(1)
            transport.close()

        async with detrun.World(latency=0.01) as world:
            for name in ("a", "b", "c"):
                world.node(name).start(listens, name)
            world.node("sender")
            world.partition("sender", "b")
            await asyncio.sleep(1)
            world.node("sender").start(sends)
            await asyncio.sleep(5)
        return sorted(heard)

    assert detrun.record(main).result == ["a", "c"]


def test_a_connection_to_a_group_is_refused_and_a_wrong_membership_too() -> None:
    def main() -> list[Any]:
        with socket.socket() as one:
            found = [told(one.connect, ("255.255.255.255", 7)), told(one.connect, (GROUP, 7))]
        with datagram_socket() as one:
            wrong = struct.pack("4s4s", socket.inet_aton("10.0.0.1"), bytes(4))
            found.append(told(one.setsockopt, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wrong))
            found.append(told(one.setsockopt, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, b"x"))
            found += [
                one.getsockopt(socket.IPPROTO_IP, name) for name in (socket.IP_MULTICAST_TTL, socket.IP_MULTICAST_LOOP)
            ]
        return [*found, told(one.getsockopt, socket.IPPROTO_IP, socket.IP_MULTICAST_TTL)]

    refused = [errno.ENETUNREACH, errno.ENETUNREACH, errno.EINVAL, errno.EINVAL]
    assert detrun.record(main).result == [*refused, 1, 1, errno.EBADF]
