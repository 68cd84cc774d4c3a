"""IPv6: addresses of nodes, sockets that take both kinds, and which of them a name leads to."""

from __future__ import annotations

import errno
import socket
import threading
from typing import Any

import pytest
import trio

import detrun


def kinds(found: list[Any]) -> list[Any]:
    return [(one[0].name, one[4]) for one in found]


def test_a_socket_for_both_kinds_shows_ipv4_peers_mapped_and_names_lead_to_both_if_the_world_says_so() -> None:
    async def main(ipv6: bool) -> list[Any]:
        peers: list[Any] = []
        seen: list[Any] = []

        def server() -> None:
            with socket.create_server(("", 80), family=socket.AF_INET6, dualstack_ipv6=ipv6) as listening:
                while True:
                    connection, peer = listening.accept()
                    peers.append(peer)
                    connection.close()

        def client() -> None:
            for family in (socket.AF_INET, socket.AF_INET6):
                with socket.socket(family) as sock:
                    try:
                        sock.connect(("server", 80))
                    except OSError as error:
                        peers.append(error.errno)
                    else:
                        sock.recv(1)
            seen.append(kinds(socket.getaddrinfo("server", 80, type=socket.SOCK_STREAM)))
            seen.append(kinds(socket.getaddrinfo("server", 80, socket.AF_INET6, socket.SOCK_STREAM)))
            seen.append((socket.getnameinfo(("fd00::2", 80, 0, 0), 0), socket.gethostbyaddr("fd00::2")[0]))

        async with detrun.World(ipv6=ipv6) as world:
            world.node("server").start(server)
            await trio.sleep(0.1)
            world.node("client").start(client)
            await world.node("client").ended()
        return [peers, *seen]

    four, six = ("AF_INET", ("10.0.0.2", 80)), ("AF_INET6", ("fd00::2", 80, 0, 0))
    back = (("server", "http"), "server")
    peers, *seen = detrun.record(main, True).result
    assert peers == [("::ffff:10.0.0.3", 32768, 0, 0), ("fd00::3", 32769, 0, 0)]
    assert seen == [[four, six], [six], back]
    peers, *seen = detrun.record(main, False).result
    assert peers == [errno.ECONNREFUSED, ("fd00::3", 32769, 0, 0)]
    assert seen == [[four], [six], back]


def test_datagrams_and_which_addresses_are_in_each_others_way() -> None:
    def main() -> list[Any]:
        both, four = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
        both.bind(("::", 5000))
        four.sendto(b"a", ("127.0.0.1", 5000))
        threading.Thread(target=lambda: both.sendto(b"b", ("::ffff:127.0.0.1", four.getsockname()[1]))).start()
        seen = [both.recvfrom(9), four.recvfrom(9)]
        four_again = socket.socket(type=socket.SOCK_DGRAM)
        with pytest.raises(OSError, match="in use"):
            four_again.bind(("0.0.0.0", 5000))
        only = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        only.bind(("::", 6000, 0, 0))
        four_again.bind(("0.0.0.0", 6000))
        four_again.sendto(b"c", ("127.0.0.1", 6000))
        return [*seen, four_again.recv(9), only.getsockname()]

    assert detrun.record(main).result == [
        *((b"a", ("::ffff:127.0.0.1", 32768, 0, 0)), (b"b", ("127.0.0.1", 5000)), b"c", ("::", 6000, 0, 0)),
    ]


def test_trios_listeners_and_streams_take_literal_addresses() -> None:
    async def main() -> Any:
        async with detrun.World() as world:

            async def serve() -> None:
                (listener,) = await trio.open_tcp_listeners(80, host="::")
                async with await listener.accept() as stream:
                    await stream.send_all(stream.socket.getpeername()[0].encode())

            world.node("server").start(serve)
            await trio.sleep(0.1)
            async with await trio.open_tcp_stream("fd00::2", 80) as stream:
                return await stream.receive_some()

    assert detrun.record(main).result == b"fd00::1"
